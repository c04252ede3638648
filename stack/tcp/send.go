package tcp

import (
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
)

// sender is the send sequence space (RFC 9293 §3.3.1) and what of it is not
// acknowledged yet. Bytes are counted by stream offset: the first byte after
// the SYN has offset 0, so SND.UNA and SND.NXT are derived, never stored twice.
type sender struct {
	iss    seq.Num
	acked  uint64 // stream bytes acknowledged cumulatively
	sent   uint64 // stream bytes ever sent
	synOut bool   // SYN sent
	synIn  bool   // SYN acknowledged
	fin    finState

	peer  peerWindow
	spans spans       // what lies between acked and sent, and how it fares
	bytes chunk.Queue // the bytes between acked and sent

	since   mono.Time // last progress, or when something first became outstanding (R2)
	lastAt  mono.Time // when data was last sent
	ackedAt mono.Time // when SND.UNA last moved
	limited bool      // the congestion window is what held Emit back last
	small   uint64    // end of the last segment that was not full, for Nagle
}

// finState is how far our FIN is.
type finState uint8

const (
	finNone   finState = iota
	finQueued          // asked for, bytes still to be sent before it
	finSent
	finLost // sent, to be sent again
	finAcked
)

// peerWindow is the peer's receive window (SND.WND, SND.WL1, SND.WL2).
type peerWindow struct {
	wnd      int // bytes from SND.UNA on, scaled
	wl1, wl2 seq.Num
	max      int // largest ever
}

func (s *sender) init(iss seq.Num) { s.iss = iss }

// first is the sequence number of stream offset 0.
func (s *sender) first() seq.Num { return s.iss.Add(1) }

// seqOf returns the sequence number of a stream offset.
func (s *sender) seqOf(off uint64) seq.Num { return s.first() + seq.Num(uint32(off)) }

// offOf returns the stream offset of a sequence number near SND.UNA. A number
// before the stream wraps around below zero; callers have checked the range.
func (s *sender) offOf(n seq.Num) uint64 {
	return s.acked + uint64(int64(n.Sub(s.seqOf(s.acked))))
}

// una is SND.UNA.
func (s *sender) una() seq.Num {
	if !s.synIn {
		return s.iss
	}
	n := s.seqOf(s.acked)
	if s.fin == finAcked {
		n++
	}
	return n
}

// nxt is SND.NXT.
func (s *sender) nxt() seq.Num {
	if !s.synOut {
		return s.iss
	}
	n := s.seqOf(s.sent)
	if s.fin >= finSent {
		n++
	}
	return n
}

// unacked is how many bytes are sent and not acknowledged cumulatively.
func (s *sender) unacked() int { return int(s.sent - s.acked) }

// outstanding reports whether anything at all awaits acknowledgement.
func (s *sender) outstanding() bool { return s.una() != s.nxt() }

// usable is how many new bytes the peer's window still takes; negative if it
// shrank (RFC 9293 §3.8.6, MUST-34).
func (s *sender) usable() int { return s.peer.wnd - s.unacked() }

// open reports whether new data may still go: after the handshake, before our
// FIN.
func (s *sender) open() bool { return s.synIn && s.fin <= finQueued }

func (s *sender) release() {
	s.bytes.Clear()
	s.spans = spans{}
}

// began notes that something becomes outstanding now, for R2.
func (s *sender) began(now mono.Time) {
	if !s.outstanding() {
		s.since = now
	}
}
