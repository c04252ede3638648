package rack

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

const ms = time.Millisecond

func at(d time.Duration) mono.Time { return mono.Time(time.Second).Add(d) }

func wantLost(t *testing.T, d *Detector, now mono.Time, s Sent, window time.Duration, lost bool, wait time.Duration) {
	t.Helper()
	if l, w := d.Lost(now, s, window); l != lost || w != wait {
		t.Errorf("Lost is %v, wait %v; want %v, %v", l, w, lost, wait)
	}
}

// RFC 8985 §6.2 step 5: what was sent before the latest delivered is lost once
// that round trip and the window are over.
func TestLost(t *testing.T) {
	var d Detector
	wantLost(t, &d, at(time.Hour), Sent{At: at(0), End: 1000}, 0, false, 0)
	// Sent at 0, 1, 2 ms; the last arrives with an RTT of 20 ms.
	d.Delivered(at(22*ms), Sent{At: at(2 * ms), End: 3000}, false, 0)
	wantLost(t, &d, at(22*ms), Sent{At: at(0), End: 1000}, 0, true, 0)
	wantLost(t, &d, at(22*ms), Sent{At: at(0), End: 1000}, 5*ms, false, 3*ms)
	wantLost(t, &d, at(25*ms), Sent{At: at(0), End: 1000}, 5*ms, true, 0)
	wantLost(t, &d, at(22*ms), Sent{At: at(1 * ms), End: 2000}, 5*ms, false, 4*ms)
	// Sent later than what was delivered: nothing is known of it.
	wantLost(t, &d, at(time.Second), Sent{At: at(3 * ms), End: 4000}, 0, false, 0)
}

// RFC 8985 §6.2 step 2: one instant is ordered by offset.
func TestTies(t *testing.T) {
	var d Detector
	d.Delivered(at(20*ms), Sent{At: at(0), End: 2000}, false, 0)
	wantLost(t, &d, at(20*ms), Sent{At: at(0), End: 1000}, 0, true, 0)
	wantLost(t, &d, at(20*ms), Sent{At: at(0), End: 3000}, 0, false, 0)
}

// RFC 8985 §6.2 step 2: an ACK for the original says nothing of its
// retransmission.
func TestAmbiguousRetransmission(t *testing.T) {
	older := Sent{At: at(50 * ms), End: 500}
	again := Sent{At: at(100 * ms), End: 1000, Resent: true}
	for _, c := range []struct {
		name string
		now  mono.Time
		old  bool
		lost bool
	}{
		{"a round trip later", at(120 * ms), false, true},
		{"sooner than any round trip", at(105 * ms), false, false},
		{"with an echo of the original", at(120 * ms), true, false},
	} {
		var d Detector
		d.Delivered(c.now, again, c.old, 10*ms)
		if lost, _ := d.Lost(at(time.Second), older, 0); lost != c.lost {
			t.Errorf("%s: lost %v", c.name, lost)
		}
	}
}

// RFC 8985 §3.3.1: a retransmission is lost if something sent after it arrives.
func TestLostRetransmission(t *testing.T) {
	var d Detector
	d.Delivered(at(20*ms), Sent{At: at(0), End: 5000}, false, 0)
	again := Sent{At: at(20 * ms), End: 1000, Resent: true}
	wantLost(t, &d, at(30*ms), again, 0, false, 0)
	d.Delivered(at(41*ms), Sent{At: at(21 * ms), End: 6000}, false, 20*ms)
	wantLost(t, &d, at(41*ms), again, 0, true, 0)
}

// RFC 8985 §6.2 step 4.
func TestWindow(t *testing.T) {
	var d Detector
	if w := d.Window(false, 2, 40*ms, 50*ms); w != 10*ms {
		t.Errorf("window %v before anything", w)
	}
	if d.Window(true, 0, 40*ms, 50*ms) != 0 || d.Window(false, 3, 40*ms, 50*ms) != 0 {
		t.Error("without reordering recovery, or three SACKed segments, end the wait")
	}
	// Step 3: a range below the highest that arrived, never retransmitted.
	d.Delivered(at(20*ms), Sent{At: at(0), End: 3000}, false, 0)
	d.Delivered(at(21*ms), Sent{At: at(0), End: 1000, Resent: true}, false, 0)
	if d.Reordered() {
		t.Error("a repaired hole is not reordering")
	}
	d.Delivered(at(21*ms), Sent{At: at(0), End: 2000}, false, 0)
	if !d.Reordered() || d.Window(true, 5, 40*ms, 50*ms) != 10*ms {
		t.Errorf("reordering %v, window %v", d.Reordered(), d.Window(true, 5, 40*ms, 50*ms))
	}
}

// RFC 8985 §6.2 step 4: a DSACK widens the window, once per round trip, for 16
// recoveries, and never beyond SRTT (RFC 8985 §3.3.2).
func TestWindowAdapts(t *testing.T) {
	d := Detector{reordered: true}
	want := func(w time.Duration) {
		t.Helper()
		if got := d.Window(true, 0, 40*ms, 45*ms); got != w {
			t.Errorf("window %v, want %v", got, w)
		}
	}
	d.Duplicate(1000, 9000)
	want(20 * ms)
	d.Duplicate(5000, 12000)
	want(20 * ms)
	d.Duplicate(9000, 20000)
	want(30 * ms)
	for range 15 {
		d.RecoveryEnded()
	}
	want(30 * ms)
	d.RecoveryEnded()
	want(10 * ms)
	for i := range uint64(20) {
		d.Duplicate(20000+i*1000, 21000+i*1000)
	}
	want(45 * ms)
}

// RFC 8985 §6.3: a timeout takes the first for lost, others only in their time.
func TestExpired(t *testing.T) {
	var d Detector
	d.Delivered(at(20*ms), Sent{At: at(0), End: 1000}, false, 0)
	now := at(220 * ms)
	if !d.Expired(now, Sent{At: now, End: 2000}, true, 5*ms) ||
		!d.Expired(now, Sent{At: at(195 * ms), End: 3000}, false, 5*ms) ||
		d.Expired(now, Sent{At: at(196 * ms), End: 4000}, false, 5*ms) {
		t.Error("wrong ranges are lost at a timeout")
	}
}

// RFC 8985 §7.2.
func TestProbeTimeout(t *testing.T) {
	now := at(0)
	for _, c := range []struct {
		rto, srtt time.Duration
		lone      bool
		want      time.Duration
	}{
		{300 * ms, 50 * ms, false, 100 * ms},
		{300 * ms, 50 * ms, true, 200 * ms},
		{250 * ms, 100 * ms, true, 250 * ms},
		{3 * time.Second, 0, false, time.Second},
		{500 * ms, 0, false, 500 * ms},
	} {
		if got := Timeout(now, now.Add(c.rto), c.srtt, 100*ms, c.lone); got != now.Add(c.want) {
			t.Errorf("%+v: probe after %v", c, got.Sub(now))
		}
	}
	if Timeout(now, 0, 50*ms, 0, false) != now.Add(100*ms) {
		t.Error("without a retransmission timer")
	}
}

// RFC 8985 §7.3: one probe at a time, and a sample between two; RFC 8985 §7.1:
// recovery forgets it.
func TestProbeAllowed(t *testing.T) {
	var p Probe
	if !p.Allowed() {
		t.Error("no first probe")
	}
	p.Sent(1000, false)
	if p.Allowed() {
		t.Error("a second probe in flight")
	}
	p.Acked(1000, false, false)
	if p.Allowed() {
		t.Error("a second probe without a sample")
	}
	p.Sampled()
	if !p.Allowed() {
		t.Error("no second probe")
	}
	p.Sent(2000, true)
	p.Reset()
	if p.Allowed() || p.Acked(3000, false, false) {
		t.Error("Reset kept the probe, or forgot that there was no sample")
	}
}

// RFC 8985 §7.4.2: when a probe has repaired a loss.
func TestProbeAcked(t *testing.T) {
	for _, c := range []struct {
		name            string
		again           bool
		una             uint64
		dsack, bare     bool
		repaired, still bool
	}{
		{"too little", true, 999, false, false, false, true},
		{"new data", false, 1000, false, false, false, false},
		{"both copies arrived", true, 1000, true, false, false, false},
		{"both copies arrived, no SACK", true, 1000, false, true, false, false},
		{"exactly the probe: still open", true, 1000, false, false, false, true},
		{"beyond the probe", true, 1500, false, false, true, false},
		{"beyond the probe with DSACK", true, 1500, true, false, false, false},
	} {
		var p Probe
		p.Sent(1000, c.again)
		if got := p.Acked(c.una, c.dsack, c.bare); got != c.repaired || p.out != c.still {
			t.Errorf("%s: repaired %v, still out %v", c.name, got, p.out)
		}
	}
}
