package tcp

import (
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Upper is who uses a connection's byte stream: the plain Stream of this
// package, or an MPTCP subflow's owner. TCP calls it while it handles an
// event; it must not call back into the connection except where a method says
// so.
//
// Offsets are in bytes of the connection's own stream: the first byte after
// the SYN has offset 0. (MPTCP's relative subflow sequence number is offset+1,
// RFC 8684 §3.3.1.)
type Upper interface {
	Source
	Sink
	Optioner
	// Changed tells of a change of state, after it happened.
	Changed(now mono.Time, e Change)
}

// Source is where TCP pulls what it sends.
type Source interface {
	// Pending returns how many bytes Next would give now if asked for more.
	// For an MPTCP subflow this is the scheduler's answer; 0 is "not you".
	Pending(now mono.Time) int
	// Next hands over the next at most max (>0) bytes of the stream, at
	// offset off, appending their runs to dst. TCP keeps the references until
	// the bytes are acknowledged, and sends exactly these bytes again if it has
	// to. What one Next gave is never joined with what another gave into one
	// segment; it may be split.
	Next(now mono.Time, off uint64, max int, dst []chunk.Slice) []chunk.Slice
	// Acked tells that all bytes before offset off are acknowledged.
	Acked(now mono.Time, off uint64)
}

// Sink is where TCP puts what it received.
type Sink interface {
	// Deliver hands over bytes in order, the first of them at offset off, with
	// their references. runs itself is reused after the call.
	Deliver(now mono.Time, off uint64, runs []chunk.Slice)
	// Window returns how many bytes beyond what was delivered may arrive: the
	// receive window, before TCP subtracts what waits in its reassembly queue
	// and keeps the right edge from moving left.
	Window() int
}

// Optioner reads and writes the options TCP does not know.
type Optioner interface {
	// AppendOptions appends options (kind, length, value; no padding) of at
	// most room bytes for the segment described by out.
	AppendOptions(now mono.Time, out Outgoing, room int, b []byte) []byte
	// Received shows a segment that passed the sequence and ACK checks
	// (RFC 8684 §3: before any option takes effect), before its ACK and
	// payload are processed. The verdict decides what becomes of it.
	Received(now mono.Time, in Incoming) Verdict
}

// Outgoing describes a segment about to be sent.
type Outgoing struct {
	Flags      wire.Flags
	Off        uint64 // stream offset of the first payload byte, or of the next to be sent
	Len        int    // payload bytes, 0 for a pure ACK
	Retransmit bool   // the payload was sent before
}

// Incoming describes a segment that was just accepted.
type Incoming struct {
	Seg *wire.Segment
	// Off is the stream offset of the first payload byte. A segment that
	// starts before the first undelivered byte has Off < Next.
	Off uint64
	// Next is the offset of the first byte not yet delivered.
	Next uint64
	// AckOff is the stream offset this segment acknowledges up to.
	AckOff uint64
	// NewAck tells that AckOff advances.
	NewAck bool
	// Window is SEG.WND in bytes: scaled, but on a SYN as on the wire.
	Window int
}

// Verdict is what becomes of an incoming segment.
type Verdict uint8

// Verdicts.
const (
	Proceed  Verdict = iota // process it
	Discard                 // drop it without any further effect
	DropData                // process ACK and window, drop the payload and FIN unacknowledged
	Abort                   // send a RST (with the options AppendOptions gives for it) and close
	// Signal is Proceed for a segment that was sent for its options: without
	// SACK it must not count as a duplicate ACK (RFC 8684 §3).
	Signal
)

// Change is a change of a connection's state that its Upper hears of.
type Change uint8

// Changes.
const (
	Established Change = iota // three-way handshake done; for a listener: third ACK accepted
	PeerClosed                // the peer's FIN was reached: nothing more will be delivered
	FinAcked                  // our FIN is acknowledged
	Lost                      // a retransmission timer ran out (Conn.Backoffs counts them)
	Recovered                 // forward progress after Lost
	Closed                    // the connection is over: Conn.Err says how; last call
)
