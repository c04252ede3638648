package cc

import "github.com/sennit-net/sennit/stack/mono"

// Reno is the controller of RFC 5681 and, for the window, RFC 6582. That the
// window stays put during recovery is enough there: the connection counts what
// is in flight (RFC 6675), so there is nothing to inflate and to deflate.
type Reno struct {
	window
	acked int      // bytes acknowledged since congestion avoidance last added a segment
	saved struct { // before the last reduction
		cwnd, ssthresh int // cwnd 0: there was none to be taken back
	}
}

// NewReno returns a controller after RFC 5681 and RFC 6582.
func NewReno(c Config) Controller { return &Reno{window: newWindow(c)} }

// Acked grows the window.
func (r *Reno) Acked(a Ack) {
	if !r.mayGrow(a) {
		return
	}
	rest := r.slowStart(a)
	if rest == 0 {
		return
	}
	// RFC 5681 §3.1: one segment for every window of bytes acknowledged.
	r.acked += rest
	if r.acked >= r.cwnd {
		r.acked -= r.cwnd
		r.cwnd = min(r.cwnd+r.mss, maxWindow)
		// One ACK never adds two segments (RFC 3465 §2.1).
		r.acked = min(r.acked, r.cwnd)
	}
}

// Multipliers of the window at a congestion event.
const (
	renoBeta    = 0.5 // RFC 5681 §3.1, equation 4
	renoBetaECN = 0.8 // RFC 8511 §3.1
)

// Congested halves the window (RFC 5681 §3.1 equation 4); an ECN signal takes
// less (RFC 8511 §3.1).
func (r *Reno) Congested(e Event) {
	if e.Kind != Timeout || e.First {
		r.saved.cwnd, r.saved.ssthresh = r.cwnd, r.ssthresh
	}
	r.acked = 0
	r.shrink(e, int(r.beta(e, renoBeta, renoBetaECN)*float64(r.used(e))))
}

// Undo gives the window back that a spurious event took (RFC 4015 §3.2 keeps
// the larger).
func (r *Reno) Undo(mono.Time) {
	if r.saved.cwnd == 0 {
		return
	}
	r.cwnd = max(r.cwnd, r.saved.cwnd)
	r.ssthresh = max(r.ssthresh, r.saved.ssthresh)
	r.saved.cwnd = 0
}
