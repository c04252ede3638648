// Package sched is the schedulers of MPTCP: which subflow may send the next
// bytes, and which one carries again what another has lost.
//
// A scheduler answers from snapshots and holds no state of its own; it does
// not open paths (mptcp/pathman), set windows (stack/cc) or move bytes
// (mptcp/conn). A new one is a file and a line in the table below. Read
// RFC 8684 §3.3.5, §3.3.6 and §3.3.8 first.
package sched

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sennit-net/sennit/mptcp/policy"
)

// table is the schedulers by name.
var table = map[string]func() policy.Scheduler{
	"minrtt":     func() policy.Scheduler { return MinRTT{} },
	"roundrobin": func() policy.Scheduler { return RoundRobin{} },
}

// New returns the scheduler of this name.
func New(name string) (policy.Scheduler, error) {
	f, ok := table[name]
	if !ok {
		return nil, fmt.Errorf("sched: no scheduler %q, there are %v", name, Names())
	}
	return f(), nil
}

// Names returns the names that New knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(table)) }

// tier ranks how fit a subflow is; lower is better. Data goes only to the best
// tier that has a subflow.
type tier uint8

const (
	regular tier = iota
	backup       // RFC 8684 §3.3.8: only when no regular one is usable
	silent       // it has stopped acknowledging
	silentBackup
)

func tierOf(s *policy.Snapshot) tier {
	t := regular
	if s.Stale || s.Backoffs > 0 {
		t = silent
	}
	if s.Backup {
		t++
	}
	return t
}

// best returns the best tier among subs, lost left out.
func best(subs []policy.Snapshot, lost policy.Subflow) tier {
	t := silentBackup
	for i := range subs {
		if subs[i].ID != lost {
			t = min(t, tierOf(&subs[i]))
		}
	}
	return t
}

// nobody is no subflow's id.
const nobody policy.Subflow = -1

// find returns the snapshot of a subflow, or nil.
func find(subs []policy.Snapshot, id policy.Subflow) *policy.Snapshot {
	for i := range subs {
		if subs[i].ID == id {
			return &subs[i]
		}
	}
	return nil
}

// faster reports whether data goes to a rather than to b: by round trip, one
// without a sample last, the older one first.
func faster(a, b *policy.Snapshot) bool {
	if a.SRTT != b.SRTT && a.SRTT != 0 && b.SRTT != 0 {
		return a.SRTT < b.SRTT
	}
	if (a.SRTT == 0) != (b.SRTT == 0) {
		return b.SRTT == 0
	}
	return a.ID < b.ID
}

// reinject picks the fastest of the best tier that has room now; without any,
// one that has nothing in flight, since no ACK would come to make room.
func reinject(lost policy.Subflow, subs []policy.Snapshot) (policy.Subflow, bool) {
	t := best(subs, lost)
	var roomy, idle *policy.Snapshot
	for i := range subs {
		s := &subs[i]
		if s.ID == lost || tierOf(s) != t {
			continue
		}
		if s.Room > 0 && (roomy == nil || faster(s, roomy)) {
			roomy = s
		}
		if s.InFlight == 0 && (idle == nil || faster(s, idle)) {
			idle = s
		}
	}
	if roomy == nil {
		roomy = idle
	}
	if roomy == nil {
		return 0, false
	}
	return roomy.ID, true
}
