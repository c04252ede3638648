package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// Recorder hears of events. It is called under whatever lock guards the
// connection and must not call back.
type Recorder interface {
	Record(now mono.Time, e Event)
}

// Event is something that happened, as a typed struct.
type Event interface {
	Name() string // snake_case, stable: used in logs
}

// Events of a connection.
type (
	// StateChanged tells of a new state; Err is why, where it is CLOSED.
	StateChanged struct {
		From, To State
		Err      error
	}
	// SegmentSent tells of a segment Emit gave out.
	SegmentSent struct {
		Seq, Ack   seq.Num
		Flags      wire.Flags
		Len        int
		Window     int // bytes, unscaled
		Retransmit bool
	}
	// SegmentReceived tells of a segment that arrived, before any check.
	SegmentReceived struct {
		Seq, Ack seq.Num
		Flags    wire.Flags
		Len      int
	}
	// SegmentRejected tells that a segment had no, or not its full, effect.
	SegmentRejected struct {
		Reason   Reason
		Seq, Ack seq.Num
		Flags    wire.Flags
		Len      int
	}
	// CwndChanged tells of congestion control after an event moved it.
	CwndChanged struct{ Cwnd, Ssthresh, InFlight int }
	// RecoveryEntered tells that fast recovery began; RecoveryLeft that it ended.
	RecoveryEntered struct{ Una, Point seq.Num }
	// RecoveryLeft tells that everything sent before loss was noticed is
	// acknowledged.
	RecoveryLeft struct{ Una seq.Num }
	// RTO tells that the retransmission timer ran out, the n-th time in a row.
	RTO struct {
		Backoffs int
		Next     time.Duration
	}
	// Doubted tells that so many retransmissions in a row brought nothing: R1
	// is passed (RFC 9293 §3.8.3).
	Doubted struct{ Retransmissions int }
	// Spurious tells that a recovery or timeout was for nothing and is taken
	// back.
	Spurious struct{ Una seq.Num }
	// TailProbe tells of a tail loss probe (RFC 8985 §7).
	TailProbe struct{ Again bool }
	// ZeroWindowProbe tells of a persist probe.
	ZeroWindowProbe struct{ Count int }
	// KeepAliveProbe tells of a keep-alive probe.
	KeepAliveProbe struct{ Count int }
	// MTUReduced tells that the path carries less than was thought.
	MTUReduced struct{ From, To int }
	// MTURaised tells that a probe of the path, PathProbe, found it to carry more.
	MTURaised struct{ From, To int }
	// PathProbe tells of a segment larger than the path MTU as known.
	PathProbe struct{ Size int }
	// UrgentData tells that the peer's urgent data now goes up to a stream offset.
	UrgentData struct{ End uint64 }
	// PeerTimeout tells of the peer's user timeout (RFC 5482), and whether it counts.
	PeerTimeout struct {
		Timeout time.Duration
		Adopted bool
	}
	// SoftError tells of a network error that does not end the connection
	// (RFC 9293 §3.9.2.2).
	SoftError struct{ Err error }
)

// Name of the event.
func (StateChanged) Name() string    { return "state_changed" }
func (SegmentSent) Name() string     { return "segment_sent" }
func (SegmentReceived) Name() string { return "segment_received" }
func (SegmentRejected) Name() string { return "segment_rejected" }
func (CwndChanged) Name() string     { return "cwnd_changed" }
func (RecoveryEntered) Name() string { return "recovery_entered" }
func (RecoveryLeft) Name() string    { return "recovery_left" }
func (RTO) Name() string             { return "rto" }
func (Doubted) Name() string         { return "doubted" }
func (Spurious) Name() string        { return "spurious" }
func (TailProbe) Name() string       { return "tail_probe" }
func (ZeroWindowProbe) Name() string { return "zero_window_probe" }
func (KeepAliveProbe) Name() string  { return "keep_alive_probe" }
func (MTUReduced) Name() string      { return "mtu_reduced" }
func (MTURaised) Name() string       { return "mtu_raised" }
func (PathProbe) Name() string       { return "path_probe" }
func (UrgentData) Name() string      { return "urgent_data" }
func (PeerTimeout) Name() string     { return "peer_timeout" }
func (SoftError) Name() string       { return "soft_error" }

// Reason is why a segment was rejected.
type Reason uint8

// Reasons.
const (
	OutOfWindow     Reason = iota + 1 // RFC 9293 §3.10.7.4, first check
	OldTimestamp                      // PAWS, RFC 7323 §5.3
	NoTimestamp                       // RFC 7323 §3.2
	BadReset                          // RST in the window but not at its left edge, RFC 5961 §3.2
	UnexpectedSYN                     // RFC 5961 §4.2
	BadAck                            // RFC 5961 §5.2
	NoAck                             // RFC 9293 §3.10.7.4, fifth check
	UnexpectedState                   // nothing the state could use
	RefusedByUpper                    // the Upper's verdict
	NoRoom                            // beyond what the window or the reassembly queue takes
	AfterClose                        // data after Close, RFC 9293 §3.6.1
	Signed                            // RFC 2385 or RFC 5925, for which there are no keys
)

var reasons = [...]string{"", "out_of_window", "old_timestamp", "no_timestamp", "bad_reset", "unexpected_syn",
	"bad_ack", "no_ack", "unexpected_state", "refused_by_upper", "no_room", "after_close", "signed"}

func (r Reason) String() string { return reasons[r] }
