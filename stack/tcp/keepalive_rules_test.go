package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 9293 §3.8.4: nine probes 75 s apart by default, and an answer to the last
// saves the connection.
func TestKeepAliveDefaults(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{KeepAlive: tcp.KeepAlive{Idle: 2 * time.Hour}}))
	p.After(2*time.Hour, "A 0 ack 1")
	for range 8 {
		p.After(75*time.Second, "A 0 ack 1")
	}
	p.Send("A 1 ack 1 win 512")
	p.After(2*time.Hour, "A 0 ack 1")
	for range 8 {
		p.After(75*time.Second, "A 0 ack 1")
	}
	p.After(75*time.Second, "RA 1 ack 1")
	p.Ended(tcp.ErrTimeout)
}

// RFC 9293 §3.8.4: each keep-alive of the peer is answered, however many: the
// bound on challenges is far above one a second.
func TestKeepAliveAlwaysAnswered(t *testing.T) {
	p := tcptest.Established(t)
	for range 100 {
		p.Pass(time.Second)
		p.Send("A 0 ack 1 win 512")
		p.Expect("A 1 ack 1")
	}
}

// eager marks all it may: what carries new data.
type eager struct{}

func (eager) Mark(_ mono.Time, out tcp.Outgoing) (wire.Flags, ecn.Codepoint) {
	if out.Len > 0 && !out.Retransmit {
		return wire.CWR, ecn.ECT0
	}
	return 0, ecn.NotECT
}
func (eager) Arrived(mono.Time, *wire.Segment) bool           { return false }
func (eager) Acked(mono.Time, *wire.Segment, int) (int, bool) { return 0, false }

// RFC 3168 §6.1.6: a probe of a closed window has neither ECT nor CWR. (It
// carries no data, and is offered to ECN as such.)
func TestProbeIsNotECT(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, func(c *tcp.Config) { c.ECN = eager{} })
	p.Write(1000)
	p.Expect("PWA 1+1000 ack 1 ect0")
	p.Send("A 1 ack 1001 win 0")
	p.Write(500)
	p.Pass(p.Conn.Info().RTO)
	if s := p.Expect("A 1000 ack 1"); s.ECN != ecn.NotECT {
		t.Errorf("the probe is %v", s.ECN)
	}
	p.Send("R 1")
}

// RFC 9293 §3.8.6.1: the octet of a peer's probe is data: refused while the
// window is closed, with an ACK; taken once where it fits, and not again with the
// segment that repeats it.
func TestOctetOfProbe(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 3000, NoWindowScale: true, NoTimestamps: true}))
	p.Send("A 1+3000 ack 1 win 65535")
	p.Pass(time.Second)
	p.Drain()
	p.Send("A 3001+1 ack 1 win 65535")
	p.Expect("A 1 ack 3001 win 0")
	p.Read(3000)
	p.Drain()
	p.Send("A 3001+1 ack 1 win 65535")
	p.Pass(time.Second)
	p.Drain()
	p.Send("A 3001+100 ack 1 win 65535")
	p.Pass(time.Second)
	p.Drain()
	p.Read(100)
	p.Drain()
}
