package conn

import (
	"slices"
	"time"

	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// liveness is whether a subflow's path still carries anything.
//
// Of what we send the retransmission timer tells. Of what the peer sends only
// silence tells, and only where data is expected: while data from other
// subflows waits for a hole to close, or right after this one carried some.
// Then the path is probed; a path that answers no probe is withdrawn, so that
// the peer sends again elsewhere what it lost there.
type liveness struct {
	stale   bool
	active  bool      // carried data since the last probe that was answered
	heard   mono.Time // the last segment of any kind
	probed  mono.Time // the last probe
	probes  int       // without an answer
	rescued uint64    // offset up to which its data was reinjected
	whole   bool      // all of its data was, for good
}

// hear notes that something came.
func (s *subflow) hear(now mono.Time) {
	a := &s.alive
	a.heard = now
	if a.probes > 0 {
		a.probes = 0
		a.active = false
		if a.stale && s.stage != gone && s.tcp.Backoffs() == 0 {
			s.revive(now)
		}
	}
}

// lost follows a retransmission timeout: the first one without progress makes
// the subflow stale, and what it has not delivered goes elsewhere too
// (RFC 8684 §3.3.6; the subflow repeats it as well).
func (s *subflow) lost(now mono.Time) {
	if s.stage == established && s.c.phase != fallen {
		s.markStale(now)
	}
}

func (s *subflow) markStale(now mono.Time) {
	c := s.c
	if !s.alive.stale {
		s.alive.stale = true
		c.record(now, PathStale{Sub: s.id})
		c.paths.push(policy.Event{Kind: policy.SubflowStale, Subflow: s.id, Address: s.address,
			Remote: s.tcp.Remote()})
	}
	if c.others(s) {
		c.rescue(now, s)
	}
}

// revive follows progress on a stale subflow.
func (s *subflow) revive(now mono.Time) {
	if !s.alive.stale {
		return
	}
	s.alive.stale = false
	s.alive.rescued = 0
	// It is at work again itself on what nobody has taken over yet.
	s.c.snd.again = slices.DeleteFunc(s.c.snd.again, func(a again) bool { return a.lost == s.id })
	s.c.record(now, PathRevived{Sub: s.id})
	s.c.paths.push(policy.Event{Kind: policy.SubflowRevived, Subflow: s.id, Address: s.address,
		Remote: s.tcp.Remote()})
}

// suspect stops using a subflow until it has answered a probe.
func (s *subflow) suspect(now mono.Time) {
	if s.stage != established {
		return
	}
	s.markStale(now)
	if s.alive.probes == 0 {
		s.alive.probes, s.alive.probed = 1, now
		s.acts.probe = true
	}
}

// others reports whether a subflow other than s may carry data.
func (c *Conn) others(s *subflow) bool {
	for _, o := range c.subs {
		if o != s && o.usable() {
			return true
		}
	}
	return false
}

// rescue queues for other subflows what s has sent and the peer has not
// acknowledged there, once per byte (RFC 8684 §3.3.6). What it acknowledged has
// reached the data level; should it have dropped that after all, the data-level
// timer sees to it. SACK means nothing here: what waits for a hole of the
// subflow has not reached the data level, and goes when the subflow does.
func (c *Conn) rescue(now mono.Time, s *subflow) {
	if c.bothFins() || c.end.done || c.phase == fallen || s.alive.whole {
		return
	}
	switch {
	case s.distrusted():
		s.alive.whole = true
		c.rescueAll(s)
	case s.alive.rescued == s.out.End():
		return
	default:
		c.rescueRange(s, max(s.opts.ackOff, s.alive.rescued), s.out.End())
		s.alive.rescued = s.out.End()
	}
	if c.finDue() {
		c.sendFin(now)
	}
	c.armDataTimer(now)
}

// distrusted reports whether the subflow ends in a way that makes its
// acknowledgements worth nothing: the peer reset it, or options or bytes were
// changed on it.
func (s *subflow) distrusted() bool {
	switch s.acts.err {
	case nil:
		return s.stage == gone
	case ErrInterference, ErrChecksum, ErrMapping, tcp.ErrReset:
		return true
	}
	return false
}

// rescueAll queues all that a subflow has carried and no Data ACK covers. Where
// the peer has reset the subflow it may have dropped what it acknowledged there:
// a mapping it did not get, a checksum that failed (RFC 8684 §3.7).
func (c *Conn) rescueAll(s *subflow) {
	c.work.ranges = s.out.Unacked(c.work.ranges[:0])
	for _, r := range c.work.ranges {
		c.sendAgain(r, s.id)
	}
}

// rescueRange queues the data of subflow bytes [off,end).
func (c *Conn) rescueRange(s *subflow, off, end uint64) {
	for off < end {
		m, ok := s.out.At(off)
		if !ok {
			return
		}
		skip := int(off - m.Off)
		n := int(min(m.End(), end) - off)
		c.sendAgain(dss.Range{DSN: m.DSN.Add(skip), Len: n}, s.id)
		off += uint64(n)
	}
}

// rescueStale is for a subflow that has just come up: it can take over from
// those that are stuck.
func (c *Conn) rescueStale(now mono.Time, up *subflow) {
	for _, s := range c.subs {
		if s != up && s.alive.stale && s.stage != gone {
			c.rescue(now, s)
		}
	}
}

// sendAgain queues a range for reinjection, less what is queued already, in
// the order of the data.
func (c *Conn) sendAgain(r dss.Range, lost policy.Subflow) {
	if skip := c.snd.una.Sub(r.DSN); skip > 0 {
		if skip >= int64(r.Len) {
			return
		}
		r = dss.Range{DSN: c.snd.una, Len: r.Len - int(skip)}
	}
	i := 0
	for ; i < len(c.snd.again) && r.Len > 0; i++ {
		a := c.snd.again[i].Range
		if a.End().BeforeEq(r.DSN) {
			continue
		}
		if before := a.DSN.Sub(r.DSN); before > 0 {
			n := int(min(before, int64(r.Len)))
			if c.joinAgain(i-1, dss.Range{DSN: r.DSN, Len: n}, lost) {
				i-- // a is still to be looked at
			} else {
				c.snd.again = slices.Insert(c.snd.again, i, again{dss.Range{DSN: r.DSN, Len: n}, lost})
			}
			r.DSN, r.Len = r.DSN.Add(n), r.Len-n
			continue
		}
		skip := int(min(a.End().Sub(r.DSN), int64(r.Len)))
		r.DSN, r.Len = r.DSN.Add(skip), r.Len-skip
	}
	if r.Len > 0 && !c.joinAgain(i-1, r, lost) {
		c.snd.again = slices.Insert(c.snd.again, i, again{r, lost})
	}
}

// joinAgain adds r to reinjection i if it continues that.
func (c *Conn) joinAgain(i int, r dss.Range, lost policy.Subflow) bool {
	if i < 0 || c.snd.again[i].lost != lost || c.snd.again[i].End() != r.DSN {
		return false
	}
	c.snd.again[i].Len += r.Len
	return true
}

// watched reports whether silence on the subflow would mean something.
func (s *subflow) watched() bool {
	c := s.c
	if c.phase != confirmed || s.stage != established || c.end.closing || !c.others(s) {
		return false
	}
	return s.alive.probes > 0 || s.alive.active || c.rcv.reasm.Waiting() > 0
}

// probeTime returns when the next probe is due; 0: none is.
func (s *subflow) probeTime() mono.Time {
	if !s.watched() {
		return 0
	}
	srtt := s.tcp.Info().SRTT
	t := s.alive.heard.Add(max(silence, 2*srtt))
	if s.alive.probes > 0 {
		t = s.alive.probed.Add(max(probeGap, 2*srtt))
	}
	return t
}

// deadline is when the subflow's own timers want to run.
func (s *subflow) deadline() mono.Time {
	if s.stage == gone {
		return 0
	}
	return mono.Earliest(mono.Earliest(s.join.retry, s.opts.unmapped), s.probeTime())
}

// advance runs the subflow's own timers.
func (s *subflow) advance(now mono.Time) {
	if s.stage == gone {
		return
	}
	if s.join.retry.Reached(now) {
		s.joinTimeout(now)
	}
	if s.opts.unmapped.Reached(now) {
		s.opts.unmapped = 0
		if s.in.Held() > 0 {
			// RFC 8684 §3.7: options got lost, with other subflows around.
			s.reset(ErrInterference, option.ResetInterference, false)
		}
	}
	if s.probeTime().Reached(now) {
		s.probe(now)
	}
}

// probe tests a silent path, or gives it up.
func (s *subflow) probe(now mono.Time) {
	a := &s.alive
	if a.probes < maxProbes {
		a.probes++
		a.probed = now
		s.acts.probe = true
		return
	}
	c := s.c
	if !c.heardElsewhere(s, now) {
		// Nothing answers anywhere: no path is worse than another.
		a.probes, a.active = 0, false
		a.heard = now
		return
	}
	// RFC 8684 §3.4.2: tell the peer over another path that this address is of
	// no use, so that it reinjects at once instead of after its own timers.
	if !c.sharesAddress(s) {
		c.withdraw(s.tcp.Local().Addr())
	}
	s.reset(ErrSilent, option.ResetPerformance, true)
}

// heardElsewhere reports whether another subflow was heard while s was silent.
func (c *Conn) heardElsewhere(s *subflow, now mono.Time) bool {
	for _, o := range c.subs {
		if o != s && o.usable() && now.Sub(o.alive.heard) < 2*time.Second && o.alive.heard.After(s.alive.heard) {
			return true
		}
	}
	return false
}

// sharesAddress reports whether another subflow runs over s's local address.
func (c *Conn) sharesAddress(s *subflow) bool {
	for _, o := range c.subs {
		if o != s && o.usable() && o.join.localID == s.join.localID {
			return true
		}
	}
	return false
}
