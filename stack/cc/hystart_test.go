package cc

import (
	"testing"
	"time"
)

// rounds feeds n rounds of 20 ACKs each, with the given RTT, and returns how
// the window changed.
func rounds(c Controller, n int, rtt time.Duration) (from, to int) {
	from, _ = c.Window()
	for range n {
		w, _ := c.Window()
		for range 20 {
			inFlight, _ := c.Window()
			c.Acked(Ack{Now: 1, Bytes: w / 20, InFlight: inFlight, RTT: rtt, SRTT: rtt})
		}
	}
	to, _ = c.Window()
	return
}

// RFC 9406 §4.2: the RTT threshold, clamped to 4 and 16 ms.
func TestHyStartThreshold(t *testing.T) {
	const ms = time.Millisecond
	for last, thresh := range map[time.Duration]time.Duration{10 * ms: 4 * ms, 32 * ms: 4 * ms, 40 * ms: 5 * ms,
		100 * ms: 12500 * time.Microsecond, 128 * ms: 16 * ms, 200 * ms: 16 * ms} {
		for _, more := range []time.Duration{thresh - 1, thresh} {
			r := reno(Config{MSS: 1000, Window: 20000})
			rounds(r, 2, last)
			rounds(r, 2, last+more) // the first still has an ACK of before in it
			if r.start.css != (more == thresh) {
				t.Errorf("round of %v after %v: CSS %v", last+more, last, r.start.css)
			}
		}
	}
}

// RFC 9406 §4.2: in CSS the window grows by a quarter, and after five rounds
// slow start is over.
func TestHyStartEnds(t *testing.T) {
	for _, name := range windowed {
		c, _ := New(name, Config{MSS: 1000, Window: 20000})
		if from, to := rounds(c, 2, 50*time.Millisecond); to != 4*from {
			t.Errorf("%s: slow start grew %d to %d", name, from, to)
		}
		rounds(c, 2, 60*time.Millisecond)
		for i := range 3 {
			from, to := rounds(c, 1, 60*time.Millisecond)
			if to < from*5/4 || to > from*13/10 {
				t.Errorf("%s: round %d of CSS grew %d to %d", name, i, from, to)
			}
		}
		rounds(c, 2, 60*time.Millisecond)
		w, s := c.Window()
		if s == maxWindow || s > w {
			t.Errorf("%s: after CSS cwnd is %d, ssthresh %d", name, w, s)
		}
		if from, to := rounds(c, 1, 60*time.Millisecond); to > from+3000 {
			t.Errorf("%s: after slow start grew %d to %d", name, from, to)
		}
	}
}

// RFC 9438 §4.10: after HyStart++ the curve starts on its plateau.
func TestHyStartLeavesCubicOnItsPlateau(t *testing.T) {
	c := cubic(Config{MSS: 1000, Window: 20000})
	rounds(c, 2, 50*time.Millisecond)
	rounds(c, 8, 60*time.Millisecond)
	if c.k != 0 || c.prior == 0 || c.epoch.IsZero() {
		t.Errorf("curve %+v", c.curve)
	}
}

// RFC 9406 §4.2: a spike of delay is forgiven.
func TestHyStartForgivesSpike(t *testing.T) {
	r := reno(Config{MSS: 1000, Window: 20000})
	rounds(r, 2, 50*time.Millisecond)
	rounds(r, 2, 70*time.Millisecond)
	if !r.start.css {
		t.Fatal("the spike was not seen")
	}
	rounds(r, 1, 50*time.Millisecond)
	if from, to := rounds(r, 1, 50*time.Millisecond); to < 2*from-20 || r.start.css {
		t.Errorf("after the spike slow start grew %d to %d", from, to)
	}
}

// RFC 9406 §4.2, §4.3: loss ends HyStart++; it is for the first slow start only.
func TestHyStartOnlyOnce(t *testing.T) {
	r := reno(Config{MSS: 1000, Window: 20000})
	r.Congested(Event{Now: 1, Kind: Timeout, InFlight: 20000, First: true})
	r.ssthresh = maxWindow
	rounds(r, 3, 50*time.Millisecond)
	r.cwnd = 40000
	rounds(r, 1, 90*time.Millisecond)
	if r.start.css || r.cwnd != 80000 {
		t.Errorf("cwnd %d, CSS %v", r.cwnd, r.start.css)
	}
}
