package cc

import (
	"math"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Constants of CUBIC.
const (
	cubicC    = 0.4 // RFC 9438 §4.2, segments per second cubed
	cubicBeta = 0.7 // RFC 9438 §4.6
	// RFC 8511 §3.1: less for a mark, which comes from a short queue.
	cubicBetaECN = 0.85
	// RFC 9438 §4.3: with this the Reno-friendly estimate grows as fast as Reno.
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// Cubic is the controller of RFC 9438. Its windows are in segments, as in the
// RFC; only cwnd and ssthresh are bytes.
type Cubic struct {
	window
	curve
	saved *savedCubic // before the last reduction; nil: there was none to be taken back
}

type savedCubic struct {
	window
	curve
}

// curve is what CUBIC remembers beside the window (RFC 9438 §4.1.2).
type curve struct {
	cwnd  float64 // the window in segments with its fraction
	prior float64 // cwnd_prior: window before the last reduction
	wMax  float64 // W_max: window the cubic function has its plateau at
	wEst  float64 // W_est: what Reno would have
	k     float64 // K: seconds from epoch to plateau
	epoch mono.Time
	// limited is since when the application, not the window, has limited the
	// sender: time that does not count (RFC 9438 §4.2).
	limited mono.Time
	// flat: the next epoch starts on its plateau, since there was no reduction
	// by beta before it (RFC 9438 §4.8, §4.10).
	flat bool
}

// NewCubic returns a controller after RFC 9438.
func NewCubic(c Config) Controller {
	return &Cubic{window: newWindow(c), curve: curve{flat: true}}
}

// Acked grows the window.
func (c *Cubic) Acked(a Ack) {
	if !c.mayGrow(a) {
		if a.AppLimited && c.limited.IsZero() {
			c.limited = a.Now
		}
		return
	}
	c.resume(a.Now)
	if rest := c.slowStart(a); rest > 0 {
		c.avoid(a, float64(rest)/float64(c.mss))
	}
}

// resume takes the time spent limited by the application out of the epoch.
func (c *Cubic) resume(now mono.Time) {
	if c.limited.IsZero() {
		return
	}
	if !c.epoch.IsZero() {
		c.epoch = c.epoch.Add(now.Sub(c.limited))
	}
	c.limited = 0
}

// avoid is congestion avoidance for n newly acknowledged segments
// (RFC 9438 §4.2 to §4.5).
func (c *Cubic) avoid(a Ack, n float64) {
	if c.epoch.IsZero() {
		c.begin(a.Now)
	}
	w := c.curve.cwnd
	// RFC 9438 §4.3: W_est, and alpha 1 once it is back where Reno was.
	alpha := cubicAlpha
	if c.wEst >= c.prior {
		alpha = 1
	}
	c.wEst += alpha * n / w

	t := a.Now.Sub(c.epoch).Seconds()
	if c.at(t) < c.wEst {
		// RFC 9438 §4.3: the Reno-friendly region.
		w = max(w, c.wEst)
	} else {
		// RFC 9438 §4.2: target is at most half as much again. An ACK of many
		// segments must not carry the window past it.
		target := min(max(c.at(t+a.SRTT.Seconds()), w), 1.5*w)
		w = min(w+(target-w)/w*n, target)
	}
	c.setSegments(w)
}

// begin starts an epoch: a stage of congestion avoidance.
func (c *Cubic) begin(now mono.Time) {
	w := float64(c.window.cwnd) / float64(c.mss)
	c.curve.cwnd, c.wEst, c.epoch = w, w, now
	if c.flat || w >= c.wMax {
		// RFC 9438 §4.8, §4.10: K is 0 and the plateau is here.
		if c.flat && c.prior == 0 {
			c.prior = w
		}
		c.wMax, c.k, c.flat = w, 0, false
		return
	}
	// RFC 9438 §4.2, equation 2.
	c.k = math.Cbrt((c.wMax - w) / cubicC)
}

// at is W_cubic (RFC 9438 §4.2, equation 1).
func (c *Cubic) at(t float64) float64 {
	d := t - c.k
	return cubicC*d*d*d + c.wMax
}

func (c *Cubic) setSegments(w float64) {
	c.curve.cwnd = min(w, maxWindow/float64(c.mss))
	c.window.cwnd = int(c.curve.cwnd * float64(c.mss))
	c.wEst = min(c.wEst, maxWindow/float64(c.mss))
}

// Congested reduces the window by beta (RFC 9438 §4.6), for an ECN signal by
// less (RFC 8511 §3.1).
func (c *Cubic) Congested(e Event) {
	if e.Kind == Timeout && !e.First {
		c.shrink(e, 0)
		c.epoch, c.flat = 0, true
		return
	}
	c.saved = &savedCubic{c.window, c.curve}

	w := float64(c.window.cwnd) / float64(c.mss)
	c.prior = w
	// RFC 9438 §4.7: fast convergence, before the reduction.
	if w < c.wMax {
		c.wMax = w * (1 + cubicBeta) / 2
	} else {
		c.wMax = w
	}
	c.shrink(e, int(c.beta(e, cubicBeta, cubicBetaECN)*float64(c.used(e))))
	c.epoch, c.limited = 0, 0
	// RFC 9438 §4.8: after a timeout the first epoch starts on its plateau.
	c.flat = e.Kind == Timeout
}

// Undo restores everything a spurious event changed, unless the window has
// grown past it since (RFC 9438 §4.9).
func (c *Cubic) Undo(mono.Time) {
	s := c.saved
	c.saved = nil
	if s == nil || c.window.cwnd >= s.window.cwnd {
		return
	}
	mss := c.mss
	c.window, c.curve = s.window, s.curve
	c.Resize(mss)
}

// Idle falls back to the restart window; the curve starts afresh once slow
// start is over.
func (c *Cubic) Idle(now mono.Time, d time.Duration) {
	c.window.Idle(now, d)
	c.epoch, c.limited = 0, 0
}

// Resize tells of a new sender maximum segment size.
func (c *Cubic) Resize(mss int) {
	old := c.mss
	c.window.Resize(mss)
	if old != c.mss {
		// The curve counts segments: it starts again from the window as it is.
		c.epoch, c.flat = 0, true
	}
}
