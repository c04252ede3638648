package tcp

import (
	"net/netip"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/rtt"
	"github.com/sennit-net/sennit/stack/wire"
)

// Conn is one TCP connection. Its parts are sub-states, each in a file of its
// own name.
type Conn struct {
	cfg  Config
	life life     // state.go
	opt  agreed   // options.go: what the SYNs settled
	snd  sender   // send.go
	rcv  receiver // receiver.go
	loss recovery // recovery.go
	rate rate     // rate.go
	out  outbox   // emit.go: what wants to leave without being data
	rtt  rtt.Estimator
	cc   cc.Controller
	at   timers   // timers.go
	idle idle     // keepalive.go
	path *search  // search.go
	fast opening  // fastopen.go
	uto  patience // usertimeout.go
	urg  *urgent  // urgent.go; nil: there never was any
	stat counters
}

// counters are what Info tells and nothing else needs.
type counters struct {
	sent, received, retrans     uint64 // payload bytes
	segsSent, segsIn, retransIn uint64 // segments; retransIn: retransmitted ones
	lastSent, lastReceived      mono.Time
}

// NewConn makes a connection in CLOSED. cfg.Upper must be set.
func NewConn(cfg Config) *Conn {
	c := new(Conn)
	c.init(cfg)
	return c
}

func (c *Conn) init(cfg Config) {
	c.cfg = cfg
	c.life.state = ClosedState
	c.snd.init(cfg.ISS)
	c.opt.mtu = cfg.MTU
	c.setMSS()
}

// Open begins an active open: SYN-SENT (RFC 9293 §3.10.1).
func (c *Conn) Open(now mono.Time) {
	if c.life.state != ClosedState || c.life.over {
		return
	}
	c.offerAll()
	c.snd.since = now
	c.out.syn = true
	c.setState(now, SynSent)
}

// Listen begins a passive open: LISTEN. The SYN then comes through Receive.
func (c *Conn) Listen() {
	if c.life.state != ClosedState || c.life.over {
		return
	}
	c.life.passive = true
	c.life.state = Listen
}

// Local returns this side's address.
func (c *Conn) Local() netip.AddrPort { return c.cfg.Local }

// Remote returns the peer's address.
func (c *Conn) Remote() netip.AddrPort { return c.cfg.Remote }

// State returns the connection's state.
func (c *Conn) State() State { return c.life.state }

// Err returns why the connection ended; nil while it lives and after a close
// in good order.
func (c *Conn) Err() error { return c.life.err }

// Backoffs returns how many retransmission timeouts came in a row without
// progress.
func (c *Conn) Backoffs() int { return c.loss.backoffs }

// Ack makes Emit send a pure ACK at once, unless data that carries it leaves
// first. An Upper may call it while it is being called.
func (c *Conn) Ack(mono.Time) { c.out.ack = true }

// SetOptionReserve changes how many option bytes are kept free on data
// segments for the Upper. An Upper may call it while it is being called.
func (c *Conn) SetOptionReserve(n int) {
	c.cfg.OptionReserve = n
	c.setMSS()
}

// Tune changes what an application may set. What only the SYN can say
// (window scale, which options are offered) stays as it was agreed.
func (c *Conn) Tune(now mono.Time, t Tuning) {
	if t.UserTimeout != c.cfg.UserTimeout {
		defer c.announceTimeout(1)
	}
	c.cfg.Tuning = t
	c.armKeepAlive(now)
}

// Finished reports whether the connection is over and nothing is left to emit.
func (c *Conn) Finished() bool { return c.life.over && !c.out.reset }

func (c *Conn) isV6() bool {
	a := c.cfg.Remote.Addr()
	return a.Is6() && !a.Is4In6()
}

func (c *Conn) record(now mono.Time, e Event) { c.cfg.Recorder.Record(now, e) }

func (c *Conn) recording() bool { return c.cfg.Recorder != nil }

func (c *Conn) reject(now mono.Time, seg *wire.Segment, why Reason) {
	if c.recording() {
		c.record(now, SegmentRejected{why, seg.Seq, seg.Ack, seg.Flags, seg.Len()})
	}
}

func defaultController(cfg cc.Config) cc.Controller { return cc.NewCubic(cfg) }
