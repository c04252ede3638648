package cc

// bbrFull looks for the plateau of the delivery rate that says the pipe is full
// (draft-ietf-ccwg-bbr §5.3.1.2).
type bbrFull struct {
	bw      float64 // full_bw: what the next sample has to exceed by a quarter
	count   int     // rounds in which it did not
	now     bool    // the pipe is full now
	reached bool    // it was full once
	drained int     // the round Drain began in
}

func (f *bbrFull) reset(bw float64) { f.bw, f.count, f.now = bw, 0, false }

func (b *BBR) checkFull(s *Sample) {
	f := &b.full
	if f.now || !b.round.start || s.AppLimited {
		return
	}
	if r := s.Rate(); r >= f.bw*bbrFullBWGrowth {
		f.reset(r)
		return
	}
	if f.count++; f.count >= bbrFullBWRounds {
		f.now, f.reached = true, true
	}
}

// checkStartupDone is CheckStartupDone with CheckStartupHighLoss
// (draft-ietf-ccwg-bbr §5.3.1.3).
func (b *BBR) checkStartupDone(s *Sample) {
	if b.state == bbrStartup && !b.full.reached {
		b.checkStartupLoss(s)
	}
	if b.loss.roundStart {
		b.loss.ranges = 0
	}
	if b.state == bbrStartup && b.full.reached {
		b.state = bbrDrain
		b.full.drained = b.round.count
	}
}

func (b *BBR) checkStartupLoss(s *Sample) {
	l := &b.loss
	if !l.repairing {
		return
	}
	if b.noSACK && l.ranges > 0 ||
		l.roundStart && b.round.count > l.since && l.ranges >= bbrFullLossCount && b.tooHigh(s.Lost, s.InFlight) {
		b.leaveStartup()
	}
}

// leaveStartup is what congestion does to Startup.
func (b *BBR) leaveStartup() {
	b.loss.undo.state, b.loss.undo.moved = bbrStartup, true
	b.full.now, b.full.reached = true, true
	b.bound.long = max(b.bdp(1), b.bound.latest)
}

// checkDrainDone is CheckDrainDone (draft-ietf-ccwg-bbr §5.3.2).
func (b *BBR) checkDrainDone(a *Ack) {
	if b.state == bbrDrain && (a.InFlight-a.Bytes <= b.inflight(1) || b.round.count > b.full.drained+bbrDrainRounds) {
		b.round.slow = b.round.count
		b.startDown(a)
	}
}
