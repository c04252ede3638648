package cc

import (
	"time"
)

// Constants of BBR (draft-ietf-ccwg-bbr §2.5 to §2.16).
const (
	bbrStartupGain   = 2.77 // 4*ln 2: the rate doubles every round
	bbrDrainGain     = 0.5
	bbrDownGain      = 0.9
	bbrUpGain        = 1.25
	bbrCwndGain      = 2
	bbrUpCwndGain    = 2.25
	bbrProbeRTTGain  = 0.5
	bbrPacingMargin  = 0.01
	bbrLossThresh    = 0.02
	bbrBeta          = 0.7
	bbrHeadroom      = 0.15
	bbrMinPipe       = 4 // segments
	bbrFullBWGrowth  = 1.25
	bbrFullBWRounds  = 3
	bbrFullLossCount = 6 // ranges lost in a round that end Startup
	bbrDrainRounds   = 3
	bbrMaxQuantum    = 64 << 10
	bbrExtraRounds   = 10

	bbrMinRTTFilter     = 10 * time.Second
	bbrProbeRTTInterval = 5 * time.Second
	bbrProbeRTTDuration = 200 * time.Millisecond

	unbounded = 1 << 60 // no bound known
)

// bbrState is the state of the machine (draft-ietf-ccwg-bbr §5.1).
type bbrState uint8

const (
	bbrStartup bbrState = iota
	bbrDrain
	bbrDown
	bbrCruise
	bbrRefill
	bbrUp
	bbrProbeRTT
)

var bbrNames = [...]string{"Startup", "Drain", "ProbeBW_DOWN", "ProbeBW_CRUISE", "ProbeBW_REFILL", "ProbeBW_UP", "ProbeRTT"}

func (s bbrState) String() string { return bbrNames[s] }

// cycling reports whether s is one of ProbeBW.
func (s bbrState) cycling() bool { return s >= bbrDown && s <= bbrUp }

// accelerating reports whether s probes for bandwidth.
func (s bbrState) accelerating() bool { return s == bbrStartup || s == bbrRefill || s == bbrUp }

// gains returns the pacing and the window gain of a state
// (draft-ietf-ccwg-bbr §5.6.1).
func (s bbrState) gains() (pacing, cwnd float64) {
	switch s {
	case bbrStartup:
		return bbrStartupGain, bbrCwndGain
	case bbrDrain:
		return bbrDrainGain, bbrCwndGain
	case bbrDown:
		return bbrDownGain, bbrCwndGain
	case bbrUp:
		return bbrUpGain, bbrUpCwndGain
	case bbrProbeRTT:
		return 1, bbrProbeRTTGain
	}
	return 1, bbrCwndGain
}

// BBR is version 3 of BBR (draft-ietf-ccwg-bbr): it models what the path
// delivers, paces at that rate and bounds what is in flight, instead of taking
// every loss for a sign of congestion. Its parts are in the files bbr_*.go.
type BBR struct {
	mss     int
	initial int // initial window
	cwnd    int
	rate    float64 // pacing rate, bytes per second
	state   bbrState
	noSACK  bool

	round  bbrRound  // bbr_model.go
	bw     bbrBW     // bbr_model.go
	extra  bbrExtra  // bbr_model.go
	bound  bbrBounds // bbr_bounds.go
	loss   bbrLoss   // bbr_loss.go
	full   bbrFull   // bbr_startup.go
	cycle  bbrCycle  // bbr_probe.go
	minRTT bbrMinRTT // bbr_rtt.go
}

// NewBBR returns a controller after draft-ietf-ccwg-bbr.
func NewBBR(c Config) Controller {
	b := &BBR{mss: max(c.MSS, 1), initial: c.Window, noSACK: c.NoSACK}
	if b.initial <= 0 {
		b.initial = InitialWindow(b.mss)
	}
	b.cwnd = b.initial
	b.cycle.rnd = c.Seed
	b.bound = bbrBounds{bwShort: unbounded, short: unbounded, long: unbounded}
	b.initPacing(0)
	return b
}

// Acked is UpdateOnACK (draft-ietf-ccwg-bbr §5.2.3).
func (b *BBR) Acked(a Ack) {
	if a.Bytes <= 0 {
		return
	}
	s := &a.Sample
	b.trackRepair(&a)
	b.latest(s)
	b.congestionSignals(s)
	b.aggregation(&a)
	b.checkFull(s)
	b.checkStartupDone(s)
	b.checkDrainDone(&a)
	b.updateCycle(&a)
	b.updateMinRTT(&a)
	b.checkProbeRTT(&a)
	b.advanceLatest(s)
	b.bw.now = min(b.bw.most(), b.bound.bwShort)

	b.setPacing(b.pacingGain())
	b.setCwnd(&a)
}

func (b *BBR) pacingGain() float64 { g, _ := b.state.gains(); return g }

// Window returns the window; there is no ssthresh.
func (b *BBR) Window() (cwnd, ssthresh int) { return b.cwnd, maxWindow }

// Pacing returns the rate in bytes per second.
func (b *BBR) Pacing() float64 { return b.rate }

// Draining reports whether ProbeRTT keeps the rate low (draft-ietf-ccwg-bbr
// §5.3.4.3, MarkConnectionAppLimited).
func (b *BBR) Draining() bool { return b.state == bbrProbeRTT }

// Resize tells of a new sender maximum segment size.
func (b *BBR) Resize(mss int) {
	if mss <= 0 || mss == b.mss {
		return
	}
	if mss < b.mss {
		b.initial = min(b.initial, InitialWindow(mss))
		b.cwnd = max(b.cwnd/b.mss*mss, bbrMinPipe*mss)
	}
	b.mss = mss
}
