package sched

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/mptcp/policy"
)

const ms = time.Millisecond

// sub is a subflow with a window and so much room in it.
func sub(id policy.Subflow, rtt time.Duration, window, room int) policy.Snapshot {
	return policy.Snapshot{ID: id, SRTT: rtt, RTTVar: ms, Window: window, InFlight: window - room, Room: room, MSS: 1400}
}

func with(s policy.Snapshot, change func(*policy.Snapshot)) policy.Snapshot {
	change(&s)
	return s
}

func stale(s *policy.Snapshot)   { s.Stale = true }
func timeout(s *policy.Snapshot) { s.Backoffs = 1 }
func spare(s *policy.Snapshot)   { s.Backup = true }
func idle(s *policy.Snapshot)    { s.InFlight = 0 }

func TestMinRTT(t *testing.T) {
	fast, slow := sub(0, 20*ms, 30000, 10000), sub(1, 50*ms, 30000, 10000)
	full := sub(0, 20*ms, 30000, 0)
	for _, c := range []struct {
		name   string
		unsent int
		subs   []policy.Snapshot
		want   []int // for each asker
	}{
		{"nothing to send", 0, []policy.Snapshot{fast, slow}, []int{0, 0}},
		{"fits into the fast one", 9000, []policy.Snapshot{fast, slow}, []int{9000, 0}},
		{"more than the fast one takes", 50000, []policy.Snapshot{fast, slow}, []int{50000, 40000}},
		{"the order of the list is nothing", 50000, []policy.Snapshot{slow, fast}, []int{40000, 50000}},
		{"the fast one is full", 100000, []policy.Snapshot{full, slow}, []int{100000, 100000}},
		{"RFC 9293 §3.8.6.1 all are full: only the first may probe", 100000, []policy.Snapshot{full, sub(1, 50*ms, 30000, 0)}, []int{100000, 0}},
		{"no sample comes last", 9000, []policy.Snapshot{sub(0, 0, 14000, 14000), slow}, []int{0, 9000}},
		{"no sample, the older first", 9000, []policy.Snapshot{sub(1, 0, 14000, 14000), sub(0, 0, 14000, 14000)}, []int{0, 9000}},
		{"equal, the older first", 9000, []policy.Snapshot{fast, sub(1, 20*ms, 30000, 10000)}, []int{9000, 0}},
		{"a stale one is avoided", 9000, []policy.Snapshot{with(fast, stale), slow}, []int{0, 9000}},
		{"so is one whose timer ran out", 9000, []policy.Snapshot{with(fast, timeout), slow}, []int{0, 9000}},
		{"nothing is reserved for it", 90000, []policy.Snapshot{with(fast, stale), slow}, []int{0, 90000}},
		{"all stale", 9000, []policy.Snapshot{with(fast, stale), with(slow, stale)}, []int{9000, 0}},
		{"RFC 8684 §3.3.8 backup waits", 90000, []policy.Snapshot{with(fast, spare), slow}, []int{0, 90000}},
		{"backup before stale", 9000, []policy.Snapshot{with(fast, stale), with(slow, spare)}, []int{0, 9000}},
		{"regular before backup, both stale", 9000, []policy.Snapshot{with(with(fast, spare), stale), with(slow, stale)}, []int{0, 9000}},
		{"backup alone", 9000, []policy.Snapshot{with(fast, spare)}, []int{9000}},
	} {
		for i, s := range c.subs {
			got := MinRTT{}.Allow(policy.Request{Asker: s.ID, Unsent: c.unsent, Subs: c.subs})
			if got != c.want[i] {
				t.Errorf("%s: subflow %d may take %d, want %d", c.name, s.ID, got, c.want[i])
			}
		}
	}
	if got := (MinRTT{}).Allow(policy.Request{Asker: 7, Unsent: 1, Subs: []policy.Snapshot{fast}}); got != 0 {
		t.Errorf("an unknown subflow may take %d", got)
	}
}

// A small end is not handed to a subflow that would deliver it later than the
// full one would.
func TestMinRTTSmallEnd(t *testing.T) {
	full, slow := sub(0, 20*ms, 30000, 0), sub(1, 300*ms, 30000, 30000)
	allow := func(unsent int, subs ...policy.Snapshot) int {
		return MinRTT{}.Allow(policy.Request{Asker: 1, Unsent: unsent, Subs: subs})
	}
	// 1.5 MB/s drain 3000 bytes in 2 ms; the slow way takes 150 ms.
	if got := allow(3000, full, slow); got != 0 {
		t.Errorf("the slow subflow got %d bytes of a small end", got)
	}
	if got := allow(300000, full, slow); got != 300000 {
		t.Errorf("the slow subflow got %d of a bulk transfer", got)
	}
	// Where no ACK is under way to make room, waiting would be for ever.
	if got := allow(3000, with(full, idle), slow); got != 3000 {
		t.Errorf("waiting for an idle subflow without room: got %d", got)
	}
	if got := allow(3000, with(full, stale), slow); got != 3000 {
		t.Errorf("waiting for a stale subflow: got %d", got)
	}
	// The measured rate counts where there is one: here it is a trickle.
	if got := allow(3000, with(full, func(s *policy.Snapshot) { s.Delivered = 1000 }), slow); got != 3000 {
		t.Errorf("waiting for a trickle: got %d", got)
	}
	// Paths alike are both used, to the last byte.
	if got := allow(1400, full, sub(1, 22*ms, 30000, 30000)); got != 1400 {
		t.Errorf("equal paths: got %d", got)
	}
}

// Where the peer's window cannot cover a much slower round trip, data on that
// subflow would stop the faster one until it arrives.
func TestMinRTTWindow(t *testing.T) {
	full, slow := sub(0, 20*ms, 30000, 0), sub(1, 300*ms, 30000, 30000)
	allow := func(window int, subs ...policy.Snapshot) int {
		return MinRTT{}.Allow(policy.Request{Asker: 1, Unsent: 400000, Window: window, Subs: subs})
	}
	// 1.5 MB/s for 300 ms are 450 kB.
	if got := allow(440000, full, slow); got != 0 {
		t.Errorf("a window of 440 kB: %d bytes for the slow subflow", got)
	}
	if got := allow(460000, full, slow); got != 400000 {
		t.Errorf("a window of 460 kB: %d bytes for the slow subflow", got)
	}
	if got := allow(10000, full, sub(1, 60*ms, 30000, 30000)); got != 400000 {
		t.Errorf("a subflow not much slower was left out: %d", got)
	}
	if got := allow(10000, with(full, idle), slow); got != 400000 {
		t.Errorf("waiting for a subflow that does not move: %d", got)
	}
}

func TestReinject(t *testing.T) {
	a, b, c := sub(0, 20*ms, 30000, 10000), sub(1, 50*ms, 30000, 10000), sub(2, 10*ms, 30000, 0)
	for _, k := range []struct {
		name string
		lost policy.Subflow
		subs []policy.Snapshot
		want policy.Subflow
		ok   bool
	}{
		{"fastest with room", 9, []policy.Snapshot{b, c, a}, 0, true},
		{"not the one that lost it", 0, []policy.Snapshot{a, b}, 1, true},
		{"nobody else", 0, []policy.Snapshot{a}, 0, false},
		{"nobody has room", 0, []policy.Snapshot{a, c}, 0, false},
		{"a closed window with nothing in flight must be probed", 0, []policy.Snapshot{a, with(c, idle)}, 2, true},
		{"a backup, rather than a stale one", 0, []policy.Snapshot{a, with(b, spare), with(sub(3, ms, 9000, 9000), stale)}, 1, true},
		{"a regular one, rather than a backup", 0, []policy.Snapshot{a, with(sub(3, ms, 9000, 9000), spare), b}, 1, true},
		{"stale, if that is all", 0, []policy.Snapshot{a, with(b, stale)}, 1, true},
	} {
		for _, s := range []policy.Scheduler{MinRTT{}, RoundRobin{}} {
			got, ok := s.Reinject(1, k.lost, k.subs)
			if ok != k.ok || ok && got != k.want {
				t.Errorf("%s: %T picked %d %v, want %d %v", k.name, s, got, ok, k.want, k.ok)
			}
		}
	}
}

func TestRoundRobin(t *testing.T) {
	a, b, c := sub(0, 20*ms, 30000, 10000), sub(1, 500*ms, 30000, 10000), sub(2, 10*ms, 30000, 0)
	allow := func(id policy.Subflow, unsent int, subs ...policy.Snapshot) int {
		return RoundRobin{}.Allow(policy.Request{Asker: id, Unsent: unsent, Subs: subs})
	}
	if x, y := allow(0, 10000, a, b, c), allow(1, 10000, a, b, c); x != 5000 || y != 5000 {
		t.Errorf("shares %d and %d", x, y)
	}
	if x := allow(1, 1000, a, b); x != 1000 {
		t.Errorf("less than a segment was cut: %d", x)
	}
	if x := allow(1, 1000, a, with(b, spare)); x != 0 {
		t.Errorf("RFC 8684 §3.3.8: the backup got %d", x)
	}
	if x := allow(9, 1000, a); x != 0 {
		t.Errorf("an unknown subflow got %d", x)
	}
}

func snapshots(t *rapid.T) []policy.Snapshot {
	subs := make([]policy.Snapshot, rapid.IntRange(1, 4).Draw(t, "subflows"))
	for i := range subs {
		w := rapid.IntRange(0, 50000).Draw(t, "window")
		room := rapid.SampledFrom([]int{0, 0, 1400, w}).Draw(t, "room")
		subs[i] = sub(policy.Subflow(i), time.Duration(rapid.IntRange(0, 400).Draw(t, "rtt"))*ms, w, min(room, w))
		subs[i].Stale, subs[i].Backup = rapid.Bool().Draw(t, "stale"), rapid.Bool().Draw(t, "backup")
		subs[i].Backoffs = rapid.IntRange(0, 1).Draw(t, "backoffs")
	}
	return subs
}

// Whatever the subflows are like, nobody gets more than there is, and data does
// not wait for ever: somebody may send, or ACKs are under way.
func TestProgress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subs := snapshots(t)
		unsent := rapid.IntRange(1, 200000).Draw(t, "unsent")
		window := rapid.IntRange(0, 400000).Draw(t, "peer window")
		for _, name := range Names() {
			s, err := New(name)
			if err != nil {
				t.Fatal(err)
			}
			sent, flight := false, false
			for _, x := range subs {
				n := s.Allow(policy.Request{Now: 1, Asker: x.ID, Unsent: unsent, Window: window, Subs: subs})
				if n < 0 || n > unsent {
					t.Fatalf("%s: %d of %d", name, n, unsent)
				}
				sent = sent || n > 0
				flight = flight || x.InFlight > 0 && !x.Stale && x.Backoffs == 0
			}
			if !sent && !flight {
				t.Fatalf("%s: nobody may send", name)
			}
			if to, ok := s.Reinject(1, 0, subs); ok && to == 0 {
				t.Fatalf("%s: reinjection on the subflow that lost it", name)
			}
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := New("fastest"); err == nil {
		t.Error("an unknown name was taken")
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	subs := []policy.Snapshot{sub(0, 20*ms, 30000, 0), sub(1, 50*ms, 30000, 10000)}
	var s policy.Scheduler = MinRTT{}
	if n := testing.AllocsPerRun(100, func() {
		s.Allow(policy.Request{Asker: 1, Unsent: 90000, Subs: subs})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
