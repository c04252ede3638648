package tcp

import "github.com/sennit-net/sennit/stack/mono"

// span is a range of sent bytes with one fate. It never joins bytes of two
// Source.Next calls; it is split where an ACK, a SACK block or a smaller
// segment size cuts it.
type span struct {
	off    uint64
	n      int32
	mark   mark
	xmits  uint8 // times sent, saturating
	sentAt mono.Time
	left   departure // rate.go
}

func (p *span) end() uint64 { return p.off + uint64(p.n) }

// mark is the fate of a span. Without lost or sacked it is in flight.
type mark uint8

const (
	sacked mark = 1 << iota // the peer holds it (RFC 2018)
	lost                    // taken for lost, to be sent again
	resent                  // was retransmitted
	twice                   // in flight twice: sent again without being taken for lost
)

func (m mark) has(b mark) bool { return m&b != 0 }

// spans are the sent and not cumulatively acknowledged ranges in order,
// without gaps: the scoreboard of RFC 6675 §3. Lists of many are indexed by
// binary search; the counters are kept along.
type spans struct {
	list   []span // list[head:] live
	head   int
	sacked int // bytes marked sacked
	lost   int // bytes marked lost
	twice  int // bytes marked twice
	again  int // bytes retransmitted and not SACKed
	top    uint64
	// redo is a lower bound for the first span marked lost.
	redo uint64
}

func (s *spans) live() []span { return s.list[s.head:] }

// append adds a range just sent.
func (s *spans) append(off uint64, n int, now mono.Time) {
	if s.head > 64 && s.head*2 > len(s.list) {
		k := copy(s.list, s.list[s.head:])
		s.list, s.head = s.list[:k], 0
	}
	s.list = append(s.list, span{off: off, n: int32(n), xmits: 1, sentAt: now})
}

// find returns the index, into live, of the span that holds offset off.
func (s *spans) find(off uint64) int {
	l := s.live()
	lo, hi := 0, len(l)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if l[m].end() <= off {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// cut makes a border at off and returns the index of the span that starts
// there (or one past the last).
func (s *spans) cut(off uint64) int {
	i := s.find(off)
	l := s.live()
	if i == len(l) || l[i].off >= off {
		return i
	}
	s.list = append(s.list, span{})
	l = s.live()
	copy(l[i+1:], l[i:])
	k := int32(off - l[i].off)
	l[i].n = k
	l[i+1].off = off
	l[i+1].n -= k
	return i + 1
}

// set replaces the fate of span i and keeps the counters.
func (s *spans) set(i int, m mark) {
	p := &s.live()[i]
	n := int(p.n)
	if p.mark.has(sacked) {
		s.sacked -= n
	}
	if p.mark.has(lost) {
		s.lost -= n
	}
	if p.mark.has(twice) {
		s.twice -= n
	}
	if p.mark&(resent|sacked) == resent {
		s.again -= n
	}
	p.mark = m
	if m&(resent|sacked) == resent {
		s.again += n
	}
	if m.has(twice) {
		s.twice += n
	}
	if m.has(sacked) {
		s.sacked += n
	}
	if m.has(lost) {
		s.lost += n
		s.redo = min(s.redo, p.off)
	}
}

// drop forgets the first k spans.
func (s *spans) drop(k int) {
	for i := range k {
		s.set(i, 0)
	}
	s.head += k
	if s.head == len(s.list) {
		s.list, s.head = s.list[:0], 0
		if cap(s.list) > 128 {
			s.list = nil
		}
	}
}

// firstLost returns the index of the lowest span marked lost, or -1.
func (s *spans) firstLost() int {
	if s.lost == 0 {
		return -1
	}
	l := s.live()
	for i := s.find(s.redo); i < len(l); i++ {
		if l[i].mark.has(lost) {
			s.redo = l[i].off
			return i
		}
	}
	return -1
}

// retransmitted notes that span i was sent again.
func (s *spans) retransmitted(i int, now mono.Time) {
	p := &s.live()[i]
	m := resent
	if !p.mark.has(lost) {
		m |= twice
	}
	s.set(i, m)
	p.xmits = min(p.xmits, 254) + 1
	p.sentAt = now
}
