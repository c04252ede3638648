// Package rtt estimates the round-trip time and the retransmission timeout of
// one path.
//
// It owns the smoothing, the bounds and the exponential back-off. It does not
// own the choice of samples (Karn's rule is its caller's, who knows what was
// retransmitted) nor any timer. Read RFC 6298 and RFC 8961 first.
package rtt

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Bounds of the retransmission timeout.
const (
	// Initial is the timeout before any sample (RFC 6298 §2.1).
	Initial = time.Second
	// AfterSYNLoss is the timeout of the first data when the SYN had to be
	// sent again (RFC 6298 §5.7).
	AfterSYNLoss = 3 * time.Second
	// Floor is the least the variance term adds to SRTT, so that no timeout is
	// shorter.
	//
	// Departs from RFC 6298 §2.4, which wants 1 s in all: today's clocks are
	// fine, delayed ACKs rarely exceed 200 ms, and RFC 8961 §4 leaves the
	// minimum open once latency is known.
	Floor = 200 * time.Millisecond
	// Max caps the timeout, back-off included (RFC 6298 §2.5).
	Max = 60 * time.Second
	// Granularity is G, the clock's (RFC 6298 §2).
	Granularity = time.Millisecond
)

// minWindow is how long half of the minimum's memory lasts.
const minWindow = 5 * time.Second

// Estimator smooths samples of one path. The zero Estimator has seen none.
type Estimator struct {
	srtt, rttvar time.Duration
	base         time.Duration // the timeout while srtt is unknown; 0: Initial
	shift        uint8         // back-off: how often the timeout was doubled

	// The minimum over the last one to two windows.
	now, before time.Duration
	since       mono.Time
}

// Sample takes one measurement r made at now. expected is how many samples a
// round trip brings: where there are many, each weighs less, so that the
// memory still spans round trips (RFC 7323 §4.2, appendix G).
func (e *Estimator) Sample(now mono.Time, r time.Duration, expected int) {
	r = max(r, time.Microsecond)
	if e.srtt == 0 {
		// RFC 6298 §2.2.
		e.srtt, e.rttvar = r, r/2
	} else {
		// RFC 6298 §2.3: RTTVAR first, by the old SRTT; alpha 1/8, beta 1/4.
		n := time.Duration(max(expected, 1))
		e.rttvar += ((e.srtt - r).Abs() - e.rttvar) / (4 * n)
		e.srtt += (r - e.srtt) / (8 * n)
	}
	e.lower(now, r)
}

func (e *Estimator) lower(now mono.Time, r time.Duration) {
	switch {
	case e.since == 0:
		e.now, e.before, e.since = r, r, now
	case now.Sub(e.since) >= 2*minWindow:
		e.now, e.before, e.since = r, r, now
	case now.Sub(e.since) >= minWindow:
		e.now, e.before, e.since = r, e.now, now
	default:
		e.now = min(e.now, r)
	}
}

// RTO returns the retransmission timeout, back-off included.
func (e *Estimator) RTO() time.Duration {
	d := e.base
	switch {
	case e.srtt != 0:
		// RFC 6298 §2.2, §4 (the floor exceeds G).
		d = e.srtt + max(Floor, 4*e.rttvar)
	case d == 0:
		d = Initial
	}
	// RFC 6298 §5.5: doubled on each expiry.
	for range e.shift {
		if d >= Max {
			break
		}
		d *= 2
	}
	return min(d, Max)
}

// BackOff doubles the timeout (RFC 6298 §5.5).
func (e *Estimator) BackOff() {
	if e.shift < 32 {
		e.shift++
	}
}

// Progress takes the back-off away: something never retransmitted was
// delivered (RFC 6298 §5.7, RFC 8961 §4).
func (e *Estimator) Progress() { e.shift = 0 }

// SYNLost notes that the SYN had to be sent again: without a sample, data
// starts with 3 s (RFC 6298 §5.7).
func (e *Estimator) SYNLost() {
	e.base = AfterSYNLoss
	e.shift = 0
}

// SRTT returns the smoothed round-trip time, 0 before the first sample.
func (e *Estimator) SRTT() time.Duration { return e.srtt }

// Var returns RTTVAR, the smoothed deviation.
func (e *Estimator) Var() time.Duration { return e.rttvar }

// Min returns the least sample of the last five to ten seconds of samples, 0
// before the first.
func (e *Estimator) Min() time.Duration { return min(e.now, e.before) }
