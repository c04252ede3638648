package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/reasm"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// receiver is the receive sequence space (RFC 9293 §3.3.1).
type receiver struct {
	irs     seq.Num
	nxt     seq.Num
	off     uint64 // stream bytes delivered
	win     window // window.go
	ts      echo
	quick   quick  // quickack.go
	early   *early // what came before its turn; nil: nothing ever did
	fin     bool   // the peer's FIN was reached
	lastAck seq.Num
	waiting int // bytes received since the last ACK we sent
	mss     int // the peer's segment size as seen
	rtt     roundTrip
	scratch []chunk.Slice
}

// echo is what timestamps need to remember (RFC 7323 §4.3, §5).
type echo struct {
	recent uint32    // TS.Recent
	at     mono.Time // when it was set
}

// early is what arrived out of order, and what SACK tells of it.
type early struct {
	queue  reasm.Queue
	finAt  uint64 // stream offset of a FIN seen before its turn
	hasFin bool
	// recent are ranges reported lately, latest first (RFC 2018 §4).
	recent  [wire.MaxSACK]reasm.Range
	nRecent int
	dup     wire.SACKBlock // duplicate to report (RFC 2883), once
	hasDup  bool
}

// maxEarlyPieces bounds the reassembly queue: beyond it, fragments cost more
// than they bring.
const maxEarlyPieces = 4096

func (r *receiver) start(irs seq.Num) {
	r.irs = irs
	r.nxt = irs.Add(1)
	r.lastAck = r.nxt
	// What our SYN promised counts from here; a listener has promised nothing.
	r.win.edge = r.nxt.Add(r.win.most)
	r.win.told = r.win.edge
}

// offOf returns the stream offset of sequence number n near RCV.NXT. A number
// before the stream wraps around below zero.
func (r *receiver) offOf(n seq.Num) uint64 {
	next := r.nxt
	if r.fin {
		next--
	}
	return r.off + uint64(int64(n.Sub(next)))
}

// seqOf returns the sequence number of stream offset off.
func (r *receiver) seqOf(off uint64) seq.Num { return r.irs.Add(1) + seq.Num(uint32(off)) }

func (r *receiver) reorder() *early {
	if r.early == nil {
		r.early = &early{}
		r.early.queue.MaxPieces = maxEarlyPieces
	}
	return r.early
}

func (r *receiver) release() {
	if r.early != nil {
		r.early.queue.Clear()
		r.early = nil
	}
	r.scratch = nil
}

// holes reports whether something waits before its turn.
func (r *receiver) holes() bool {
	return r.early != nil && (!r.early.queue.Empty() || r.early.hasFin)
}

// roundTrip is the round trip as a receiver of data sees it: from an ACK of
// ours to the segment that echoes it.
type roundTrip struct {
	srtt time.Duration
}

func (t *roundTrip) sample(r time.Duration) {
	if t.srtt == 0 {
		t.srtt = r
		return
	}
	t.srtt += (r - t.srtt) / 8
}
