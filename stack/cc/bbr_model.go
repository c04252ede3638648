package cc

import "github.com/sennit-net/sennit/stack/mono"

// bbrRound counts round trips by packets (draft-ietf-ccwg-bbr §5.5.1).
type bbrRound struct {
	next  uint64 // the round ends when something sent after this was delivered arrives
	start bool   // this ACK begins one
	count int
	slow  int // the round in which Drain or ProbeRTT was last left
}

// bbrSpoiled is for how many rounds samples still show Drain or ProbeRTT.
const bbrSpoiled = 3

func (b *BBR) startRound(s *Sample) { b.round.next = s.Total }

func (b *BBR) updateRound(s *Sample) {
	if b.round.start = s.Prior >= b.round.next; b.round.start {
		b.startRound(s)
		b.round.count++
		b.cycle.rounds++
	}
}

// bbrBW is the estimate of the bottleneck's bandwidth in bytes per second.
type bbrBW struct {
	max    [2]float64 // BBR.max_bw: largest sample of this cycle of ProbeBW and of the one before
	now    float64    // BBR.bw
	latest float64    // BBR.bw_latest: largest in a round
}

func (w *bbrBW) most() float64 { return max(w.max[0], w.max[1]) }

// advance begins a new cycle (draft-ietf-ccwg-bbr §5.5.6, AdvanceMaxBwFilter).
func (w *bbrBW) advance() {
	if w.max[0] > 0 {
		w.max[1], w.max[0] = w.max[0], 0
	}
}

// updateMaxBW takes a sample unless the application made it small
// (draft-ietf-ccwg-bbr §5.5.5).
func (b *BBR) updateMaxBW(s *Sample) {
	b.updateRound(s)
	if r := s.Rate(); r > 0 && (r >= b.bw.most() || !s.AppLimited) {
		b.bw.max[0] = max(b.bw.max[0], r)
	}
}

// latest keeps what the path delivered in the last round
// (draft-ietf-ccwg-bbr §5.5.10.3, UpdateLatestDeliverySignals).
func (b *BBR) latest(s *Sample) {
	b.bw.latest = max(b.bw.latest, s.Rate())
	b.bound.latest = max(b.bound.latest, s.Delivered())
	if b.loss.roundStart = s.Prior >= b.loss.roundNext; b.loss.roundStart {
		b.loss.roundNext = s.Total
	}
}

func (b *BBR) advanceLatest(s *Sample) {
	if b.loss.roundStart {
		b.bw.latest, b.bound.latest = s.Rate(), s.Delivered()
	}
}

// bbrExtra estimates how much ACKs are aggregated, in bytes
// (draft-ietf-ccwg-bbr §5.5.9).
type bbrExtra struct {
	since     mono.Time // extra_acked_interval_start
	delivered int       // in it
	max       [2]int    // largest of this half of the filter's window and of the half before
	begun     int       // the round this half began in
}

func (b *BBR) aggregation(a *Ack) {
	x := &b.extra
	if x.since.IsZero() {
		x.since = a.Now
	}
	expected := int(b.bw.now * a.Now.Sub(x.since).Seconds())
	if x.delivered <= expected {
		x.delivered, x.since, expected = 0, a.Now, 0
	}
	x.delivered += a.Bytes
	half := 1
	if b.full.reached {
		half = bbrExtraRounds / 2
	}
	if b.round.count-x.begun >= half {
		x.max[1], x.max[0], x.begun = x.max[0], 0, b.round.count
		if !b.full.reached {
			x.max[1] = 0 // in Startup one round is remembered
		}
	}
	x.max[0] = max(x.max[0], min(x.delivered-expected, b.cwnd))
}

func (x *bbrExtra) most() int { return max(x.max[0], x.max[1]) }
