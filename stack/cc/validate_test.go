package cc

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// trickle feeds n bytes a round trip for d, application-limited.
func trickle(c Controller, from mono.Time, n int, rtt, d time.Duration) mono.Time {
	now := from
	for ; now.Before(from.Add(d)); now = now.Add(rtt) {
		c.Acked(Ack{Now: now, Bytes: n, InFlight: n, SRTT: rtt, AppLimited: true})
	}
	return now
}

// RFC 7661 §4.2: the pipe is what is acknowledged in a round trip, the largest
// of the last second or three round trips; undefined at first, and not measured
// while lost data is being repaired.
func TestPipeACK(t *testing.T) {
	const rtt = 100 * time.Millisecond
	r := reno(Config{MSS: 1000, Window: 100000})
	if p := r.use.pipeACK(); p != 0 {
		t.Errorf("pipe %d before any sample", p)
	}
	now := trickle(r, 1, 20000, rtt, 500*time.Millisecond)
	if p := r.use.pipeACK(); p < 20000 || p > 40000 {
		t.Errorf("pipe %d at 20000 a round trip", p)
	}
	r.Acked(Ack{Now: now, Bytes: 90000, InFlight: 90000, SRTT: rtt, Recovery: true})
	trickle(r, now.Add(rtt), 5000, rtt, 3*time.Second)
	if p := r.use.pipeACK(); p < 5000 || p > 10000 {
		t.Errorf("pipe %d at 5000 a round trip, three seconds on", p)
	}
}

// RFC 7661 §4.4, RFC 7661 §4.4.3: a window of which less than half is used does not grow,
// and after five minutes half of it is given up; ssthresh remembers.
func TestNonValidatedPhase(t *testing.T) {
	for _, name := range windowed {
		c, _ := New(name, Config{MSS: 1000})
		const rtt = 100 * time.Millisecond
		c.Acked(Ack{Now: 1, Bytes: 90000, InFlight: 90000})
		c.Congested(Event{Now: 1, Kind: Loss, InFlight: 100000})
		before, _ := c.Window()
		now := trickle(c, 2, 3000, rtt, 4*time.Minute+50*time.Second)
		if w, _ := c.Window(); w != before {
			t.Errorf("%s: window %d, was %d", name, w, before)
		}
		trickle(c, now, 3000, rtt, 20*time.Second)
		if w, s := c.Window(); w != before/2 || s < before*3/4-1000 {
			t.Errorf("%s: window %d, ssthresh %d after five minutes, was %d", name, w, s, before)
		}
		trickle(c, now, 3000, rtt, time.Hour)
		if w, _ := c.Window(); w != before/2 && w < 10000 {
			t.Errorf("%s: window %d is below the initial one", name, w)
		}
	}
}

// RFC 7661 §4.4.1: a loss in the non-validated phase starts from what was in
// use, less what was lost, and leaves the pipe undefined.
func TestLossInNonValidatedPhase(t *testing.T) {
	r := reno(Config{MSS: 1000, Window: 100000})
	trickle(r, 1, 20000, 100*time.Millisecond, 5*time.Second)
	r.Congested(Event{Now: mono.Time(6 * time.Second), Kind: Loss, InFlight: 10000, Lost: 4000})
	if w, _ := r.Window(); w > 10000 || w < 8000 {
		t.Errorf("window %d after a loss with 20000 in use", w)
	}
	if p := r.use.pipeACK(); p != 0 {
		t.Errorf("pipe %d is still defined", p)
	}
}

// RFC 8511 §3.1: a mark takes less than a loss in congestion avoidance: 0.8 for
// Reno, 0.85 for CUBIC; RFC 3168 §6.1.2: as much as a loss in slow start.
func TestABE(t *testing.T) {
	for name, beta := range map[string]float64{"newreno": 0.8, "cubic": 0.85} {
		c, _ := New(name, Config{MSS: 1000, Window: 200000})
		c.Congested(Event{Now: 1, Kind: ECN, InFlight: 200000})
		slow, _ := c.Window()
		if slow > 140000 {
			t.Errorf("%s: a mark in slow start left %d of 200000", name, slow)
		}
		c.Congested(Event{Now: 2, Kind: ECN, InFlight: slow})
		w, s := c.Window()
		near(t, name+": window after a mark", float64(w), beta*float64(slow), 1)
		near(t, name+": ssthresh after a mark", float64(s), beta*float64(slow), 1)
	}
}

// Pacing: twice the window a round trip in slow start, 1.2 times after, and none
// before the first sample or where a round trip is as short as a burst.
func TestPacingGain(t *testing.T) {
	for _, name := range windowed {
		c, _ := New(name, Config{MSS: 1000})
		if p := c.Pacing(); p != 0 {
			t.Errorf("%s: paced at %f before the first sample", name, p)
		}
		c.Acked(Ack{Now: 1, Bytes: 10000, InFlight: 10000, SRTT: 100 * time.Millisecond})
		near(t, name+" in slow start", c.Pacing(), 2*20000/0.1, 1e-6)
		c.Congested(Event{Now: 2, Kind: Loss, InFlight: 20000})
		w, _ := c.Window()
		near(t, name+" after it", c.Pacing(), 1.2*float64(w)/0.1, 1e-6)
		c.Acked(Ack{Now: 3, Bytes: 1000, InFlight: w, SRTT: time.Millisecond})
		if p := c.Pacing(); p != 0 {
			t.Errorf("%s: paced at %f with a round trip of 1 ms", name, p)
		}
	}
}

// A burst is a millisecond's worth, at least two segments, at most 64 KiB
// (draft-ietf-ccwg-bbr §5.6.3).
func TestQuantum(t *testing.T) {
	for rate, want := range map[float64]int{1e4: 2920, 2.5e6: 2920, 1e7: 10000, 1e8: 65536, 1e10: 65536} {
		if got := Quantum(rate, 1460); got != want {
			t.Errorf("quantum at %g B/s is %d, want %d", rate, got, want)
		}
	}
}

// RFC 9406 §4.2: a round ends when what was sent at its start is acknowledged;
// the minimum of the round before is kept, and samples are counted anew.
func TestHyStartRounds(t *testing.T) {
	h := &hystart{}
	h.growth(Ack{Bytes: 1000, InFlight: 11000, RTT: 50 * time.Millisecond})
	if h.round != 10000 || h.last != 50*time.Millisecond {
		t.Fatalf("%+v", h)
	}
	for i := range 9 {
		h.growth(Ack{Bytes: 1000, InFlight: 10000, RTT: time.Duration(60-i) * time.Millisecond})
	}
	if h.samples != 9 || h.current != 52*time.Millisecond || h.last != 50*time.Millisecond {
		t.Errorf("within the round: %+v", h)
	}
	h.growth(Ack{Bytes: 1000, InFlight: 10000, RTT: 70 * time.Millisecond})
	if h.samples != 0 || h.current != 0 || h.last != 52*time.Millisecond {
		t.Errorf("after the round: %+v", h)
	}
}

// RFC 9406 §4.3: with pacing, an ACK for many segments grows slow start by all of
// them; fewer than eight samples decide nothing (§4.2).
func TestHyStartUnlimitedGrowth(t *testing.T) {
	r := reno(Config{MSS: 1000, Window: 100000})
	r.Acked(Ack{Now: 1, Bytes: 64000, InFlight: 100000, RTT: 50 * time.Millisecond, SRTT: 50 * time.Millisecond})
	wantWindow(t, r, 164000, maxWindow)
	h := &hystart{last: 50 * time.Millisecond, round: 1 << 20}
	for range 7 {
		h.growth(Ack{Bytes: 1000, InFlight: 10000, RTT: time.Second})
	}
	if h.css {
		t.Error("seven samples ended slow start")
	}
	h.growth(Ack{Bytes: 1000, InFlight: 10000, RTT: time.Second})
	if !h.css {
		t.Error("eight samples did not")
	}
}
