package cc

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// maxWindow bounds every window, in bytes: no peer can advertise more
// (RFC 7323 §2.3), so growing further would only be noise.
const maxWindow = 1 << 30

// InitialWindow returns the initial window in bytes for a sender maximum
// segment size (RFC 6928 §2).
func InitialWindow(mss int) int { return min(10*mss, max(2*mss, 14600)) }

// window is the part that the loss-based controllers share: the two variables
// of RFC 5681, slow start, and what idleness and a new segment size do to them.
type window struct {
	mss      int
	initial  int
	cwnd     int
	ssthresh int
	start    hystart
	srtt     time.Duration // as last told
	use      validation
}

func newWindow(c Config) window {
	w := window{mss: max(c.MSS, 1), initial: c.Window}
	if w.initial <= 0 {
		w.initial = InitialWindow(w.mss)
	}
	w.cwnd = w.initial
	// RFC 5681 §3.1: ssthresh starts arbitrarily high.
	w.ssthresh = maxWindow
	return w
}

// Window returns the congestion window and ssthresh in bytes.
func (w *window) Window() (cwnd, ssthresh int) { return w.cwnd, w.ssthresh }

// Pacing gains over a window per round trip: enough above it that the window,
// not the rate, limits. Slow start doubles within a round.
const (
	pacingStart = 2.0
	pacingAvoid = 1.2
)

// Pacing spreads a window over a round trip. It begins with the first sample:
// the initial window goes at once (RFC 6928 §2). A round trip of a millisecond
// is as short as the bursts that pacing allows.
func (w *window) Pacing() float64 {
	if w.srtt <= time.Millisecond {
		return 0
	}
	gain := pacingAvoid
	if w.cwnd < w.ssthresh {
		gain = pacingStart
	}
	return gain * float64(w.cwnd) / w.srtt.Seconds()
}

// Idle falls back to the restart window (RFC 5681 §4.1).
func (w *window) Idle(_ mono.Time, _ time.Duration) { w.cwnd = min(w.cwnd, w.initial) }

// Resize tells of a new sender maximum segment size. A path that got smaller
// takes the window along, so that no burst of more segments follows
// (RFC 8899 §3, RFC 1191 §6.5).
func (w *window) Resize(mss int) {
	if mss <= 0 || mss == w.mss {
		return
	}
	if mss < w.mss {
		w.cwnd = max(w.cwnd/w.mss*mss, mss)
		if w.ssthresh < maxWindow {
			w.ssthresh = max(w.ssthresh/w.mss*mss, 2*mss)
		}
		w.initial = min(w.initial, InitialWindow(mss))
	}
	w.mss = mss
}

// mayGrow reports whether an ACK lets the window grow at all: not while lost
// data is being repaired, and not while the window is not what limits the
// sender (RFC 7661 §4.4, RFC 9438 §4.2). In slow start half a window of use is
// enough, since the other half was only just granted.
func (w *window) mayGrow(a Ack) bool {
	if a.SRTT > 0 {
		w.srtt = a.SRTT
	}
	w.validate(a)
	if a.Bytes <= 0 || a.Recovery {
		return false
	}
	return !a.AppLimited || w.cwnd < w.ssthresh && 2*a.InFlight >= w.cwnd
}

// slowStart grows the window by the bytes acknowledged, up to ssthresh, and
// returns how many are left over for congestion avoidance.
//
// Departs from RFC 5681 §3.1: the increment per ACK is not capped at one
// segment. An ACK here may be for a whole super-segment, and counting bytes
// already defeats ACK division (RFC 3465 §2.2).
func (w *window) slowStart(a Ack) (rest int) {
	if w.cwnd >= w.ssthresh {
		return a.Bytes
	}
	bytes, end := w.start.growth(a)
	k := min(bytes, w.ssthresh-w.cwnd)
	w.cwnd = min(w.cwnd+k, maxWindow)
	if end {
		w.ssthresh, w.start.over = w.cwnd, true
	}
	if w.cwnd < w.ssthresh || bytes < a.Bytes {
		return 0
	}
	return bytes - k
}

// beta is the share of the window a congestion event leaves: more for a mark
// than for a loss, since queues that mark are short (RFC 8511 §3.1). Slow start
// overshoots by as much as it grows, so there a mark counts as a loss.
func (w *window) beta(e Event, loss, mark float64) float64 {
	if e.Kind == ECN && w.cwnd >= w.ssthresh {
		return mark
	}
	return loss
}

// shrink sets ssthresh and the window after a congestion event that leaves
// room for target bytes.
func (w *window) shrink(e Event, target int) {
	w.start.over = true // RFC 9406 §4.3: HyStart++ is for the first slow start
	switch {
	case e.Kind == Timeout && !e.First:
		// RFC 5681 §3.1: ssthresh stays when the same data times out again.
		w.cwnd = w.mss
		return
	case e.Kind == Timeout:
		w.cwnd = w.mss // the loss window, RFC 5681 §3.1
	case e.Kind == ECN:
		// RFC 3168 §6.1.2, RFC 9438 §4.6: marks may bring it down to one segment.
		w.cwnd = max(target, w.mss)
	default:
		w.cwnd = max(target, 2*w.mss)
	}
	w.ssthresh = max(target, 2*w.mss)
}
