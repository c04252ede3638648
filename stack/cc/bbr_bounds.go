package cc

import "time"

// bbrBounds is what loss says is too much (draft-ietf-ccwg-bbr §2.9). Sizes are
// bytes.
type bbrBounds struct {
	bwShort float64 // bw_shortterm, bytes per second
	short   int     // inflight_shortterm
	long    int     // inflight_longterm
	latest  int     // inflight_latest: most delivered in a round
	prior   int     // the window before recovery or ProbeRTT
}

func (b *BBR) resetShortTerm() { b.bound.bwShort, b.bound.short = unbounded, unbounded }

// congestionSignals is UpdateCongestionSignals: outside of probing, a round with
// loss brings the short-term bounds down to what the path delivered, but by no
// more than Beta (draft-ietf-ccwg-bbr §5.5.10.3).
//
// Departs from draft-ietf-ccwg-bbr §5.5.10.3: what was sent in Drain and ProbeRTT
// was slow by our own will, so a loss right after them does not make that the
// measure.
func (b *BBR) congestionSignals(s *Sample) {
	b.updateMaxBW(s)
	if !b.loss.roundStart {
		return
	}
	spoiled := b.round.slow > 0 && b.round.count-b.round.slow <= bbrSpoiled
	if b.loss.inRound && !b.state.accelerating() && !spoiled {
		if b.bound.bwShort >= unbounded {
			b.bound.bwShort = b.bw.most()
		}
		if b.bound.short >= unbounded {
			b.bound.short = b.cwnd
		}
		b.bound.bwShort = max(b.bw.latest, bbrBeta*b.bound.bwShort)
		b.bound.short = max(b.bound.latest, int(bbrBeta*float64(b.bound.short)))
	}
	b.loss.inRound = false
}

// bdp is gain times the bandwidth-delay product in bytes.
func (b *BBR) bdp(gain float64) int {
	if b.minRTT.rtt == 0 {
		return b.initial
	}
	return int(gain * b.bw.now * b.minRTT.rtt.Seconds())
}

// quantum is the most sent at once (draft-ietf-ccwg-bbr §5.6.3).
func (b *BBR) quantum() int { return Quantum(b.rate, b.mss) }

// Quantum returns how many bytes a paced sender may let go at once: a
// millisecond's worth of its rate in bytes per second, but at least two segments
// and at most 64 KiB (draft-ietf-ccwg-bbr §5.6.3).
func Quantum(rate float64, mss int) int {
	return max(int(min(rate*time.Millisecond.Seconds(), bbrMaxQuantum)), 2*mss)
}

// quantized makes room for offloads and delayed ACKs (draft-ietf-ccwg-bbr
// §5.6.4.2, QuantizationBudget).
func (b *BBR) quantized(n int) int {
	n = max(n, 3*b.quantum(), bbrMinPipe*b.mss)
	if b.state == bbrUp {
		n += 2 * b.mss
	}
	return n
}

// inflight is Inflight(gain).
func (b *BBR) inflight(gain float64) int { return b.quantized(b.bdp(gain)) }

// target is TargetInflight.
func (b *BBR) target() int { return min(b.bdp(1), b.cwnd) }

// withHeadroom is InflightWithHeadroom: it leaves room for other flows.
func (b *BBR) withHeadroom() int {
	if b.bound.long >= unbounded {
		return unbounded
	}
	headroom := max(b.mss, int(bbrHeadroom*float64(b.bound.long)))
	return max(b.bound.long-headroom, bbrMinPipe*b.mss)
}

// initPacing is InitPacingRate (draft-ietf-ccwg-bbr §5.6.2).
func (b *BBR) initPacing(srtt time.Duration) {
	if srtt <= 0 {
		srtt = time.Millisecond
	}
	b.rate = bbrStartupGain * float64(b.initial) / srtt.Seconds()
}

// setPacing paces a little below the bandwidth. Before the pipe was full once,
// the rate only rises (draft-ietf-ccwg-bbr §5.6.2).
func (b *BBR) setPacing(gain float64) {
	rate := gain * b.bw.now * (1 - bbrPacingMargin)
	if rate > 0 && (b.full.reached || rate > b.rate) {
		b.rate = rate
	}
}

// setCwnd is SetCwnd (draft-ietf-ccwg-bbr §5.6.4.6).
func (b *BBR) setCwnd(a *Ack) {
	_, gain := b.state.gains()
	most := b.quantized(b.bdp(gain) + b.extra.most())
	if b.full.reached {
		b.cwnd = min(b.cwnd+a.Bytes, most)
	} else if b.cwnd < most || a.Sample.Total < uint64(b.initial) {
		b.cwnd += a.Bytes
	}
	b.cwnd = max(b.cwnd, bbrMinPipe*b.mss)
	if b.state == bbrProbeRTT {
		b.cwnd = min(b.cwnd, b.probeRTTCwnd())
	}
	b.cwnd = min(b.cwnd, b.boundForModel(), maxWindow)
}

// boundForModel is BoundCwndForModel (draft-ietf-ccwg-bbr §5.6.4.7).
func (b *BBR) boundForModel() int {
	most := unbounded
	switch {
	case b.state == bbrCruise || b.state == bbrProbeRTT:
		most = b.withHeadroom()
	case b.state.cycling():
		most = b.bound.long
	}
	return max(min(most, b.bound.short), bbrMinPipe*b.mss)
}

func (b *BBR) saveCwnd() {
	if !b.loss.repairing && b.state != bbrProbeRTT {
		b.bound.prior = b.cwnd
	} else {
		b.bound.prior = max(b.bound.prior, b.cwnd)
	}
}

func (b *BBR) restoreCwnd() { b.cwnd = max(b.cwnd, b.bound.prior) }
