package cc

import (
	"math"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

func cubic(c Config) *Cubic { return NewCubic(c).(*Cubic) }

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// lossAt returns a controller that has just been reduced from w segments.
func lossAt(w int) *Cubic {
	c := cubic(Config{MSS: 1000, Window: w * 1000})
	c.Congested(Event{Now: 1, Kind: Loss, InFlight: w * 1000})
	return c
}

// RFC 9438 §4.2 equations 1 and 2.
func TestCubicCurve(t *testing.T) {
	for _, v := range []struct{ wMax, w, k float64 }{
		{100, 70, 4.217163}, {1000, 700, 9.085603}, {10, 7, 1.957434},
	} {
		c := lossAt(int(v.wMax))
		c.begin(mono.Time(time.Second))
		near(t, "K", c.k, v.k, 1e-5)
		near(t, "W(0)", c.at(0), v.w, 1e-6)
		near(t, "W(K)", c.at(c.k), v.wMax, 1e-6)
		near(t, "W(K+1)", c.at(c.k+1), v.wMax+0.4, 1e-6)
		near(t, "W(2K)", c.at(2*c.k), 2*v.wMax-v.w, 1e-6)
	}
	near(t, "alpha", cubicAlpha, 9.0/17, 1e-9)
}

// grow acknowledges a window per rtt for d and returns the window in segments.
func grow(c *Cubic, from mono.Time, rtt, d time.Duration) float64 {
	for now := from; now.Before(from.Add(d)); now = now.Add(rtt) {
		w, _ := c.Window()
		for n := w; n > 0; n -= 2 * c.mss {
			c.Acked(Ack{Now: now, Bytes: min(n, 2*c.mss), InFlight: w, SRTT: rtt})
		}
	}
	w, _ := c.Window()
	return float64(w) / float64(c.mss)
}

// RFC 9438 §4.4, §4.5: the window follows the curve through its plateau, no
// matter how often ACKs come.
func TestCubicFollowsTheCurve(t *testing.T) {
	for _, rtt := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond} {
		c := lossAt(1000)
		grow(c, 1, rtt, time.Duration(9.0856*float64(time.Second)))
		near(t, "window at K", float64(c.window.cwnd)/1000, 1000, 3)
		c = lossAt(1000)
		grow(c, 1, rtt, 15*time.Second)
		near(t, "window 6 s after K", float64(c.window.cwnd)/1000, 1000+0.4*math.Pow(15-9.0856, 3), 10)
	}
}

// RFC 9438 §4.3: with a short RTT the window follows what Reno would have:
// alpha segments per RTT until it is where it was, then one.
func TestCubicRenoFriendly(t *testing.T) {
	c := lossAt(20)
	rtt := time.Millisecond
	// From 14 to 20 segments by 9/17 per RTT: 11.3 RTTs.
	near(t, "window after 11 RTTs", grow(c, 1, rtt, 11*rtt), 14+11*9.0/17, 0.5)
	c = lossAt(20)
	near(t, "window after 31 RTTs", grow(c, 1, rtt, 31*rtt), 20+(31-11.3), 1)
}

// RFC 9438 §4.2: the target is at most half a window away, so even an age on
// the curve grows the window by half per RTT at most.
func TestCubicTargetIsBounded(t *testing.T) {
	c := lossAt(1000)
	c.Acked(Ack{Now: 1, Bytes: 1000, InFlight: 700000, SRTT: time.Second})
	w := c.window.cwnd
	// One window of ACKs, each a week of the curve later.
	for i := 1; i <= w/1000; i++ {
		c.Acked(Ack{Now: 1 + mono.Time(i*int(7*24*time.Hour)), Bytes: 1000, InFlight: w, SRTT: time.Second})
	}
	if got := c.window.cwnd; got > 2*w {
		t.Errorf("one window of ACKs grew %d to %d", w, got)
	}
	// One ACK for many windows does not pass the target either.
	c = lossAt(1000)
	c.Acked(Ack{Now: 1, Bytes: 1000, InFlight: 700000, SRTT: time.Second})
	w = c.window.cwnd
	c.Acked(Ack{Now: 1 + mono.Time(7*24*time.Hour), Bytes: 50 * w, InFlight: 50 * w, SRTT: time.Second})
	near(t, "window after one huge ACK", float64(c.window.cwnd), 1.5*float64(w), 2000)
}

// RFC 9438 §4.6, RFC 9438 §4.7: reduction and fast convergence.
func TestCubicReduction(t *testing.T) {
	c := lossAt(100)
	wantWindow(t, c, 70000, 70000)
	near(t, "W_max", c.wMax, 100, 0)
	// Fast convergence: the second loss comes below W_max.
	c.Congested(Event{Now: 2, Kind: Loss, InFlight: 70000})
	wantWindow(t, c, 49000, 49000)
	near(t, "W_max", c.wMax, 70*0.85, 1e-9)

	c = lossAt(100)
	c.Congested(Event{Now: 3, Kind: Loss, InFlight: 1000})
	wantWindow(t, c, 2000, 2000)
	c.Congested(Event{Now: 4, Kind: ECN, InFlight: 1000})
	wantWindow(t, c, 1000, 2000)
}

// RFC 9438 §4.8: after a timeout slow start up to 0.7 of what was in flight,
// then an epoch that starts on its plateau.
func TestCubicTimeout(t *testing.T) {
	c := cubic(Config{MSS: 1000, Window: 100000})
	c.Congested(Event{Now: 1, Kind: Timeout, InFlight: 100000, First: true})
	wantWindow(t, c, 1000, 70000)
	c.Congested(Event{Now: 2, Kind: Timeout, InFlight: 100000})
	wantWindow(t, c, 1000, 70000)
	c.Acked(Ack{Now: 3, Bytes: 69000, InFlight: 69000, SRTT: time.Millisecond})
	wantWindow(t, c, 70000, 70000)
	c.Acked(Ack{Now: 4, Bytes: 1000, InFlight: 70000, SRTT: time.Millisecond})
	near(t, "K", c.k, 0, 0)
	near(t, "W_max", c.wMax, 70, 1e-9)
}

// RFC 9438 §4.9: a spurious event leaves nothing behind.
func TestCubicUndo(t *testing.T) {
	c := lossAt(100)
	grow(c, 1, 50*time.Millisecond, 2*time.Second)
	w, s := c.Window()
	shape := c.curve
	now := mono.Time(3 * time.Second)
	c.Congested(Event{Now: now, Kind: Loss, InFlight: w})
	c.Acked(Ack{Now: now, Bytes: 5000, InFlight: w / 2, Recovery: true})
	c.Undo(now)
	wantWindow(t, c, w, s)
	if c.curve != shape {
		t.Errorf("curve %+v, was %+v", c.curve, shape)
	}
	c.Congested(Event{Now: now, Kind: Loss, InFlight: w})
	c.window.cwnd = 2 * w
	c.Undo(now)
	if c.window.cwnd != 2*w {
		t.Error("undo made a window smaller")
	}
}

// RFC 9438 §4.2: time in which the application limited the sender is not part
// of the epoch: an hour of trickling earns nothing.
func TestCubicApplicationLimited(t *testing.T) {
	c := lossAt(1000)
	rtt := 100 * time.Millisecond
	busy := grow(c, 1, rtt, 5*time.Second)
	now := mono.Time(1).Add(5 * time.Second)
	for range 36000 {
		c.Acked(Ack{Now: now, Bytes: 1000, InFlight: 1000, SRTT: rtt, AppLimited: true})
		now = now.Add(rtt)
	}
	near(t, "window after trickling", float64(c.window.cwnd)/1000, busy, 0)
	other := lossAt(1000)
	grow(other, 1, rtt, 7*time.Second)
	grow(c, now, rtt, 2*time.Second)
	near(t, "window after resuming", float64(c.window.cwnd)/1000, float64(other.window.cwnd)/1000, 5)
}

// RFC 5681 §4.1: idle falls back to the initial window; growth restarts.
func TestCubicIdle(t *testing.T) {
	c := cubic(Config{MSS: 1000})
	c.Acked(Ack{Now: 1, Bytes: 90000, InFlight: 90000})
	c.Idle(2, time.Minute)
	wantWindow(t, c, 10000, maxWindow)
}
