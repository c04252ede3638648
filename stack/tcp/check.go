package tcp

import "fmt"

// Check reports an invariant of the connection that does not hold, for tests
// and simulations.
func (c *Conn) Check() error {
	s := &c.snd
	if s.nxt().Sub(s.una()) < 0 {
		return fmt.Errorf("SND.NXT %d is before SND.UNA %d", s.nxt(), s.una())
	}
	if c.life.over || c.life.state == TimeWait {
		if s.bytes.Len() != 0 || len(s.spans.live()) != 0 {
			return fmt.Errorf("%v still holds %d bytes", c.life.state, s.bytes.Len())
		}
		return nil
	}
	if s.bytes.Len() != s.unacked() {
		return fmt.Errorf("%d bytes kept for %d unacknowledged", s.bytes.Len(), s.unacked())
	}
	if s.outstanding() && !c.at.runs(tRetransmit) {
		return fmt.Errorf("%d bytes outstanding in %v, and no timer runs", s.unacked(), c.life.state)
	}
	return s.checkSpans()
}

// checkSpans counts the scoreboard anew: what is in flight is the sum of its
// parts.
func (s *sender) checkSpans() error {
	at, nSacked, nLost, nTwice := s.acked, 0, 0, 0
	for i, p := range s.spans.live() {
		if p.off != at || p.n <= 0 {
			return fmt.Errorf("span %d is [%d,+%d), want it at %d", i, p.off, p.n, at)
		}
		at = p.end()
		switch n := int(p.n); {
		case p.mark.has(sacked) && p.mark.has(lost):
			return fmt.Errorf("span %d is SACKed and lost", i)
		case p.mark.has(sacked):
			nSacked += n
		case p.mark.has(lost):
			nLost += n
			if p.off < s.spans.redo {
				return fmt.Errorf("lost span at %d lies before the hint %d", p.off, s.spans.redo)
			}
		case p.mark.has(twice):
			nTwice += n
		}
	}
	if at != s.sent {
		return fmt.Errorf("spans end at %d, want %d", at, s.sent)
	}
	if nSacked != s.spans.sacked || nLost != s.spans.lost || nTwice != s.spans.twice {
		return fmt.Errorf("SACKed %d lost %d twice %d, counted as %d %d %d",
			nSacked, nLost, nTwice, s.spans.sacked, s.spans.lost, s.spans.twice)
	}
	return nil
}
