package tcp

import (
	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// ECN is the seam for Explicit Congestion Notification, classic (RFC 3168) and
// accurate (RFC 9768). A connection without one sends Not-ECT and never sets
// ECE, CWR or AE.
type ECN interface {
	// Mark gives the ECN flags (ECE, CWR, AE) and the code point of a segment
	// about to be sent.
	Mark(now mono.Time, out Outgoing) (wire.Flags, ecn.Codepoint)
	// Arrived shows a segment that passed the sequence check: its code point,
	// its flags, and payload bytes. It reports whether an ACK must go at once.
	Arrived(now mono.Time, seg *wire.Segment) (ackNow bool)
	// Acked shows a segment that passed the ACK check and newly acknowledges
	// bytes. It returns how many bytes the peer reports as CE-marked, and
	// whether to reduce the window for it.
	Acked(now mono.Time, seg *wire.Segment, bytes int) (marked int, congested bool)
}
