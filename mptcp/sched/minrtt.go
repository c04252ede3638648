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
// first. A slow one is left out where it would only harm (the ideas of the ECF
// and BLEST schedulers): the end of a transfer is not handed to one so slow that
// a faster one, though full, delivers it earlier; and where the peer's window
// cannot cover a much slower round trip, the faster ones keep it.
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
	// Without room there is nothing to give, except that the first may have to
	// probe a closed window (RFC 9293 §3.8.6.1).
	if left <= 0 || !first && asker.Room <= 0 || harmful(asker, t, left, &r) {
		return 0
	}
	return left
}

// muchSlower is the ratio of round trips from which the window is looked at.
// Below it a subflow that is stopped and let go again in turn costs more, by
// its bursts, than the waiting it spares.
const muchSlower = 4

// harmful reports whether rest bytes, sent on the asker, would make the whole
// later than it would be without.
func harmful(asker *policy.Snapshot, t tier, rest int, r *policy.Request) bool {
	ahead := 0.0 // what the faster ones send while the asker's data is under way
	for i := range r.Subs {
		s := &r.Subs[i]
		if s == asker || tierOf(s) != t || !faster(s, asker) || asker.SRTT == 0 || !moving(s) {
			continue
		}
		if worthWaiting(s, asker, rest) {
			return true
		}
		if asker.SRTT > muchSlower*s.SRTT {
			ahead += rate(s) * asker.SRTT.Seconds()
		}
	}
	return r.Window > 0 && ahead > float64(r.Window)
}

// Reinject answers policy.Scheduler.
func (MinRTT) Reinject(_ mono.Time, lost policy.Subflow, subs []policy.Snapshot) (policy.Subflow, bool) {
	return reinject(lost, subs)
}

// moving reports whether the subflow sends, and will go on: it has room, or
// ACKs are under way that make some.
func moving(s *policy.Snapshot) bool {
	return (s.InFlight > 0 || s.Room > 0) && s.SRTT > 0 && s.Window > 0
}

// rate is what the subflow delivers, in bytes per second.
func rate(s *policy.Snapshot) float64 {
	if s.Delivered > 0 {
		return s.Delivered
	}
	return float64(s.Window) / s.SRTT.Seconds()
}

// worthWaiting reports whether a faster subflow, once its window is full, would
// deliver the rest sooner than the slow one could, sent now. It is about small
// ends only, since a bulk transfer has more unsent than a round trip's worth.
func worthWaiting(fast, slow *policy.Snapshot, rest int) bool {
	// A quarter more, and the jitter of both, is the doubt's benefit: waiting
	// for nothing costs more than a little reordering.
	wait := float64(rest+max(fast.Room, 0))/rate(fast) +
		(fast.SRTT/2 + fast.SRTT/8 + max(fast.RTTVar, slow.RTTVar)).Seconds()
	return wait < (slow.SRTT / 2).Seconds()
}
