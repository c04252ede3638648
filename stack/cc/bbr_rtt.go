package cc

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// bbrMinRTT estimates the path's propagation delay and drains the queue now and
// then to see it (draft-ietf-ccwg-bbr §5.3.4). It follows the published draft
// and the kernels in the field: ProbeRTT every 5 s, a filter of 10 s. The
// editor's copy has since joined the two at 10 s.
type bbrMinRTT struct {
	rtt        time.Duration // 0: no sample yet
	at         mono.Time
	delay      time.Duration // smallest since the last ProbeRTT
	delayAt    mono.Time
	expired    bool // ProbeRTT is due
	done       mono.Time
	roundDone  bool
	idle       bool // started again after the application had nothing to send
	seen, sent bool // a round trip, a first transmission
}

// updateMinRTT is UpdateMinRTT.
func (b *BBR) updateMinRTT(a *Ack) {
	m := &b.minRTT
	if !m.seen && a.SRTT > 0 {
		m.seen = true
		if !m.sent && !b.full.reached {
			b.initPacing(a.SRTT)
		}
	}
	m.expired = m.delay > 0 && a.Now.Sub(m.delayAt) > bbrProbeRTTInterval
	if a.RTT > 0 && (m.delay == 0 || a.RTT < m.delay || m.expired) {
		m.delay, m.delayAt = a.RTT, a.Now
	}
	if m.delay > 0 && (m.rtt == 0 || m.delay < m.rtt || a.Now.Sub(m.at) > bbrMinRTTFilter) {
		m.rtt, m.at = m.delay, m.delayAt
	}
}

// checkProbeRTT is CheckProbeRTT.
func (b *BBR) checkProbeRTT(a *Ack) {
	m, s := &b.minRTT, &a.Sample
	if b.state != bbrProbeRTT && m.expired && !m.idle {
		b.saveCwnd()
		b.state = bbrProbeRTT
		m.done = 0
		b.cycle.phase = acksProbeStopping
		b.startRound(s)
	}
	if b.state == bbrProbeRTT {
		b.handleProbeRTT(a)
	}
	m.idle = m.idle && s.Delivered() <= 0
}

func (b *BBR) handleProbeRTT(a *Ack) {
	m := &b.minRTT
	switch {
	case m.done.IsZero() && a.InFlight-a.Bytes <= b.probeRTTCwnd():
		m.done, m.roundDone = a.Now.Add(bbrProbeRTTDuration), false
		b.startRound(&a.Sample)
	case !m.done.IsZero():
		m.roundDone = m.roundDone || b.round.start
		if m.roundDone {
			b.checkProbeRTTDone(a.Now, a.Sample.Total)
		}
	}
}

func (b *BBR) checkProbeRTTDone(now mono.Time, total uint64) {
	m := &b.minRTT
	if m.done.IsZero() || now <= m.done {
		return
	}
	m.delayAt = now // schedules the next
	b.round.slow = b.round.count
	b.restoreCwnd()
	// ExitProbeRTT: the queue is empty already, so straight on to cruising.
	b.resetShortTerm()
	if !b.full.reached {
		b.state = bbrStartup
		return
	}
	b.down(total)
	b.cycle.stamp = now
	b.state = bbrCruise
}

// probeRTTCwnd is the window of ProbeRTT.
func (b *BBR) probeRTTCwnd() int { return max(b.bdp(bbrProbeRTTGain), bbrMinPipe*b.mss) }

// Start is HandleRestartFromIdle: a flow that resumes sends at the rate it knew,
// without a burst, and has drained the queue by its silence
// (draft-ietf-ccwg-bbr §5.4.1).
func (b *BBR) Start(now mono.Time, srtt time.Duration) {
	m := &b.minRTT
	if !m.sent {
		m.sent = srtt > 0
		if b.bw.now == 0 {
			b.initPacing(srtt)
		}
		return
	}
	m.idle = true
	b.extra.since, b.extra.delivered = now, 0
	switch {
	case b.state.cycling():
		b.setPacing(1)
	case b.state == bbrProbeRTT:
		b.checkProbeRTTDone(now, b.round.next)
	}
}

// Idle does nothing: the model holds, and Start paces (draft-ietf-ccwg-bbr §5.4.2).
func (b *BBR) Idle(mono.Time, time.Duration) {}
