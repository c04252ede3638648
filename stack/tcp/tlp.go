package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/rack"
	"github.com/sennit-net/sennit/stack/wire"
)

// maxAckDelay is what is allowed for a peer's delayed ACK where one segment
// alone is in flight (RFC 8985 §7.2, TLP.max_ack_delay). Peers that delay for
// longer get a duplicate and say so.
const maxAckDelay = 50 * time.Millisecond

// armProbe starts the timer of Tail Loss Probe (RFC 8985 §7.2): where the last
// segments of a flight are lost, nothing comes back that would tell; one more
// segment makes the peer speak long before the retransmission timer. While a
// probe is out the timer stays off: it would only put the RTO off.
func (c *Conn) armProbe(now mono.Time) {
	s := &c.snd
	if !c.byTime() || !s.synIn || !c.loss.probe.Allowed() || c.loss.mode != calm || s.spans.sacked > 0 || s.spans.lost > 0 || s.unacked() == 0 {
		c.at.stop(tProbe)
		return
	}
	c.at.set(tProbe, rack.Timeout(now, c.at[tRetransmit], c.rtt.SRTT(), maxAckDelay, s.unacked() <= c.opt.mss))
}

// onProbe: the probe timer ran out (RFC 8985 §7.3).
func (c *Conn) onProbe(now mono.Time) {
	if c.loss.mode != calm || c.snd.unacked() == 0 || c.expired(now) {
		return
	}
	c.loss.probing = c.loss.probe.Allowed()
	c.armRetransmit(now)
}

// stopProbe forgets probes: recovery begins (RFC 8985 §7.1).
func (c *Conn) stopProbe() {
	c.loss.probe.Reset()
	c.loss.probing = false
	c.at.stop(tProbe)
}

// probeWithNew reports whether the probe is to carry new data.
func (c *Conn) probeWithNew(now mono.Time) bool {
	return c.snd.open() && c.snd.usable() > 0 && c.cfg.Upper.Pending(now) > 0
}

// probeSpan returns the span to be sent again as a probe: the last segment.
func (c *Conn) probeSpan() int {
	s := &c.snd.spans
	i := len(s.live()) - 1
	if i >= 0 && int(s.live()[i].n) > c.opt.mss {
		i = s.cut(s.live()[i].end() - uint64(c.opt.mss))
	}
	return i
}

// probeLeft notes that a segment left as the probe.
func (c *Conn) probeLeft(now mono.Time, again bool) {
	c.loss.probing = false
	c.loss.probe.Sent(c.snd.sent, again)
	if c.recording() {
		c.record(now, TailProbe{again})
	}
}

// probeAnswered watches what becomes of a probe: one that repaired a loss is a
// congestion signal all the same (RFC 8985 §7.4.2).
func (c *Conn) probeAnswered(now mono.Time, seg *wire.Segment, f *feedback) {
	f.probed = f.duplicated > 0 && c.loss.probe.Out()
	bare := f.acked == 0 && seg.Len() == 0 && seg.NSACK == 0
	if c.loss.probe.Acked(c.snd.acked, f.duplicated > 0, bare) && c.loss.mode == calm {
		c.cc.Congested(cc.Event{Now: now, Kind: cc.Loss, InFlight: f.unacked, Lost: c.opt.mss})
	}
}
