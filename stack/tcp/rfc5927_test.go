package tcp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 1191 §6.5, RFC 7323 §5.7, RFC 9293 §3.7.2: a packet too big is cut anew and sent again at
// once, without a cut of the congestion window.
func TestPathMTU(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Write(3000)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+80 ack 1")
	was := p.Conn.Info().Cwnd
	p.Control(tcp.PacketTooBig, 1300, 1)
	p.ExpectAll("A 1+1260 ack 1", "A 1261+200 ack 1", "A 1461+1260 ack 1", "A 2721+200 ack 1")
	if i := p.Conn.Info(); i.MTU != 1300 || i.MSS != 1260 || i.Cwnd > was || i.Cwnd < was*1260/1460-1260 {
		t.Errorf("MTU %d MSS %d cwnd %d, was %d", i.MTU, i.MSS, i.Cwnd, was)
	}
	p.Send("A 1 ack 3001 win 512")
	p.Write(2000)
	p.ExpectAll("A 3001+1260 ack 1", "PA 4261+740 ack 1")
	p.Send("A 1 ack 5001 win 512")
}

// RFC 5927 §4.1: an ICMP error must quote a segment in flight; RFC 1191 §3 and
// RFC 8201 §4: the path MTU only shrinks, and not below a floor.
func TestPathMTUForged(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Control(tcp.PacketTooBig, 1300, 1) // nothing in flight
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Control(tcp.PacketTooBig, 1300, 0)
	p.Control(tcp.PacketTooBig, 1300, 101)
	p.Control(tcp.PacketTooBig, 9000, 1)
	if i := p.Conn.Info(); i.MTU != 1500 {
		t.Errorf("MTU %d, want 1500", i.MTU)
	}
	p.Control(tcp.PacketTooBig, 60, 1)
	if i := p.Conn.Info(); i.MTU != 552 {
		t.Errorf("MTU %d, want 552", i.MTU)
	}
	p.Send("A 1 ack 101 win 512")

	p = tcptest.Established(t, tcptest.NoTimestamps, func(c *tcp.Config) {
		c.Local, c.Remote = netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")
	})
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Control(tcp.PacketTooBig, 600, 1)
	if i := p.Conn.Info(); i.MTU != 1280 || i.MSS != 1220 {
		t.Errorf("MTU %d MSS %d, want 1280 1220", i.MTU, i.MSS)
	}
	p.Send("A 1 ack 101 win 512")
}

// RFC 1191 §5, RFC 1191 §7.1: a router that does not say how much fits.
func TestPathMTUPlateau(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	for _, want := range []int{1492, 1006, 552, 552} {
		p.Control(tcp.PacketTooBig, 0, 1)
		if i := p.Conn.Info(); i.MTU != want {
			t.Errorf("MTU %d, want %d", i.MTU, want)
		}
	}
	p.Send("A 1 ack 101 win 512")
}

// RFC 5927 §5.2: no ICMP error ends a synchronized connection; what it said is
// the reason given when the connection times out.
// RFC 9293 §3.9.2.2 (MUST-56, SHLD-25).
func TestSoftError(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{UserTimeout: 5 * time.Second}))
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Control(tcp.PortUnreachable, 0, 1)
	p.Control(tcp.Unreachable, 0, 1)
	p.Is(tcp.Estab)
	if !p.Happened("soft_error") {
		t.Error("nobody heard of it")
	}
	p.Pass(5 * time.Second)
	p.Drain()
	p.Ended(tcp.ErrUnreachable)
}

// Departs from RFC 9293 §3.9.2.2: in SYN-SENT it does end it.
// RFC 1122 §4.2.3.9.
func TestUnreachableInSynSent(t *testing.T) {
	p := tcptest.SynSent(t)
	p.Control(tcp.Unreachable, 0, 77)
	p.Is(tcp.SynSent)
	p.Control(tcp.Unreachable, 0, 0)
	p.Ended(tcp.ErrUnreachable)
	p = tcptest.SynSent(t)
	p.Control(tcp.PortUnreachable, 0, 0)
	p.Ended(tcp.ErrRefused)
}

// A segment that was probed for (RFC 8985 §7.3), and so is in flight twice, can
// turn out too big.
func TestPathMTUAfterProbe(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Write(1460)
	p.Expect("PA 1+1460 ack 1")
	p.Pass(60 * time.Millisecond)
	p.Expect("PA 1+1460 ack 1")
	p.Control(tcp.PacketTooBig, 1300, 1)
	p.ExpectAll("A 1+1260 ack 1", "PA 1261+200 ack 1")
	p.Send("A 1 ack 1461 win 512")
}
