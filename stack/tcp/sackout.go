package tcp

import (
	"github.com/sennit-net/sennit/stack/reasm"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// report notes that the range r, as it is held now, was just added to
// (RFC 2018 §4): it goes first, and swallows older reports of its parts.
func (e *early) report(r reasm.Range) {
	k := 1
	old := e.recent
	for _, q := range old[:e.nRecent] {
		if q.From >= r.From && q.To <= r.To || k == len(e.recent) {
			continue
		}
		e.recent[k] = q
		k++
	}
	e.recent[0] = r
	e.nRecent = k
}

// forget drops reports of what was delivered up to next.
func (e *early) forget(next uint64) {
	k := 0
	for _, q := range e.recent[:e.nRecent] {
		if q.To > next {
			e.recent[k] = q
			k++
		}
	}
	e.nRecent = k
}

// fill writes up to fit blocks to seg: the duplicate (RFC 2883 §4), the recent
// ranges as they are now, then others from below (RFC 2018 §4).
func (e *early) fill(seg *wire.Segment, fit int, seqOf func(uint64) seq.Num) {
	add := func(b wire.SACKBlock) bool {
		if int(seg.NSACK) == fit {
			return false
		}
		seg.SACK[seg.NSACK] = b
		seg.NSACK++
		return true
	}
	first := 0
	if e.hasDup {
		e.hasDup = false
		add(e.dup)
		first = 1
	}
	put := func(r reasm.Range) bool {
		b := wire.SACKBlock{Left: seqOf(r.From), Right: seqOf(r.To)}
		for _, have := range seg.SACK[first:seg.NSACK] {
			if have == b {
				return true
			}
		}
		return add(b)
	}
	for _, r := range e.recent[:e.nRecent] {
		// RFC 2018 §8: never what is no longer held.
		if r = e.queue.Around(r); r.Len() > 0 && !put(r) {
			return
		}
	}
	e.queue.Ranges(put)
}
