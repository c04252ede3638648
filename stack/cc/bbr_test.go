package cc

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/mono"
)

const ms = time.Millisecond

// draft-ietf-ccwg-bbr §5.3.1, §5.3.1.2, appendix "Exiting STARTUP on Bandwidth
// Plateau": Startup doubles the rate until three rounds bring less than a
// quarter more; the bandwidth is then known to 2 %.
func TestBBRStartup(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	if g, w := p.state.gains(); g != 2.77 || w != 2 {
		t.Errorf("gains %g, %g", g, w)
	}
	rounds := 0
	p.run(20*time.Second, func() bool { rounds = p.round.count; return p.state != bbrStartup })
	wantTrace(t, p.trace, bbrDrain)
	near(t, "bandwidth", p.bw.most()/p.rate, 1, 0.02)
	if p.full.count != 3 || !p.full.now || !p.full.reached {
		t.Errorf("full pipe %+v", p.full)
	}
	// log2(250 segments / 10) rounds, three for the plateau.
	if rounds > 10 {
		t.Errorf("%d rounds", rounds)
	}
}

// draft-ietf-ccwg-bbr §5.3.1.3: loss ends Startup after a round of recovery with
// more than 2 % in six ranges or more.
func TestBBRStartupLoss(t *testing.T) {
	p := onPath(t, 400, 50*ms, 1<<30)
	p.drop = func(i int) bool { return i > 300 && i%20 == 0 }
	p.until(bbrDrain)
	if p.full.count >= 3 {
		t.Error("it was the plateau that ended Startup")
	}
	if p.bound.long >= unbounded || p.bound.long < p.bound.latest {
		t.Errorf("inflight_longterm %d, delivered in a round %d", p.bound.long, p.bound.latest)
	}
	// One loss in a hundred is tolerated.
	q := onPath(t, 40, 50*ms, 1<<30)
	q.drop = every(101)
	q.until(bbrDrain)
	if q.full.count < 3 {
		t.Error("1 % of loss ended Startup")
	}
}

// Appendix "Exiting STARTUP on Loss When Application-Limited" and "Never Exiting
// ... With No Loss" of draft-ietf-ccwg-bbr.
func TestBBRStartupApplicationLimited(t *testing.T) {
	p := onPath(t, 100, 50*ms, 1<<30)
	credit := 0
	var last mono.Time
	p.demand = func() bool { // 16 Mbit/s
		for last < p.now {
			last = max(last, p.now-mono.Time(time.Second)).Add(ms)
			credit += 2
		}
		return p.sent < credit
	}
	p.run(20*time.Second, nil)
	if p.state != bbrStartup && p.state != bbrProbeRTT {
		t.Fatalf("in %v without loss", p.state)
	}
	p.drop = every(4)
	p.run(20*time.Second, func() bool { return p.full.reached })
	if !p.full.now || !p.full.reached {
		t.Errorf("a quarter lost, and %v", p.trace)
	}
}

// draft-ietf-ccwg-bbr §5.3.2: Drain paces at half the rate until no more than the
// product is in flight.
func TestBBRDrain(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrDrain)
	if g, _ := p.state.gains(); g != 0.5 {
		t.Errorf("gain %g", g)
	}
	p.run(ms, nil)
	near(t, "rate", p.rate0(), 0.5*0.99*p.bw.now, p.bw.now/100)
	p.run(time.Second, func() bool { return p.state != bbrDrain })
	if !p.state.cycling() || p.inFlight > p.bdpBytes()*11/10 {
		t.Errorf("%d in flight, the product is %d", p.inFlight, p.bdpBytes())
	}
}

func (p *bottleneck) rate0() float64 { return p.Pacing() }

// Appendix "Exiting DRAIN Based on Time" of draft-ietf-ccwg-bbr: after three
// rounds Drain ends though the queue stands.
func TestBBRDrainEndsByTime(t *testing.T) {
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	b.state, b.full.reached, b.full.drained = bbrDrain, true, 5
	a := Ack{Now: 1, Bytes: 1000, InFlight: 1 << 20}
	for b.round.count = 5; b.round.count <= 8; b.round.count++ {
		if b.checkDrainDone(&a); b.state != bbrDrain {
			t.Fatalf("in %v after %d rounds with the queue standing", b.state, b.round.count-5)
		}
	}
	if b.checkDrainDone(&a); b.state != bbrDown {
		t.Errorf("in %v after more than three rounds", b.state)
	}
}

// draft-ietf-ccwg-bbr §5.3.3, §5.6.1: the cycle of ProbeBW, its gains, and REFILL
// lasting one round.
func TestBBRCycle(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	refill := 0
	p.watch = func(from, to bbrState) {
		switch {
		case to == bbrRefill:
			refill = p.round.count
		case from == bbrRefill && p.round.count != refill+1:
			t.Errorf("REFILL took %d rounds", p.round.count-refill)
		}
	}
	p.run(4900*ms, nil)
	wantTrace(t, p.trace, bbrDrain, bbrCruise, bbrRefill, bbrUp, bbrDown, bbrCruise)
	for s, want := range map[bbrState][2]float64{bbrDown: {0.9, 2}, bbrCruise: {1, 2}, bbrRefill: {1, 2}, bbrUp: {1.25, 2.25},
		bbrProbeRTT: {1, 0.5}} {
		if g, w := s.gains(); g != want[0] || w != want[1] {
			t.Errorf("%v: gains %g and %g", s, g, w)
		}
	}
}

// draft-ietf-ccwg-bbr §5.3.3.8: a probe every two to three seconds, or as often
// as Reno would: every BDP rounds, 63 at most.
func TestBBRProbeWait(t *testing.T) {
	for _, c := range []struct {
		rtt      time.Duration
		mbit     float64
		min, max time.Duration
	}{
		{200 * ms, 40, 1900 * ms, 3700 * ms}, // by the clock
		{20 * ms, 40, 62 * 20 * ms, 70 * 20 * ms},
		{50 * ms, 4, 23 * 50 * ms, 34 * 50 * ms}, // 25 segments
	} {
		p := onPath(t, c.mbit, c.rtt, 1<<30)
		var down mono.Time
		seen := 0
		p.watch = func(_, to bbrState) {
			switch to {
			case bbrDown:
				down = p.now
			case bbrRefill:
				if d := p.now.Sub(down); down != 0 && (d < c.min || d > c.max) {
					t.Errorf("%v, %g Mbit/s: REFILL %v after DOWN", c.rtt, c.mbit, d)
				}
				seen++
			case bbrProbeRTT:
				down = 0
			}
		}
		p.run(30*time.Second, nil)
		if seen < 5 {
			t.Errorf("%v: %d probes in 30 s", c.rtt, seen)
		}
	}
	a, b := bbrCycle{rnd: 1}, bbrCycle{rnd: 2}
	if a.random() == b.random() {
		t.Error("two connections probe in step")
	}
}

// Appendix "Increasing Bandwidth 10x" of draft-ietf-ccwg-bbr, §5.3.3.5: the bound
// grows by 1, 2, 4, ... segments a round, so ten times the bandwidth is found in
// a few rounds.
func TestBBRProbeUp(t *testing.T) {
	p := onPath(t, 10, 50*ms, 1<<30)
	p.until(bbrCruise)
	p.bound.long = p.bdpBytes() * 5 / 4
	p.rate *= 10
	p.until(bbrUp)
	var slopes []int
	round := -1
	p.run(time.Second, func() bool {
		if p.state == bbrUp && p.round.count != round {
			round = p.round.count
			slopes = append(slopes, p.cycle.upRounds)
		}
		return p.state != bbrUp
	})
	if len(slopes) < 4 || slopes[len(slopes)-1] < 5 {
		t.Errorf("slopes %v", slopes)
	}
	p.run(8*time.Second, nil)
	near(t, "bandwidth", p.bw.most()/p.rate, 1, 0.05)
	if g := p.goodput(5 * time.Second); g < 0.9 {
		t.Errorf("goodput %.2f of the new rate", g)
	}
}

// draft-ietf-ccwg-bbr §5.3.3.7: UP ends on a plateau after three rounds without
// growth, if nothing but the path limits.
func TestBBRProbeUpPlateau(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrUp)
	from := p.round.count
	p.until(bbrDown)
	if n := p.round.count - from; n < 3 || n > 4 || !p.full.now {
		t.Errorf("UP took %d rounds, full pipe %+v", n, p.full)
	}
}

// draft-ietf-ccwg-bbr §5.5.10.2 and appendix "Handling Loss During PROBE_UP":
// too much lost while probing bounds what is in flight, by no more than Beta,
// and ends the probe.
func TestBBRTooHigh(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrUp)
	p.run(60*ms, nil)
	p.drop = every(10)
	p.run(time.Second, func() bool { return p.state != bbrUp })
	if p.state != bbrDown || !p.cycle.tooHigh || p.bound.long >= unbounded {
		t.Fatalf("in %v, too high %v, bound %d", p.state, p.cycle.tooHigh, p.bound.long)
	}
	if p.bound.long < p.bdpBytes()*7/10 {
		t.Errorf("bound %d, the product is %d", p.bound.long, p.bdpBytes())
	}
	// The next probe is precautionary: one touch of the bound ends it, and if
	// that was safe another follows at once (§5.3.3.6).
	p.drop = nil
	p.until(bbrRefill)
	p.bound.long = p.bdpBytes() * 11 / 10
	p.until(bbrUp)
	p.run(5*time.Second, func() bool { return p.cycle.precautionary })
	if p.state != bbrDown || !p.cycle.precautionary {
		t.Fatalf("in %v, precautionary %v", p.state, p.cycle.precautionary)
	}
	p.trace = nil
	p.run(500*ms, nil)
	if len(p.trace) == 0 || (p.trace[0] != bbrRefill && (len(p.trace) < 2 || p.trace[1] != bbrRefill)) {
		t.Errorf("no second probe at once: %v", p.trace)
	}
}

// draft-ietf-ccwg-bbr §5.5.10.2: within a super-segment the loss threshold may
// have been crossed half-way.
func TestBBRInflightAtLoss(t *testing.T) {
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	// 100000 in flight before, nothing lost: 2 % are crossed after
	// x = 0.02*100000/0.98 bytes more.
	if got := b.inflightAtLoss(&Lost{Bytes: 64000, Since: 64000, InFlight: 164000}); got != 102040 {
		t.Errorf("%d", got)
	}
}

// draft-ietf-ccwg-bbr §5.5.10.3: outside of probing a round with loss lowers the
// short-term bounds to what was delivered, by no more than Beta; REFILL forgets
// them.
func TestBBRShortTerm(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrCruise)
	p.run(400*ms, nil)
	n := p.sent
	p.drop = func(i int) bool { return i == n+10 }
	p.run(200*ms, nil)
	if p.bound.bwShort >= unbounded || p.bound.short >= unbounded {
		t.Fatalf("no bounds after a loss in %v", p.state)
	}
	near(t, "bw_shortterm", p.bound.bwShort/p.rate, 0.98, 0.04)
	if p.bw.now > p.bound.bwShort {
		t.Errorf("bw %f above its bound", p.bw.now)
	}
	p.until(bbrRefill)
	if p.bound.bwShort < unbounded || p.bound.short < unbounded {
		t.Error("REFILL keeps the short-term bounds")
	}
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	b.state, b.cwnd, b.bw.max[0] = bbrCruise, 100000, 1e6
	b.loss.inRound, b.loss.roundStart = true, true
	b.congestionSignals(&Sample{Prior: 1, Total: 2})
	near(t, "bw_shortterm at the least", b.bound.bwShort, 0.7e6, 1)
	near(t, "inflight_shortterm at the least", float64(b.bound.short), 70000, 1)
}

// draft-ietf-ccwg-bbr §2.5 to §2.16.
func TestBBRConstants(t *testing.T) {
	for what, v := range map[string][2]float64{
		"LossThresh": {bbrLossThresh, 0.02}, "Beta": {bbrBeta, 0.7}, "Headroom": {bbrHeadroom, 0.15}, "MinPipeCwnd": {bbrMinPipe, 4},
		"MinRTTFilterLen": {bbrMinRTTFilter.Seconds(), 10}, "ProbeRTTInterval": {bbrProbeRTTInterval.Seconds(), 5},
		"ProbeRTTDuration": {bbrProbeRTTDuration.Seconds(), 0.2}, "PacingMargin": {bbrPacingMargin, 0.01},
		"FullLossCnt": {bbrFullLossCount, 6}, "ExtraAckedFilterLen": {bbrExtraRounds, 10},
	} {
		near(t, what, v[0], v[1], 1e-12)
	}
	var w bbrBW
	w.max[0] = 5
	w.advance()
	w.max[0] = 3
	if w.most() != 5 {
		t.Error("a bandwidth of the cycle before is forgotten")
	}
	w.advance()
	w.max[0] = 2
	if w.most() != 3 {
		t.Errorf("%f: the filter is longer than two cycles", w.most())
	}
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	b.bound.long = 100000
	if b.withHeadroom() != 85000 {
		t.Errorf("headroom leaves %d", b.withHeadroom())
	}
}

// draft-ietf-ccwg-bbr §5.3.4 and appendix "Entering and Exiting PROBE_RTT": five
// seconds without a lower sample, then half a product in flight for 200 ms and
// a round, then the window is back.
func TestBBRProbeRTT(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrCruise)
	p.rtt += 10 * ms // no lower sample from now on
	since := p.now
	p.until(bbrProbeRTT)
	if d := p.now.Sub(since); d < 4*time.Second || d > 6*time.Second {
		t.Errorf("ProbeRTT after %v", d)
	}
	before, entered := p.bound.prior, p.now
	least := p.inFlight
	p.run(time.Second, func() bool { least = min(least, p.inFlight); return p.state != bbrProbeRTT })
	if p.state != bbrCruise {
		t.Fatalf("in %v after ProbeRTT", p.state)
	}
	if d := p.now.Sub(entered); d < 200*ms || d > 400*ms {
		t.Errorf("ProbeRTT took %v", d)
	}
	if least > p.bdpBytes()*6/10 || least < p.bdpBytes()*3/10 {
		t.Errorf("%d in flight in ProbeRTT, the product is %d", least, p.bdpBytes())
	}
	if p.bound.prior < before || p.cwnd < p.bdpBytes() {
		t.Errorf("window %d after ProbeRTT", p.cwnd)
	}
}

// Appendix "Entering and Exiting PROBE_RTT During STARTUP" of
// draft-ietf-ccwg-bbr.
func TestBBRProbeRTTInStartup(t *testing.T) {
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	b.state, b.minRTT.done = bbrProbeRTT, 1
	b.checkProbeRTTDone(2, 0)
	if b.state != bbrStartup {
		t.Errorf("in %v", b.state)
	}
}

// draft-ietf-ccwg-bbr §5.4.1 and appendix "Skipping PROBE_RTT": who was silent has
// drained the queue; it resumes at the rate it knew, with no burst.
func TestBBRIdle(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrCruise)
	p.run(300*ms, nil)
	quiet := p.now.Add(7 * time.Second)
	p.demand = func() bool { return p.now > quiet }
	p.trace = nil
	p.run(quiet.Sub(p.now)+ms, nil)
	p.run(20*ms, nil)
	if !p.minRTT.idle {
		t.Error("the pause was not seen")
	}
	near(t, "rate", p.Pacing()/p.bw.now, 0.99, 0.02)
	p.run(200*ms, nil)
	for _, s := range p.trace {
		if s == bbrProbeRTT {
			t.Error("ProbeRTT after a pause")
		}
	}
}

// draft-ietf-ccwg-bbr §5.6.2: the first rate, and a rate that only rises before
// the pipe was full.
func TestBBRPacing(t *testing.T) {
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	near(t, "rate without RTT", b.Pacing(), 2.77*10000/0.001, 1)
	b.Start(1, 100*ms)
	near(t, "rate with RTT", b.Pacing(), 2.77*10000/0.1, 1)
	b.bw.now = 1000
	b.setPacing(2.77)
	near(t, "rate in Startup", b.Pacing(), 2.77*10000/0.1, 1)
	b.full.reached = true
	b.setPacing(1)
	near(t, "rate after it", b.Pacing(), 990, 1)
}

// draft-ietf-ccwg-bbr §5.5.11 and appendix "Handling Spurious Fast Recovery":
// nothing remains of a recovery for nothing.
func TestBBRUndo(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.until(bbrUp)
	p.run(60*ms, nil)
	cwnd := p.cwnd
	p.drop = every(10)
	p.run(time.Second, func() bool { return p.state != bbrUp })
	p.Undo(p.now)
	if p.state != bbrRefill || p.bound.long < unbounded || p.bound.short < unbounded || p.cwnd < cwnd {
		t.Errorf("in %v, bounds %+v, window %d was %d", p.state, p.bound, p.cwnd, cwnd)
	}
	q := onPath(t, 400, 50*ms, 1<<30)
	q.drop = func(i int) bool { return i > 300 && i%20 == 0 }
	q.until(bbrDrain)
	q.Undo(q.now)
	if q.state != bbrStartup || q.full.reached || q.bound.long < unbounded {
		t.Errorf("in %v, %+v", q.state, q.full)
	}
	// A timeout that was spurious (appendix "Handling Spurious RTO Recovery").
	w := q.cwnd
	q.Congested(Event{Now: q.now, Kind: Timeout, InFlight: q.inFlight, Lost: q.inFlight, First: true})
	if q.cwnd != parcelSize {
		t.Errorf("window %d after a timeout", q.cwnd)
	}
	q.Undo(q.now)
	if q.cwnd < w {
		t.Errorf("window %d after a spurious timeout, was %d", q.cwnd, w)
	}
}

// draft-ietf-ccwg-bbr §3.5, RFC 3168 §5: marks count as congestion in every phase.
func TestBBRMarks(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.run(200*ms, nil)
	p.Congested(Event{Now: p.now, Kind: ECN, InFlight: p.inFlight})
	p.until(bbrDrain)
	p.until(bbrCruise)
	p.run(300*ms, nil)
	p.bound.bwShort, p.bound.short = unbounded, unbounded
	p.Congested(Event{Now: p.now, Kind: ECN, InFlight: p.inFlight})
	p.run(150*ms, nil)
	if p.bound.short >= unbounded {
		t.Error("a mark in CRUISE has no effect")
	}
	p.until(bbrUp)
	p.Congested(Event{Now: p.now, Kind: ECN, InFlight: p.inFlight})
	if p.state != bbrDown || p.bound.long > p.inFlight+parcelSize {
		t.Errorf("after a mark in UP: %v, bound %d of %d in flight", p.state, p.bound.long, p.inFlight)
	}
}

// Appendix "Achieving Expected ... Bandwidth on a Link With Aggregation" of
// draft-ietf-ccwg-bbr, §5.5.9: ACKs in bursts of 20 ms cost no rate.
func TestBBRAggregation(t *testing.T) {
	p := onPath(t, 40, 50*ms, 1<<30)
	p.hold = func(at mono.Time) mono.Time { return (at/mono.Time(20*ms) + 1) * mono.Time(20*ms) }
	p.run(3*time.Second, nil)
	if p.extra.most() < int(p.rate*0.01) {
		t.Errorf("extra_acked %d at 20 ms of %g", p.extra.most(), p.rate)
	}
	if g := p.goodput(4 * time.Second); g < 0.9 {
		t.Errorf("goodput %.2f", g)
	}
}

// Appendix "Correctly Managing Sub-Packet BDPs" of draft-ietf-ccwg-bbr: four
// segments are the floor.
func TestBBRSmallProduct(t *testing.T) {
	p := onPath(t, 0.1, 10*ms, 1<<30)
	p.run(30*time.Second, nil)
	if p.cwnd < 4*parcelSize {
		t.Errorf("window %d", p.cwnd)
	}
	if g := p.goodput(20 * time.Second); g < 0.9 {
		t.Errorf("goodput %.2f", g)
	}
	near(t, "bandwidth", p.bw.most()/p.rate, 1, 0.1)
}

// Appendix "Decreasing Bandwidth 10x" of draft-ietf-ccwg-bbr.
func TestBBRLessBandwidth(t *testing.T) {
	p := onPath(t, 100, 50*ms, 200000)
	p.until(bbrCruise)
	p.rate /= 10
	p.run(20*time.Second, nil)
	near(t, "bandwidth", p.bw.most()/p.rate, 1, 0.1)
	if g := p.goodput(10 * time.Second); g < 0.85 {
		t.Errorf("goodput %.2f of the new rate", g)
	}
}

// Appendix "Handling Token Bucket Policers" of draft-ietf-ccwg-bbr: a line with
// next to no queue is filled without losing more than a little.
func TestBBRPolicer(t *testing.T) {
	p := onPath(t, 20, 50*ms, 3*parcelSize)
	p.run(10*time.Second, nil)
	lost, sent := p.lost, p.sent
	if g := p.goodput(20 * time.Second); g < 0.8 {
		t.Errorf("goodput %.2f", g)
	}
	if share := float64(p.lost-lost) / float64((p.sent-sent)*parcelSize); share > 0.03 {
		t.Errorf("%.1f %% lost", 100*share)
	}
}

// Appendix "Handling Application-Limited Sending During PROBE_REFILL" of
// draft-ietf-ccwg-bbr: what the application made small does not lower the model.
func TestBBRApplicationLimited(t *testing.T) {
	b := NewBBR(Config{MSS: 1000}).(*BBR)
	b.bw.max[0] = 1e6
	b.updateMaxBW(&Sample{Total: 1000, Interval: time.Second, AppLimited: true})
	if b.bw.most() != 1e6 {
		t.Errorf("bandwidth %f", b.bw.most())
	}
	b.updateMaxBW(&Sample{Total: 2e6, Interval: time.Second, AppLimited: true})
	if b.bw.most() != 2e6 {
		t.Errorf("a larger sample is not taken: %f", b.bw.most())
	}
}

// Whatever happens in whatever order, the window and the rate stay in bounds.
func TestBBRStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mss := rapid.IntRange(1, 65000).Draw(t, "mss")
		b := NewBBR(Config{MSS: mss, NoSACK: rapid.Bool().Draw(t, "no SACK")}).(*BBR)
		now, total := mono.Time(1), uint64(0)
		size := func(what string) int { return rapid.IntRange(0, 1<<20).Draw(t, what) }
		check := func() {
			if w, _ := b.Window(); w < mss || w > maxWindow || !(b.Pacing() > 0) || b.Pacing() > 1e17 {
				t.Fatalf("window %d, rate %g in %v", w, b.Pacing(), b.state)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"acked": func(t *rapid.T) {
				now += mono.Time(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "dt"))
				n := size("bytes")
				prior := total - min(total, uint64(size("back")))
				total += uint64(n)
				b.Acked(Ack{Now: now, Bytes: n, InFlight: n + size("more"), RTT: time.Duration(size("rtt")), SRTT: time.Duration(size("srtt")),
					Repairing: rapid.Bool().Draw(t, "repairing"), Sample: Sample{Total: total, Prior: prior,
						Interval: time.Duration(size("took")), Lost: size("lost"), InFlight: size("tx"), AppLimited: rapid.Bool().Draw(t, "app")}})
				check()
			},
			"lost": func(t *rapid.T) {
				n := size("bytes")
				b.Lost(Lost{Off: uint64(size("off")), Bytes: n, Total: total, Since: n + size("since"), InFlight: n + size("tx")})
				check()
			},
			"congested": func(t *rapid.T) {
				b.Congested(Event{Now: now, Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")), InFlight: size("flight"), Lost: size("lost")})
				check()
			},
			"undo":  func(*rapid.T) { b.Undo(now); check() },
			"start": func(*rapid.T) { b.Start(now, time.Millisecond); check() },
		})
	})
}
