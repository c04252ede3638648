package option

import "github.com/sennit-net/sennit/stack/seq"

// MPPrio is MP_PRIO (RFC 8684 §3.3.8, figure 11). It is about the subflow it
// arrives on. (An address ID in it, length 4, was version 0.)
type MPPrio struct{ Backup bool }

// Size returns the length of the option in bytes.
func (MPPrio) Size() int { return 3 }

// Append appends the option to b.
func (p MPPrio) Append(b []byte) []byte { return head(b, 3, SubPrio, boolBit(p.Backup, 1)) }

// MPFail is MP_FAIL (RFC 8684 §3.7, figure 16). The number has always 64 bits.
type MPFail struct{ DSN seq.Data }

// Size returns the length of the option in bytes.
func (MPFail) Size() int { return 12 }

// Append appends the option to b.
func (f MPFail) Append(b []byte) []byte {
	return be.AppendUint64(append(head(b, 12, SubFail, 0), 0), uint64(f.DSN))
}

// Fastclose is MP_FASTCLOSE (RFC 8684 §3.5, figure 14).
type Fastclose struct{ Key uint64 } // the receiver's

// Size returns the length of the option in bytes.
func (Fastclose) Size() int { return 12 }

// Append appends the option to b.
func (f Fastclose) Append(b []byte) []byte {
	return be.AppendUint64(append(head(b, 12, SubFastclose, 0), 0), f.Key)
}

// ResetReason is why a subflow was reset (RFC 8684 §3.6).
type ResetReason uint8

// The reasons.
const (
	ResetUnspecified   ResetReason = 0x00
	ResetMPTCP         ResetReason = 0x01 // MPTCP-specific error
	ResetResources     ResetReason = 0x02 // lack of resources
	ResetProhibited    ResetReason = 0x03 // administratively prohibited
	ResetOutstanding   ResetReason = 0x04 // too much outstanding data
	ResetPerformance   ResetReason = 0x05 // unacceptable performance
	ResetInterference  ResetReason = 0x06 // middlebox interference
	resetReasonUnknown             = 0x07
)

var resetNames = [...]string{"unspecified error", "MPTCP-specific error", "lack of resources",
	"administratively prohibited", "too much outstanding data", "unacceptable performance",
	"middlebox interference"}

func (r ResetReason) String() string {
	if r < resetReasonUnknown {
		return resetNames[r]
	}
	return "unknown reason"
}

// TCPReset is MP_TCPRST (RFC 8684 §3.6, figure 15).
type TCPReset struct {
	Transient bool // T: the path may be tried again
	Reason    ResetReason
}

// Size returns the length of the option in bytes.
func (TCPReset) Size() int { return 4 }

// Append appends the option to b.
func (r TCPReset) Append(b []byte) []byte {
	return append(head(b, 4, SubTCPReset, boolBit(r.Transient, 1)), byte(r.Reason))
}
