package rack

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// noSRTT is the probe timeout before any sample (RFC 8985 §7.2).
const noSRTT = time.Second

// Probe is the TLP state of one connection (RFC 8985 §7). The zero value is
// ready.
type Probe struct {
	out   bool   // TLP.end_seq is set: a probe is in flight
	again bool   // TLP.is_retrans: it was sent before
	end   uint64 // TLP.end_seq
	stale bool   // no RTT sample since the last probe
}

// Timeout returns when to probe after data was sent at now or SND.UNA moved
// (RFC 8985 §7.2): not after rto, when the retransmission timer runs out. ackDelay
// is how long the peer may hold an ACK of a lone segment back.
func Timeout(now, rto mono.Time, srtt, ackDelay time.Duration, lone bool) mono.Time {
	d := noSRTT
	if srtt > 0 {
		d = 2 * srtt
		if lone {
			d += ackDelay
		}
	}
	at := now.Add(d)
	if !rto.IsZero() && at > rto {
		return rto
	}
	return at
}

// Allowed reports whether a probe may be sent: none is in flight, and there was
// an RTT sample since the last (RFC 8985 §7.3).
func (p *Probe) Allowed() bool { return !p.out && !p.stale }

// Sent tells that the probe was sent, SND.NXT being end now. again is true if it
// was a retransmission.
func (p *Probe) Sent(end uint64, again bool) {
	*p = Probe{out: true, again: again, end: end, stale: true}
}

// Out reports whether a probe is in flight.
func (p *Probe) Out() bool { return p.out }

// Sampled tells of a new RTT sample.
func (p *Probe) Sampled() { p.stale = false }

// Reset forgets the probe: recovery started (RFC 8985 §7.1).
func (p *Probe) Reset() { *p = Probe{stale: p.stale} }

// Acked tells of an ACK (RFC 8985 §7.4): up to una, with a DSACK for the probe's
// end or not, and whether it was a duplicate ACK without any SACK. It reports
// whether the probe repaired a loss, which congestion control has to hear of.
func (p *Probe) Acked(una uint64, dsack, bareDuplicate bool) (repaired bool) {
	switch {
	case !p.out || una < p.end:
		return false
	case !p.again, dsack, bareDuplicate && una == p.end:
		// It carried new data, or both copies arrived.
		p.out = false
	case una > p.end:
		p.out = false
		return true
	}
	return false
}
