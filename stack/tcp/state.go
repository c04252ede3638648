package tcp

import "github.com/sennit-net/sennit/stack/mono"

// State is one of the eleven states of RFC 9293 §3.3.2.
type State uint8

// The states, in the order of the RFC.
const (
	Listen State = iota
	SynSent
	SynReceived
	Estab
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
	ClosedState
)

var stateNames = [...]string{"LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED"}

func (s State) String() string { return stateNames[s] }

// Synchronized reports whether both sides know each other's sequence numbers
// (RFC 9293 §3.5.1).
func (s State) Synchronized() bool { return s >= Estab && s <= TimeWait }

// life is where a connection is between its birth and its end.
type life struct {
	state   State
	passive bool  // opened by Listen (RFC 9293 §3.5, MUST-11)
	noRead  bool  // Close: data that still arrives is answered with RST
	over    bool  // reached its end; never to be used again
	err     error // why it ended
	soft    error // the last network error that did not end it (RFC 5927 §4)
}

// setState moves to s.
func (c *Conn) setState(now mono.Time, s State) {
	if c.life.state == s {
		return
	}
	if c.recording() {
		c.record(now, StateChanged{c.life.state, s, c.life.err})
	}
	c.life.state = s
}

// end moves to CLOSED for the reason err and gives everything back.
func (c *Conn) end(now mono.Time, err error) {
	if c.life.over {
		return
	}
	c.life.over = true
	c.fastOpenDone()
	c.life.err = err
	c.setState(now, ClosedState)
	c.at = timers{}
	c.snd.release()
	c.rcv.release()
	c.out = outbox{reset: c.out.reset, resetSeq: c.out.resetSeq, resetAck: c.out.resetAck, resetFlags: c.out.resetFlags}
	c.cfg.Upper.Changed(now, Closed)
}

// timedOut ends the connection because the peer has been silent for too long;
// what the network said about it meanwhile is the better reason.
func (c *Conn) timedOut(now mono.Time) {
	err := c.life.soft
	if err == nil {
		err = ErrTimeout
	}
	c.end(now, err)
}
