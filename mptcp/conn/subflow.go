package conn

import (
	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// stage is where a subflow is in its life.
type stage uint8

const (
	opening        stage = iota // its handshake is under way
	preEstablished              // RFC 8684 §3.2: the third ACK with MP_JOIN is not acknowledged yet
	established                 // may carry data
	closing                     // a FIN went or will go, or came: nothing new goes out on it
	gone                        // CLOSED
)

// subflow is one subflow, and the Upper of its TCP connection.
type subflow struct {
	c       *Conn
	id      policy.Subflow
	tcp     *tcp.Conn
	address policy.Address
	stage   stage
	up      bool // it was established once
	peerFin bool

	join  join
	out   dss.Outbound
	in    dss.Inbound
	opts  optionState
	alive liveness
	acts  actions
	count counters
	pull  pull
}

// optionState is what was seen of, and is owed to, the peer's options.
type optionState struct {
	dss      bool      // a DSS came on this subflow
	bare     int       // ACKs of new data in a row without any MPTCP option
	quiet    bool      // the last segment had none
	ackOff   uint64    // stream offset the peer has acknowledged
	unmapped mono.Time // when bytes without a mapping are given up on
	due      [][]byte  // signals for the next pure ACKs
	fin      bool      // the next pure ACK carries our DATA_FIN
	third    bool      // the third ACK with MP_CAPABLE went out
	reset    resetCode
	final    bool // a RST, the peer's or ours, said not to come back (RFC 8684 §3.6)
}

// resetCode is what our RST shall say (RFC 8684 §3.6, §3.7).
type resetCode struct {
	set    bool
	why    option.TCPReset
	failed bool // with MP_FAIL
	dsn    uint64
}

// actions are what a callback wants done once TCP has returned.
type actions struct {
	ack, probe, finish, shut, abort, bare bool
	probeLater                            bool // after what is sent next
	finished, shutDone, warned            bool // done once
	err                                   error
}

type counters struct{ sent, received uint64 }

// pull is what came of asking the subflow to send.
type pull struct {
	offered bool // Pending gave it something since Emit began to ask it
	held    bool // and it did not take it: it may not send now
}

var _ tcp.Upper = (*subflow)(nil)

// newSubflow makes a subflow; t lacks only what the connection decides.
func (c *Conn) newSubflow(id policy.Subflow, a policy.Address, t tcp.Config) *subflow {
	s := &subflow{c: c, id: id, address: a}
	t.Upper = s
	// RFC 6897 §4.4: what an application sets is meant for all subflows.
	t.Tuning = c.cfg.Tuning
	// The Nagle algorithm is for the stream, not for its parts: offerNew has it.
	t.NoDelay = true
	t.SharedWindow = true
	t.OptionReserve = reserve
	if c.cfg.Plain {
		t.SharedWindow, t.OptionReserve = false, 0
	}
	s.tcp = tcp.NewConn(t)
	c.subs = append(c.subs, s)
	return s
}

// reserve is the option bytes of the largest DSS, both numbers with 8 octets
// and a checksum (RFC 8684 §3.3).
const reserve = 28

// usable reports whether new data may go out on the subflow.
func (s *subflow) usable() bool { return s.stage == established }

// reset gives the subflow up with a RST that tells why (RFC 8684 §3.6).
func (s *subflow) reset(err error, why option.ResetReason, transient bool) {
	if s.stage == gone || s.acts.abort {
		return
	}
	s.opts.reset.set = true
	s.opts.reset.why = option.TCPReset{Reason: why, Transient: transient}
	s.opts.final = !transient
	s.kill(err)
}

// kill gives the subflow up with a RST.
func (s *subflow) kill(err error) {
	if s.stage == gone {
		return
	}
	s.acts.abort = true
	if s.acts.err == nil {
		s.acts.err = err
	}
}

// act does what callbacks asked for. It reports whether there was anything.
func (s *subflow) act(now mono.Time) bool {
	a := &s.acts
	if s.stage == gone {
		return false
	}
	if a.abort && s.c.end.fast && !a.warned && s.stage >= established {
		// RFC 8684 §3.5: MP_FASTCLOSE goes on an ACK first. A RST alone is only
		// believed where the peer has everything before it (RFC 5961 §3.2), and
		// what answers its challenge ACK carries no options any more.
		s.tcp.Ack(now)
		return false
	}
	if a.abort {
		a.abort = false
		s.tcp.Abort(now)
		if s.stage != gone {
			s.closed(now)
		}
		return true
	}
	busy := a.ack || a.probe || a.bare || a.shut && !a.shutDone || a.finish && !a.finished
	if a.bare {
		a.bare = false
		s.tcp.SetOptionReserve(0)
	}
	if a.shut && !a.shutDone {
		a.shutDone = true
		s.tcp.Close(now)
	}
	if a.finish && !a.finished {
		a.finished = true
		if !a.shutDone {
			s.tcp.CloseWrite(now)
		}
	}
	if a.probe {
		a.probe = false
		s.tcp.Probe(now)
	}
	if a.ack {
		a.ack = false
		s.tcp.Ack(now)
	}
	return busy
}

// Pending is how many bytes the subflow may have now.
func (s *subflow) Pending(now mono.Time) int {
	c := s.c
	if c.end.fast {
		return 0
	}
	if c.phase == fallen {
		if s != c.plain.sub || !s.up {
			return 0
		}
		return c.whole(s, c.snd.unsent())
	}
	if !s.usable() {
		return 0
	}
	n, _ := c.offer(now, s)
	s.pull.offered = n > 0
	return n
}

// Next hands over the next bytes and declares their mapping.
func (s *subflow) Next(now mono.Time, off uint64, max int, dst []chunk.Slice) []chunk.Slice {
	if s.c.phase == fallen {
		return s.c.nextPlain(s, max, dst)
	}
	return s.c.nextMapped(now, s, off, max, dst)
}

// Acked tells that the subflow's bytes before off are acknowledged.
func (s *subflow) Acked(now mono.Time, off uint64) {
	s.opts.ackOff = off
	s.out.Acked(off)
	if s.c.phase == fallen && s == s.c.plain.sub {
		s.c.ackedPlain(off)
	}
}

// Deliver takes received bytes.
func (s *subflow) Deliver(now mono.Time, off uint64, runs []chunk.Slice) {
	c := s.c
	s.count.received += uint64(chunk.Total(runs))
	if c.phase == fallen {
		if s == c.plain.sub {
			c.takePlain(now, runs)
		} else {
			chunk.ReleaseAll(runs)
		}
		return
	}
	s.alive.active = true
	s.in.Deliver(runs)
	c.drain(now, s)
}

// Window is the receive window, the same on every subflow (RFC 8684 §3.3.4).
func (s *subflow) Window() int { return s.c.rcv.room() }

// Changed follows the TCP connection's state.
func (s *subflow) Changed(now mono.Time, e tcp.Change) {
	switch e {
	case tcp.Established:
		s.established(now)
	case tcp.PeerClosed:
		s.peerClosed(now)
	case tcp.FinAcked:
		s.rest()
	case tcp.Lost:
		s.lost(now)
	case tcp.Recovered:
		s.revive(now)
	case tcp.Closed:
		s.closed(now)
	}
}

// rest gives memory back when the subflow only waits for its end: nothing of
// it is sent any more, and all data went both ways.
func (s *subflow) rest() {
	if s.c.bothFins() {
		s.out.Clear()
		s.c.work = scratch{}
	}
}

// peerClosed handles the FIN of the subflow. RFC 8684 §3.3.3: it ends the
// subflow, not the connection, unless that is plain TCP.
func (s *subflow) peerClosed(now mono.Time) {
	s.peerFin = true
	c := s.c
	if (c.phase == keyed || s.opts.quiet) && c.foldable(s) && !c.rcv.finReached {
		// RFC 8684 §3.7: a FIN before any DSS, or without options where the peer
		// always had some: it closes its end of a plain connection.
		c.fallBack(now, s, c.lostCause())
	}
	if c.phase == fallen {
		if s == c.plain.sub {
			c.rcv.finReached = true
		}
		return
	}
	if c.rcv.finReached && !c.bothFins() {
		// Nothing more was to come: the other direction goes on
		// (RFC 8684 §3.3.3 lets a FIN travel with the DATA_FIN).
		return
	}
	if s.stage < closing {
		s.stage = closing
		s.acts.finish = true
	}
}

// closed handles the end of the TCP connection under the subflow.
func (s *subflow) closed(now mono.Time) {
	if s.stage == gone {
		return
	}
	was := s.stage
	s.stage = gone
	err := s.acts.err
	if err == nil {
		err = s.tcp.Err()
	}
	s.c.subflowGone(now, s, was, err)
}
