package tcp_test

import (
	"fmt"
	"testing"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// sackFlight is like flight, to a peer with SACK.
func sackFlight(t *testing.T, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	opts = append([]tcptest.Option{tcptest.NoTimestamps, tcptest.NoDelay,
		func(c *tcp.Config) { c.NewController = reno }}, opts...)
	p := tcptest.Established(t, opts...)
	p.Write(60000)
	for i := range 10 {
		p.Expect(fmt.Sprintf("A %d+1460 ack 1", 1+1460*i))
	}
	p.Nothing()
	return p
}

// seg is the sequence number of the n-th full segment.
func seg(n int) int { return 1 + 1460*n }

func sack(ack int, blocks ...int) string {
	s := fmt.Sprintf("A 1 ack %d win 512 sack ", ack)
	for i := 0; i < len(blocks); i += 2 {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprintf("%d-%d", blocks[i], blocks[i+1])
	}
	return s
}

// RFC 6675 §5, RFC 3042 §2: limited transmit by SACK, IsLost by bytes
// (RFC 6675 §4), one reduction,
// repair in order, and the end at RecoveryPoint.
func TestSACKRecovery(t *testing.T) {
	p := sackFlight(t, noProbe)
	p.Send(sack(1, seg(1), seg(2)))
	p.Expect(fmt.Sprintf("A %d+1460 ack 1", seg(10)))
	p.Send(sack(1, seg(1), seg(3)))
	p.Expect(fmt.Sprintf("A %d+1460 ack 1", seg(11)))
	p.Send(sack(1, seg(1), seg(4)))
	p.Expect("A 1+1460 ack 1")
	if i := p.Conn.Info(); i.Ssthresh != 7300 {
		t.Errorf("ssthresh %d, want 7300", i.Ssthresh)
	}
	// Segments 5 and 7 are lost as well.
	p.Send(sack(1, seg(1), seg(5)))
	p.Send(sack(1, seg(6), seg(7), seg(1), seg(5)))
	p.Send(sack(1, seg(8), seg(9), seg(6), seg(7), seg(1), seg(5)))
	p.Send(sack(1, seg(8), seg(11), seg(6), seg(7), seg(1), seg(5)))
	got := map[string]int{}
	for _, s := range p.Drain() {
		var f string
		var at, n int
		if _, err := fmt.Sscanf(s, "%s %d+%d", &f, &at, &n); err == nil && at < seg(10) {
			got[fmt.Sprint((at-1)/1460)]++
		}
	}
	if got["5"] != 1 || got["7"] != 1 || len(got) != 2 {
		t.Errorf("retransmitted %v, want 5 and 7 once", got)
	}
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(12)))
	p.Drain()
	if i := p.Conn.Info(); i.Retransmits != 3 || i.Cwnd < 7300 || i.Cwnd > 7300+1460 {
		t.Errorf("%d retransmissions, cwnd %d", i.Retransmits, i.Cwnd)
	}
}

// RFC 6675 §4, IsLost: three separate ranges do, even of few bytes.
func TestLostByRanges(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe)
	for i := range 8 {
		p.Write(100)
		p.Expect(fmt.Sprintf("PA %d+100 ack 1", 1+100*i))
	}
	p.Send("A 1 ack 1 win 512 sack 101-201")
	p.Send("A 1 ack 1 win 512 sack 301-401,101-201")
	p.Nothing()
	p.Send("A 1 ack 1 win 512 sack 501-601,301-401,101-201")
	p.Expect("A 1+100 ack 1")
	p.Send("A 1 ack 801 win 512")
}

// RFC 6675 §4, NextSeg rule 3: with nothing new to send, what lies below the
// highest SACKed byte goes again though it is not known to be lost.
func TestNextSegRule3(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe)
	p.Write(1460 * 8)
	p.Drain()
	p.Send(sack(1, seg(1), seg(2)))
	p.Send(sack(1, seg(1), seg(3)))
	p.Send(sack(1, seg(1), seg(4)))
	p.Expect("A 1+1460 ack 1")
	p.Send(sack(1, seg(5), seg(7), seg(1), seg(4))) // 4 has too little above it
	texts := p.Drain()
	found := false
	for _, s := range texts {
		found = found || len(s) > 6 && s[:6] == fmt.Sprintf("A %d", seg(4))
	}
	if !found {
		t.Errorf("sent %v, want segment 4 among it", texts)
	}
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(8)))
}

// RFC 6675 §5, RFC 3042 §2, RFC 5681 §2 do not take an ACK without SACK news for a duplicate; garbage
// is ignored.
func TestSACKGarbage(t *testing.T) {
	p := sackFlight(t)
	for _, s := range []string{
		"A 1 ack 1 win 512",
		"A 1 ack 1 win 512 sack 2921-1461",     // backwards
		"A 1 ack 1 win 512 sack 1461-999999",   // beyond SND.NXT
		"A 1 ack 1 win 512 sack -5000--3000",   // before
		"A 1 ack 1 win 512 sack 1461-1461",     // empty
		"A 1 ack 1 win 512 sack -100000-14000", // over it all
	} {
		for range 4 {
			p.Send(s)
		}
	}
	p.Nothing()
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(10)))
	p.Drain()
}

// A peer that acknowledges single bytes all over does not make the scoreboard
// grow without bound.
func TestSACKBordersAnywhere(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, func(c *tcp.Config) { c.MaxSuper = 64 << 10 })
	p.Write(14600)
	p.Drain()
	for at := 3; at < 14590; at += 3 {
		p.Send(sack(1, at, at+1))
	}
	p.Drain()
	p.Send("A 1 ack 14601 win 512")
	p.Drain()
}
