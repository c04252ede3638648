// Package conn is one Multipath TCP connection as a machine over its subflows,
// each of them a stack/tcp.Conn whose Upper is a subflow of this package.
//
// It owns the keys' exchange, the data sequence space of both directions, the
// shared receive window, reinjection, the life of subflows, the signalling of
// addresses, and the fallback to plain TCP; it is a working plain connection
// wherever MPTCP is not to be had. It does not own the wire format
// (mptcp/option), the mappings (mptcp/dss), or any decision which subflow
// sends and which paths exist: those are asked for through mptcp/policy.
//
// Like all of the core it never blocks, reads no clock, draws no randomness
// and takes no lock. Its owner calls it from one goroutine at a time, takes
// segments from Emit until there are none, then drains Wants and reads
// Deadline.
//
// Read RFC 8684 §3 first, then RFC 8684 Appendix D and RFC 6356 §3.
package conn

import (
	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// phase is how far the connection has got in becoming Multipath TCP.
type phase uint8

const (
	offered   phase = iota // MP_CAPABLE is under way
	keyed                  // both keys are known, no DSS has come yet
	confirmed              // a DSS has come: joins are allowed (RFC 8684 §3.1)
	fallen                 // plain TCP, for good (RFC 8684 §3.7)
)

// Conn is one connection. Make it with New.
type Conn struct {
	cfg   Config
	phase phase
	plain plain
	keys  keys
	snd   sending
	rcv   receiving
	end   ending
	paths paths

	subs []*subflow    // in order of their ids
	past []SubflowInfo // of those that are buried, at most maxPast
	next policy.Subflow
	turn int // index in subs of who is asked first for a segment

	signals []signal
	timers  [nTimers]mono.Time
	wants   []Want
	work    scratch
}

// timer is one of the connection's own timers; subflows have theirs.
type timer uint8

const (
	dataTimer   timer = iota // data-level retransmission (RFC 8684 §3.3.6)
	aloneTimer               // all subflows are gone (RFC 8684 §3.3.3)
	lingerTimer              // passive closer waits for the peer's FINs
	finTimer                 // a full close waits for the peer's DATA_FIN
	nTimers
)

// scratch is memory that is used again by every event.
type scratch struct {
	set    option.Set
	runs   []chunk.Slice
	order  []chunk.Slice
	snaps  []policy.Snapshot
	ranges []dss.Range
	cmds   []policy.Command
}

// New returns a connection without subflows: First or Accept gives it one.
func New(cfg Config) *Conn {
	cfg.setDefaults()
	cfg.Tuning.WindowScale = windowScale(cfg.Tuning)
	c := &Conn{cfg: cfg}
	c.keys.init(cfg.LocalKey)
	c.snd.init(c.keys.localIDSN.Add(1))
	c.rcv.init(cfg.Tuning.MaxWindow)
	return c
}

// windowScale returns Tuning.WindowScale for all subflows: RFC 8684 §3.2 wants
// one window, so they must not differ in scale.
func windowScale(t tcp.Tuning) int {
	if t.WindowScale != 0 {
		return t.WindowScale
	}
	shift := 0
	for shift < 14 && 0xffff<<shift < t.MaxWindow {
		shift++
	}
	return shift + 1
}

// sub returns the subflow with this id, or nil.
func (c *Conn) sub(id policy.Subflow) *subflow {
	for _, s := range c.subs {
		if s.id == id {
			return s
		}
	}
	return nil
}

// Receive gives subflow sub a segment and takes over its payload.
func (c *Conn) Receive(now mono.Time, sub int, seg *wire.Segment) {
	s := c.sub(policy.Subflow(sub))
	if s == nil {
		chunk.ReleaseAll(seg.Payload)
		seg.Payload = seg.Payload[:0]
		return
	}
	s.hear(now)
	s.pull.held = false
	s.tcp.Receive(now, seg)
	c.settle(now)
}

// Control tells subflow sub what ICMP said about a segment of its.
func (c *Conn) Control(now mono.Time, sub int, e tcp.PathError) {
	if s := c.sub(policy.Subflow(sub)); s != nil {
		s.tcp.Control(now, e)
		c.settle(now)
	}
}

// Advance runs what is due.
func (c *Conn) Advance(now mono.Time) {
	for _, s := range c.subs {
		s.pull.held = false
		if s.tcp.Deadline().Reached(now) {
			s.tcp.Advance(now)
		}
		s.advance(now)
	}
	if c.policyDeadline().Reached(now) {
		c.paths.push(policy.Event{Kind: policy.Tick})
	}
	for t := range c.timers {
		if c.timers[t].Reached(now) {
			c.timers[t] = 0
			c.expire(now, timer(t))
		}
	}
	c.settle(now)
}

func (c *Conn) expire(now mono.Time, t timer) {
	switch t {
	case dataTimer:
		c.dataTimeout(now)
	case aloneTimer:
		c.fail(now, ErrNoSubflow)
	case lingerTimer:
		c.closeSubflows()
	case finTimer:
		c.fail(now, tcp.ErrTimeout)
	}
}

// Emit fills seg with the next segment to send and names its subflow. It
// reports false when there is none.
func (c *Conn) Emit(now mono.Time, seg *wire.Segment) (sub int, ok bool) {
	for again := true; again; {
		again = false
		for i := range c.subs {
			k := (c.turn + i) % len(c.subs)
			s := c.subs[k]
			s.pull.offered = false
			if s.tcp.Emit(now, seg) {
				// A subflow stays at it until it has no more: what it sends in a row
				// leaves in one batch.
				c.turn = k
				s.acts.probe = s.acts.probe || s.acts.probeLater
				s.acts.probeLater = false
				c.settle(now)
				return int(s.id), true
			}
			if s.pull.offered && !s.pull.held {
				// It may not send what it was offered, by pacing or loss recovery:
				// nothing is reserved for it until something happens to it.
				s.pull.held = true
				again = true
			}
		}
	}
	c.bury(now)
	return 0, false
}

// Deadline returns when Advance has something to do; 0: never.
func (c *Conn) Deadline() mono.Time {
	var d mono.Time
	for _, t := range c.timers {
		d = mono.Earliest(d, t)
	}
	for _, s := range c.subs {
		d = mono.Earliest(d, mono.Earliest(s.tcp.Deadline(), s.deadline()))
	}
	return mono.Earliest(mono.Earliest(d, c.signalDeadline()), c.policyDeadline())
}

// Wants appends to dst what the machine asks of its owner, and forgets it.
func (c *Conn) Wants(dst []Want) []Want {
	dst = append(dst, c.wants...)
	c.wants = c.wants[:0]
	return dst
}

// maxRounds bounds settle: what one round sets off is done after very few.
const maxRounds = 16

// settle does what the event asked for but could not do itself: an Upper must
// not act on its own connection while that is at work.
func (c *Conn) settle(now mono.Time) {
	for range maxRounds {
		busy := c.askPathManager(now)
		c.sendSignals(now)
		c.progress(now)
		for _, s := range c.subs {
			busy = s.act(now) || busy
		}
		if !busy {
			return
		}
	}
}

// bury removes the subflows that are closed and have nothing left to emit.
func (c *Conn) bury(now mono.Time) {
	keep := c.subs[:0]
	for _, s := range c.subs {
		if s.stage != gone {
			keep = append(keep, s)
			continue
		}
		s.in.Clear()
		s.out.Clear()
		if len(c.past) == maxPast {
			c.past = c.past[:copy(c.past, c.past[1:])]
		}
		c.past = append(c.past, s.info())
		c.wants = append(c.wants, Want{Kind: Release, Sub: s.id, Address: s.address,
			Remote: s.tcp.Remote()})
	}
	if len(keep) == len(c.subs) {
		return
	}
	clear(c.subs[len(keep):])
	c.subs = keep
	c.turn = 0
	c.settle(now)
}

// over reports whether nothing of the connection is alive any more.
func (c *Conn) over() bool { return c.end.done && len(c.subs) == 0 }
