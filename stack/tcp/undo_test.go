package tcp_test

import (
	"fmt"
	"testing"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 3522 §3.2, RFC 4015 §3: the echo of an older timestamp proves a timeout
// spurious: the window comes back, and nothing more is sent again.
func TestSpuriousTimeout(t *testing.T) {
	p := stamped(t, tcptest.NoDelay, noProbe, func(c *tcp.Config) { c.NewController = reno })
	p.Write(10 * 1448)
	p.Drain()
	p.Pass(floor)
	p.Expect("A 1+1448 ack 1")
	if w := p.Conn.Info().Cwnd; w != 1448 {
		t.Fatalf("cwnd %d after a timeout", w)
	}
	p.Send("A 1 ack 2897 win 512 ts 100/3600000") // the originals were late
	p.Nothing()
	if i := p.Conn.Info(); i.Cwnd < 10*1448 || i.InFlight != 8*1448 || !p.Happened("spurious") {
		t.Errorf("cwnd %d, in flight %d: not taken back", i.Cwnd, i.InFlight)
	}
	p.Send("A 1 ack 14481 win 512 ts 100/3600000")
}

// The same, and it was not spurious.
func TestGenuineTimeout(t *testing.T) {
	p := stamped(t, tcptest.NoDelay, noProbe, func(c *tcp.Config) { c.NewController = reno })
	p.Write(10 * 1448)
	p.Drain()
	p.Pass(floor)
	p.Expect("A 1+1448 ack 1")
	p.Send("A 1 ack 1449 win 512 ts 100/3600200")
	p.ExpectAll("A 1449+1448 ack 1", "A 2897+1448 ack 1")
	if p.Happened("spurious") {
		t.Error("taken back")
	}
	p.Send("A 1 ack 14481 win 512 ts 100/3600200")
}

// RFC 2883 §5, RFC 3708 §2: a duplicate reported for all that was retransmitted
// proves the recovery spurious.
func TestSpuriousRecovery(t *testing.T) {
	p := sackFlight(t)
	for i := 2; i <= 4; i++ {
		p.Send(sack(1, seg(1), seg(i)))
	}
	if w := p.Conn.Info().Cwnd; w != 7300 {
		t.Fatalf("cwnd %d in recovery, want 7300", w)
	}
	p.Drain()
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(4))) // the original came late
	p.Drain()
	p.Events = nil
	p.Send(sack(seg(12), seg(0), seg(1)))
	if w := p.Conn.Info().Cwnd; w < 14600 || !p.Happened("spurious") {
		t.Errorf("cwnd %d after the DSACK, want 14600 back", w)
	}
	p.Send("R 1")
	p.Drain()
}
