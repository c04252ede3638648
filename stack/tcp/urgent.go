package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// urgent is where urgent data ends, as stream offsets: the octet after the last
// urgent one (RFC 9293 §3.8.5, MUST-62). The bytes themselves are data as any
// other, in line (RFC 6093 §3.1).
type urgent struct {
	out, in uint64 // SND.UP, RCV.UP
}

// Urge declares the next n bytes written to be urgent, along with all before
// them. The peer is told at once, also while its window is closed. New
// applications should not use it (RFC 9293 §3.8.5, SHLD-13).
func (s *Stream) Urge(_ mono.Time, n int) {
	if !s.conn.snd.open() || s.noWrite || n <= 0 {
		return
	}
	u := s.conn.marks()
	u.out = max(u.out, s.conn.snd.sent+uint64(s.out.Len()+n))
	s.conn.out.ack = true
}

// Urgent returns how many of the bytes still to be read, arrived or not, are
// urgent (RFC 9293 §3.8.5, MUST-33).
func (s *Stream) Urgent() int {
	u := s.conn.urg
	if u == nil {
		return 0
	}
	return max(int(int64(u.in-s.conn.rcv.off))+s.in.Len(), 0)
}

func (c *Conn) marks() *urgent {
	if c.urg == nil {
		c.urg = new(urgent)
	}
	return c.urg
}

// urging reports whether there is urgent data the peer has not acknowledged.
// Such segments go one by one: who splits a super-segment would repeat the
// pointer, which counts from each segment's own start.
func (c *Conn) urging() bool { return c.urg != nil && c.urg.out > c.snd.acked }

// point sets URG and the urgent pointer on a segment about to be sent, if
// urgent data ends behind its beginning. Farther than the pointer reaches, it
// points as far as it can, and later segments go on (MUST-31).
func (c *Conn) point(seg *wire.Segment, _ uint64) {
	if !c.urging() {
		return
	}
	if n := c.snd.seqOf(c.urg.out).Sub(seg.Seq); n > 0 {
		seg.Flags |= wire.URG
		seg.Urgent = uint16(min(n, 65535))
	}
}

// processUrgent is the sixth check (RFC 9293 §3.10.7.4): RCV.UP only moves on,
// and the application hears of it when it does (MUST-32).
func (c *Conn) processUrgent(now mono.Time, seg *wire.Segment) {
	if !seg.Flags.Has(wire.URG) || c.rcv.fin || c.life.state > FinWait2 {
		return
	}
	up := c.rcv.offOf(seg.Seq) + uint64(seg.Urgent)
	ahead := int64(up - c.rcv.off)
	if ahead <= 0 {
		return // behind what was delivered; or of a peer that points to nothing
	}
	u := c.marks()
	if u.in >= up {
		return
	}
	u.in = up
	if c.recording() {
		c.record(now, UrgentData{End: up})
	}
}
