package cc

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Constants of RFC 7661.
const (
	nonValidated = 5 * time.Minute // §4.4: how long a window that is not used is kept
	samplePeriod = time.Second     // §4.2: at least so long, or three round trips
)

// validation measures how much of the window the connection makes use of
// (RFC 7661), so that a window earned long ago is not believed for ever. The
// restart after idleness stays that of RFC 5681 §4.1, which is stricter.
type validation struct {
	acked int       // in this round trip
	round mono.Time // when that began
	pipe  [2]int    // largest in this half of the sampling period and in the half before
	half  mono.Time // when this half began
	since mono.Time // of the non-validated phase; 0: the window is in use
}

// pipeACK is RFC 7661's measure of the pipe; 0: undefined.
func (v *validation) pipeACK() int { return max(v.pipe[0], v.pipe[1]) }

// validate takes an ACK (RFC 7661 §4.2, §4.3).
func (w *window) validate(a Ack) {
	v := &w.use
	if a.Recovery || w.srtt == 0 {
		// No samples while lost data is being repaired.
		v.acked, v.round = 0, a.Now
		return
	}
	v.acked += a.Bytes
	if v.round.IsZero() {
		v.round, v.half = a.Now, a.Now
	}
	period := max(3*w.srtt, samplePeriod)
	if d := a.Now.Sub(v.half); d >= period/2 {
		v.pipe[1], v.pipe[0], v.half = v.pipe[0], 0, a.Now
		if d >= period {
			v.pipe[1] = 0
		}
	}
	if a.Now.Sub(v.round) >= w.srtt {
		v.pipe[0] = max(v.pipe[0], v.acked)
		v.acked, v.round = 0, a.Now
	}
	switch pipe := v.pipeACK(); {
	case pipe == 0:
	case pipe >= w.cwnd/2 || !a.AppLimited:
		v.since = 0
	case v.since.IsZero():
		v.since = a.Now
	case a.Now.Sub(v.since) >= nonValidated:
		// RFC 7661 §4.4.3.
		w.ssthresh = max(w.ssthresh, w.cwnd/4*3)
		w.cwnd = max(w.cwnd/2, min(w.initial, w.cwnd))
		v.since = a.Now
	}
}

// used returns how much of the window was in use at a congestion event: what was
// in flight. A long repair keeps SACKed bytes outstanding beyond the window:
// those have left the network and must not count. In the non-validated phase
// what was lost shows how little of the window is known to be good
// (RFC 7661 §4.4.1).
func (w *window) used(e Event) int {
	n := min(e.InFlight, w.cwnd)
	if v := &w.use; !v.since.IsZero() && e.Kind != ECN {
		n = max(min(max(v.pipeACK(), n), w.cwnd)-e.Lost, w.mss)
		*v = validation{}
	}
	return n
}
