package cc

import "time"

// Constants of HyStart++ (RFC 9406 §4.3).
const (
	minRTTThresh     = 4 * time.Millisecond
	maxRTTThresh     = 16 * time.Millisecond
	rttDivisor       = 8
	rttSamples       = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
)

// hystart is HyStart++ (RFC 9406): it ends the first slow start when round
// trips get longer, before the queue overflows. In between lies conservative
// slow start (CSS), which is left again if the delay was only a spike.
//
// RFC 9406 §4.3: growth per ACK has no limit L, since the sender paces.
type hystart struct {
	over  bool // the first slow start is behind us (RFC 9406 §4.3)
	acked int  // bytes acknowledged in this round
	round int  // bytes that were in flight when it began

	last, current time.Duration // shortest RTT of the round before and of this one; 0: none
	samples       int

	css      bool
	rounds   int
	baseline time.Duration
}

// growth returns by how much slow start grows the window for this ACK, and
// whether slow start ends with it.
func (h *hystart) growth(a Ack) (bytes int, end bool) {
	if h.over {
		return a.Bytes, false
	}
	bytes = a.Bytes
	if h.css {
		bytes = (a.Bytes + cssGrowthDivisor - 1) / cssGrowthDivisor
	}
	h.sample(a.RTT)
	if h.acked += a.Bytes; h.acked >= h.round {
		end = h.nextRound(a.InFlight - a.Bytes)
	}
	return bytes, end
}

// sample looks at the delay (RFC 9406 §4.2).
func (h *hystart) sample(rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if h.current == 0 || rtt < h.current {
		h.current = rtt
	}
	if h.samples++; h.samples < rttSamples {
		return
	}
	if h.css {
		if h.current < h.baseline {
			h.css = false
		}
		return
	}
	thresh := min(max(h.last/rttDivisor, minRTTThresh), maxRTTThresh)
	if h.last > 0 && h.current >= h.last+thresh {
		h.css, h.baseline, h.rounds = true, h.current, 0
	}
}

// nextRound begins a round with what is in flight now. It reports whether
// enough of them passed in CSS.
func (h *hystart) nextRound(inFlight int) bool {
	h.acked, h.round = 0, max(inFlight, 1)
	h.last, h.current, h.samples = h.current, 0, 0
	if h.css {
		h.rounds++
	}
	return h.css && h.rounds >= cssRounds
}
