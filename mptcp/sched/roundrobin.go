package sched

import (
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
)

// RoundRobin gives every subflow of the best tier a share of what is unsent,
// one part each, whatever its round-trip time. It is for comparison: on
// unequal paths much waits for the slowest.
type RoundRobin struct{}

// Allow answers policy.Scheduler.
func (RoundRobin) Allow(r policy.Request) int {
	asker := find(r.Subs, r.Asker)
	if asker == nil || r.Unsent <= 0 {
		return 0
	}
	t := best(r.Subs, nobody)
	if tierOf(asker) != t {
		return 0
	}
	sharers := 1
	for i := range r.Subs {
		if s := &r.Subs[i]; s != asker && tierOf(s) == t && s.Room > 0 {
			sharers++
		}
	}
	part := (r.Unsent + sharers - 1) / sharers
	return min(r.Unsent, max(part, asker.MSS))
}

// Reinject answers policy.Scheduler.
func (RoundRobin) Reinject(_ mono.Time, lost policy.Subflow, subs []policy.Snapshot) (policy.Subflow, bool) {
	return reinject(lost, subs)
}
