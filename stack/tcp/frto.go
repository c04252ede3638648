package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// frto is how far forward RTO-recovery is (RFC 5682 §3.1): after a timeout the
// first segment goes again, then new data instead of more retransmissions; if
// what comes back next is for data that was sent once and before the timeout,
// that was late and not lost.
//
// Without SACK it is left out (RFC 5682 §2.1 describes it): on paths that lose
// much, new data behind a hole that nothing else can be told of costs more
// round trips than it saves.
type frto uint8

const (
	frtoOff   frto = iota
	frtoFirst      // step 2: the first segment went again, nothing came back yet
	frtoNew2       // step 3: two new segments may go
	frtoNew1       // one more may
	frtoNew0       // they went; what comes back decides
)

// newAllowed is how many new segments step 2 still lets out.
func (f frto) newAllowed() int {
	if f < frtoNew2 {
		return 0
	}
	return int(frtoNew0 - f)
}

// watchTimeout begins forward RTO-recovery at a retransmission timeout. was is
// the repair that went on before: step 1 leaves out what was in recovery
// already, unless nothing came back since the last timeout.
func (c *Conn) watchTimeout(was mode) {
	r := &c.loss
	if c.opt.sack && was == calm || was == timeout && r.frto == frtoFirst {
		r.frto = frtoFirst
		return
	}
	r.frto = frtoOff
}

// forward moves forward RTO-recovery on by one ACK, and reports whether it
// proves the timeout spurious.
func (c *Conn) forward(now mono.Time, seg *wire.Segment, f *feedback) (spurious bool) {
	r := &c.loss
	if r.mode != timeout {
		r.frto = frtoOff
	}
	switch {
	case r.frto == frtoOff:
	case r.frto == frtoFirst && f.acked > 0:
		// Step 2a: all that was out is acknowledged, and nothing says by which
		// transmission. 2b wants new data, and a window for it.
		//
		// Departs from RFC 5682 §3.1: the window is not cut to two segments; it
		// grew from one by what was acknowledged, up to ssthresh.
		if c.snd.acked >= r.point || !c.probeWithNew(now) {
			r.frto = frtoOff
			break
		}
		r.frto = frtoNew2
	case r.frto == frtoFirst: // duplicates are noted, no more
	case f.original:
		r.frto = frtoOff
		return r.undo.on
	case f.acked > 0 || f.newSACK > 0 || c.duplicate(seg, f):
		// Step 3a: the loss was real.
		r.frto = frtoOff
	}
	return false
}

// forwardLeft notes that a new segment left, if it is one of the two.
func (c *Conn) forwardLeft() {
	if c.loss.frto.newAllowed() > 0 {
		c.loss.frto++
	}
}
