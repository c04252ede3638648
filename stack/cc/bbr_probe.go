package cc

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// bbrPhase is what the ACKs now arriving tell about
// (draft-ietf-ccwg-bbr §2.14, BBR.ack_phase).
type bbrPhase uint8

const (
	acksInit          bbrPhase = iota // nothing sent while probing
	acksRefilling                     // the pipe being filled
	acksProbeStarting                 // still what was sent before probing
	acksProbeFeedback                 // what was sent while probing
	acksProbeStopping                 // the last of that
)

// bbrCycle is the cycle of ProbeBW (draft-ietf-ccwg-bbr §5.3.3).
type bbrCycle struct {
	stamp         mono.Time // when it began
	wait          time.Duration
	rounds        int // since the last ProbeBW_UP
	phase         bbrPhase
	sample        bool // is_bw_probe_sample: ACKs tell of what was sent while probing
	tooHigh       bool // prev_probe_too_high
	precautionary bool // prev_probe_precautionary
	upRounds      int  // bw_probe_up_rounds
	upAcked       int  // bw_probe_up_acked
	perInc        int  // probe_up_acked_per_inc: bytes acknowledged per segment of growth
	rnd           uint64
}

// random is a number of [0,1) (splitmix64): flows must not probe in step.
func (c *bbrCycle) random() float64 {
	c.rnd += 0x9e3779b97f4a7c15
	z := c.rnd
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// down is StartProbeBW_DOWN but for what needs the time.
func (b *BBR) down(total uint64) {
	c := &b.cycle
	b.loss.inRound = false
	b.bw.latest, b.bound.latest = 0, 0
	c.perInc = unbounded
	// Two to three seconds, but no longer than a Reno flow in our place would
	// take (draft-ietf-ccwg-bbr §5.3.3.8).
	c.rounds = int(2 * c.random())
	c.wait = 2*time.Second + time.Duration(c.random()*float64(time.Second))
	c.stamp = 0 // the next ACK starts the clock
	c.phase = acksProbeStopping
	b.round.next = total
	b.state = bbrDown
}

func (b *BBR) startDown(a *Ack) {
	b.down(a.Sample.Total)
	b.cycle.stamp = a.Now
}

func (b *BBR) startRefill(total uint64) {
	c := &b.cycle
	b.resetShortTerm()
	c.upRounds, c.upAcked, c.precautionary = 0, 0, false
	c.phase = acksRefilling
	b.round.next = total
	b.state = bbrRefill
}

func (b *BBR) startUp(s *Sample) {
	b.cycle.phase = acksProbeStarting
	b.startRound(s)
	b.full.reset(s.Rate())
	b.state = bbrUp
	b.raiseSlope()
}

// updateCycle is UpdateProbeBWCyclePhase (draft-ietf-ccwg-bbr §5.3.3.9).
func (b *BBR) updateCycle(a *Ack) {
	s := &a.Sample
	if !b.full.reached || b.adaptLongTerm(a) || !b.state.cycling() {
		return
	}
	if b.cycle.stamp.IsZero() {
		b.cycle.stamp = a.Now
	}
	switch b.state {
	case bbrDown:
		if !b.timeToProbe(a) && b.timeToCruise(a) {
			b.state = bbrCruise
		}
	case bbrCruise:
		b.timeToProbe(a)
	case bbrRefill:
		if b.round.start {
			b.cycle.sample = true
			b.startUp(s)
		}
	case bbrUp:
		if b.timeToGoDown(a) {
			b.cycle.tooHigh = false
			b.startDown(a)
		}
	}
}

// timeToProbe begins a probe if it is time to (IsTimeToProbeBW).
func (b *BBR) timeToProbe(a *Ack) bool {
	c := &b.cycle
	reno := min(b.target()/b.mss, 63)
	if a.Now.Sub(c.stamp) <= c.wait && c.rounds < reno {
		return false
	}
	b.startRefill(a.Sample.Total)
	return true
}

func (b *BBR) timeToCruise(a *Ack) bool {
	left := a.InFlight - a.Bytes
	return left <= b.withHeadroom() && left <= b.inflight(1)
}

// timeToGoDown is IsTimeToGoDown.
func (b *BBR) timeToGoDown(a *Ack) bool {
	if b.cycle.tooHigh && a.InFlight >= b.bound.long {
		// The probe before this one lost too much at this level: one touch of
		// it has to do, until a round of ACKs says that it was safe.
		b.cycle.precautionary = true
		return true
	}
	if b.windowLimited(a) && b.cwnd >= b.bound.long {
		b.full.reset(a.Sample.Rate()) // the bound limits, not the path
		return false
	}
	return b.full.now
}

// windowLimited reports whether the window was used up before this ACK.
func (b *BBR) windowLimited(a *Ack) bool { return a.InFlight+b.mss > b.cwnd }

// adaptLongTerm is AdaptLongTermModel. It reports whether it began a probe.
func (b *BBR) adaptLongTerm(a *Ack) bool {
	c, s := &b.cycle, &a.Sample
	if c.phase == acksProbeStarting && b.round.start {
		c.phase = acksProbeFeedback
	}
	if c.phase == acksProbeStopping && b.round.start {
		c.sample, c.phase = false, acksInit
		if b.state.cycling() && !s.AppLimited {
			b.bw.advance()
		}
		if b.state.cycling() && c.precautionary && !c.tooHigh {
			b.startRefill(s.Total)
			return true
		}
	}
	if b.bound.long >= unbounded || b.tooHigh(s.Lost, s.InFlight) {
		return false
	}
	b.bound.long = max(b.bound.long, s.InFlight)
	if b.state == bbrUp {
		b.probeUpward(a)
	}
	return false
}

// raiseSlope is RaiseInflightLongtermSlope: growth doubles every round.
func (b *BBR) raiseSlope() {
	c := &b.cycle
	c.perInc = max(b.cwnd>>c.upRounds, b.mss)
	c.upRounds = min(c.upRounds+1, 30)
}

// probeUpward is ProbeInflightLongtermUpward.
func (b *BBR) probeUpward(a *Ack) {
	c := &b.cycle
	if !b.windowLimited(a) || b.cwnd < b.bound.long {
		return
	}
	c.upAcked += a.Bytes
	if c.upAcked >= c.perInc {
		n := c.upAcked / c.perInc
		c.upAcked -= n * c.perInc
		b.bound.long = min(b.bound.long+n*b.mss, maxWindow)
	}
	if b.round.start {
		b.raiseSlope()
	}
}
