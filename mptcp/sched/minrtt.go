package sched

import (
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
)

// MinRTT sends on the subflow with the lowest round-trip time that has room,
// and on the next when its window is full: so all links together carry a bulk
// transfer, and one carries what fits into one.
//
// What the faster subflows have room for is reserved for them, whoever asks
// first. The end of a transfer is not handed to a subflow so slow that a faster
// one, though full, would have delivered it earlier.
type MinRTT struct{}

// Allow answers policy.Scheduler.
func (MinRTT) Allow(r policy.Request) int {
	asker := find(r.Subs, r.Asker)
	if asker == nil || r.Unsent <= 0 {
		return 0
	}
	t := best(r.Subs, nobody)
	if tierOf(asker) != t {
		return 0
	}
	left, first := r.Unsent, true
	for i := range r.Subs {
		if s := &r.Subs[i]; s != asker && tierOf(s) == t && faster(s, asker) {
			first = false
			left -= max(s.Room, 0)
		}
	}
	if left <= 0 {
		return 0
	}
	for i := range r.Subs {
		if s := &r.Subs[i]; s != asker && tierOf(s) == t && faster(s, asker) && worthWaiting(s, asker, left) {
			return 0
		}
	}
	// Without room there is nothing to give, except that the first may have to
	// probe a closed window (RFC 9293 §3.8.6.1).
	if !first && asker.Room <= 0 {
		return 0
	}
	return left
}

// Reinject answers policy.Scheduler.
func (MinRTT) Reinject(_ mono.Time, lost policy.Subflow, subs []policy.Snapshot) (policy.Subflow, bool) {
	return reinject(lost, subs)
}

// worthWaiting reports whether a faster subflow, once its window is full, would
// deliver the rest sooner than the slow one could, sent now: the idea of the
// ECF and BLEST schedulers. It is about small ends only, since a bulk transfer
// has more unsent than a round trip's worth; and only while ACKs are, or will
// be, under way that make room.
func worthWaiting(fast, slow *policy.Snapshot, rest int) bool {
	if fast.InFlight == 0 && fast.Room <= 0 || fast.SRTT == 0 || slow.SRTT == 0 || fast.Window <= 0 {
		return false
	}
	rate := fast.Delivered
	if rate <= 0 {
		rate = float64(fast.Window) / fast.SRTT.Seconds()
	}
	// A quarter more, and the jitter of both, is the doubt's benefit: waiting
	// for nothing costs more than a little reordering.
	wait := float64(rest+max(fast.Room, 0))/rate + (fast.SRTT/2 + fast.SRTT/8 + max(fast.RTTVar, slow.RTTVar)).Seconds()
	return wait < (slow.SRTT / 2).Seconds()
}
