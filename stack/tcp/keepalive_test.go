package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

var keep = tcptest.Tuned(tcp.Tuning{KeepAlive: tcp.KeepAlive{Idle: time.Minute, Interval: 10 * time.Second, Count: 3}})

// RFC 9293 §3.8.4 (MUST-25): off by default.
// RFC 1122 §4.2.3.6.
func TestKeepAliveOff(t *testing.T) {
	p := tcptest.Established(t)
	p.Quiet(30 * 24 * time.Hour)
	p.Is(tcp.Estab)
}

// RFC 9293 §3.8.4 (SHLD-12, MUST-26, MUST-29): probes at SND.NXT-1 without data
// after idleness only; any answer starts anew; so many without one end it.
// RFC 1122 §4.2.3.6.
func TestKeepAlive(t *testing.T) {
	p := tcptest.Established(t, keep)
	p.Quiet(50 * time.Second)
	p.Send("A 1+10 ack 1 win 512")
	p.After(40*time.Millisecond, "A 1 ack 11")
	p.After(time.Minute-40*time.Millisecond, "A 0 ack 11")
	p.After(10*time.Second, "A 0 ack 11")
	p.Send("A 11 ack 1 win 512")
	p.After(time.Minute, "A 0 ack 11")
	p.After(10*time.Second, "A 0 ack 11")
	p.After(10*time.Second, "A 0 ack 11")
	p.Is(tcp.Estab)
	p.After(10*time.Second, "RA 1 ack 11")
	p.Ended(tcp.ErrTimeout)
}

// RFC 9293 §3.8.4: a peer's probe is answered.
func TestKeepAliveReceived(t *testing.T) {
	p := tcptest.Established(t)
	p.Send("A 0 ack 1 win 512")
	p.Expect("A 1 ack 1")
	p.Send("A 0+1 ack 1 win 512") // with an octet of garbage (MAY-6)
	p.Expect("A 1 ack 1")
}

// RFC 9293 §3.8.4 (MUST-24): switched on in mid-connection.
func TestKeepAliveSwitchedOn(t *testing.T) {
	p := tcptest.Established(t)
	p.Quiet(time.Hour)
	p.Stream.Tune(p.Now, tcp.Tuning{KeepAlive: tcp.KeepAlive{Idle: time.Minute}})
	p.Pass(time.Millisecond)
	p.Expect("A 0 ack 1")
	p.Send("A 1 ack 1 win 512")
	p.Stream.Tune(p.Now, tcp.Tuning{})
	p.Quiet(time.Hour)
}

// Probe asks a silent path at once.
func TestProbe(t *testing.T) {
	p := tcptest.Established(t)
	p.Conn.Probe(p.Now)
	p.Expect("A 0 ack 1")
	p.Pass(20 * time.Millisecond)
	p.Send("A 1 ack 1 win 512")
	if at := p.Conn.Info().LastReceived; at != p.Now {
		t.Errorf("LastReceived is %v, want now, %v", at, p.Now)
	}
}
