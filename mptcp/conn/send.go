package conn

import (
	"slices"

	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
)

// offer says what subflow s may send now: a part of again (at >= 0) or unsent
// bytes (at < 0).
func (c *Conn) offer(now mono.Time, s *subflow) (n, at int) {
	if len(c.snd.again) > 0 {
		if at, ok := c.offerAgain(now, s); ok {
			return c.snd.again[at].Len, at
		}
	}
	return c.offerNew(now, s), -1
}

// offerNew returns how many unsent bytes s may take.
func (c *Conn) offerNew(now mono.Time, s *subflow) int {
	n := c.snd.unsent()
	if n == 0 {
		return 0
	}
	// RFC 8684 §3.3.5: within the window of the data level; TCP sees to the
	// subflow's own.
	n = min(n, c.snd.room())
	if n == 0 {
		c.armDataTimer(now)
		return c.offerProbe(s)
	}
	if n = c.whole(s, n); n == 0 {
		return 0
	}
	if len(c.subs) == 1 || c.cfg.Scheduler == nil {
		return n
	}
	snaps := c.snapshots()
	return min(n, c.cfg.Scheduler.Allow(policy.Request{
		Now: now, Asker: s.id, Unsent: n, Window: c.snd.room(), Subs: snaps,
		Service: c.cfg.Service}))
}

// whole is the Nagle algorithm over all subflows (RFC 9293 §3.7.4): less than a
// full segment waits while data is unacknowledged. n bytes could be sent.
func (c *Conn) whole(s *subflow, n int) int {
	if c.cfg.Tuning.NoDelay || c.end.noWrite || c.snd.una == c.snd.nxt || n < c.snd.unsent() {
		return n
	}
	mss := max(s.tcp.Info().MSS, 1)
	return n - n%mss
}

// offerProbe lets one byte go beyond a closed window when nothing is in
// flight, as a zero-window probe (RFC 9293 §3.8.6.1).
func (c *Conn) offerProbe(s *subflow) int {
	if c.snd.una != c.snd.nxt {
		return 0
	}
	if c.snd.probe || s.tcp.Info().SndWnd == 0 {
		return 1
	}
	return 0
}

// offerAgain returns which reinjection s shall carry.
func (c *Conn) offerAgain(now mono.Time, s *subflow) (at int, ok bool) {
	usable := 0
	for _, o := range c.subs {
		if o.usable() {
			usable++
		}
	}
	if usable == 1 {
		// Nobody else is left to carry it, not even when s carried it before: a
		// path that acknowledges and forgets (RFC 8684 §3.3.6).
		return 0, true
	}
	var no [defaultSubflows]policy.Subflow // lost ones whose data is not for s
	refused := no[:0]
	for i := range c.snd.again {
		lost := c.snd.again[i].lost
		if slices.Contains(refused, lost) {
			continue
		}
		if to, fit := c.target(now, lost); fit && to == s.id {
			return i, true
		}
		refused = append(refused, lost)
	}
	return 0, false
}

// target asks the scheduler who carries again what lost did not deliver.
func (c *Conn) target(now mono.Time, lost policy.Subflow) (policy.Subflow, bool) {
	if c.cfg.Scheduler == nil {
		for _, s := range c.subs {
			if s.usable() && !s.doubtful() && s.id != lost {
				return s.id, true
			}
		}
		return 0, false
	}
	return c.cfg.Scheduler.Reinject(now, lost, c.snapshots())
}

// nextMapped hands subflow s its next bytes under a new mapping.
func (c *Conn) nextMapped(now mono.Time, s *subflow, off uint64, limit int, dst []chunk.Slice) []chunk.Slice {
	n, at := c.offer(now, s)
	n = min(n, limit, dss.MaxLen)
	if n <= 0 {
		return dst
	}
	dsn := c.snd.nxt
	if at >= 0 {
		dsn = c.takeAgain(now, s, at, n)
	} else {
		c.snd.nxt = dsn.Add(n)
		c.snd.probe = false
		if c.snd.una == dsn {
			c.snd.progress = now
		}
	}
	if dsn != c.snd.base.Add(int(off)) {
		c.snd.straight = false
	}
	first := len(dst)
	dst = c.snd.queue.Range(dst, int(dsn.Sub(c.snd.una)), n)
	m := dss.Mapping{Off: off, DSN: dsn, Len: n}
	if c.keys.checksum {
		m.Sum, m.HasSum = dss.Sum(m, dst[first:]), true
	}
	s.out.Add(m)
	s.count.sent += uint64(n)
	s.alive.active = true
	c.armDataTimer(now)
	return dst
}

// takeAgain takes n bytes off a reinjection.
func (c *Conn) takeAgain(now mono.Time, s *subflow, at, n int) seq.Data {
	a := &c.snd.again[at]
	dsn := a.DSN
	c.record(now, Reinjected{Sub: s.id, DSN: dsn, Len: n})
	if n == a.Len {
		c.snd.again = append(c.snd.again[:at], c.snd.again[at+1:]...)
		return dsn
	}
	a.DSN, a.Len = a.DSN.Add(n), a.Len-n
	return dsn
}

// snapshots shows the scheduler the subflows that may carry data.
func (c *Conn) snapshots() []policy.Snapshot {
	snaps := c.work.snaps[:0]
	stale := 0
	for _, s := range c.subs {
		if !s.usable() {
			continue
		}
		snaps = append(snaps, s.snapshot())
		if s.doubtful() {
			stale++
		}
	}
	if stale == len(snaps) {
		// All are stale: then none is worse than the others.
		for i := range snaps {
			snaps[i].Stale = false
		}
	}
	c.work.snaps = snaps
	return snaps
}

func (s *subflow) snapshot() policy.Snapshot {
	i := s.tcp.Info()
	room := max(0, min(i.Cwnd-i.InFlight, i.SndWnd-i.Unacked))
	if room < i.MSS && i.InFlight > 0 || s.pull.held {
		// TCP waits for room for a whole segment, or for something else; others
		// need not.
		room = 0
	}
	return policy.Snapshot{ID: s.id, Link: s.address.Link, Class: s.address.Class,
		Backup: s.backup(), Stale: s.doubtful(), SRTT: i.SRTT, RTTVar: i.RTTVar,
		Window: i.Cwnd, InFlight: i.InFlight, Room: room, MSS: i.MSS, Backoffs: i.Backoffs}
}
