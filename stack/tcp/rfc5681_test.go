package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// flight is a connection to a peer without SACK with ten full segments in
// flight and more to send.
func flight(t *testing.T, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	opts = append([]tcptest.Option{tcptest.Simple, tcptest.NoDelay, func(c *tcp.Config) { c.NewController = reno }}, opts...)
	p := tcptest.Established(t, opts...)
	p.Write(60000)
	for i := range 10 {
		p.Expect(fmt.Sprintf("A %d+1460 ack 1", 1+1460*i))
	}
	p.Nothing()
	return p
}

// RFC 5681 §3.2, RFC 3042 §2, RFC 6582 §3.2: one loss, repaired without a
// timeout.
func TestFastRetransmit(t *testing.T) {
	p := flight(t)
	dup := "A 1 ack 1" + p.Win
	p.Send(dup)
	p.Expect("A 14601+1460 ack 1") // limited transmit
	p.Send(dup)
	p.Expect("A 16061+1460 ack 1")
	p.Send(dup)
	p.Expect("A 1+1460 ack 1")
	i := p.Conn.Info()
	// ssthresh: half of the flight, less what limited transmit added.
	if i.Ssthresh != 7300 {
		t.Errorf("ssthresh %d, want 7300", i.Ssthresh)
	}
	// cwnd is ssthresh+3, twelve are out: six more duplicates until the next.
	for n := range 8 {
		p.Send(dup)
		if n < 4 {
			p.Nothing()
			continue
		}
		p.Expect(fmt.Sprintf("A %d+1460 ack 1", 17521+1460*(n-4)))
	}
	// All of it: recovery is over.
	p.Send("A 1 ack 17521" + p.Win)
	if got := p.Conn.Info(); got.Cwnd != 7300 {
		t.Errorf("cwnd %d after recovery, want 7300", got.Cwnd)
	}
	p.Drain()
	if p.Happened("rto") {
		t.Error("a timeout")
	}
}

// RFC 6582 §3.2, step 3: a partial ACK brings the next hole.
func TestPartialAck(t *testing.T) {
	p := flight(t)
	dup := "A 1 ack 1" + p.Win
	for range 3 {
		p.Send(dup)
	}
	p.ExpectAll("A 14601+1460 ack 1", "A 16061+1460 ack 1", "A 1+1460 ack 1")
	for range 4 {
		p.Send(dup)
	}
	p.Nothing()
	p.Send("A 1 ack 2921" + p.Win)
	p.Expect("A 2921+1460 ack 1") // lost, too
	p.Drain()                     // what deflation leaves room for
	p.Send("A 1 ack 5841" + p.Win)
	p.Expect("A 5841+1460 ack 1")
	p.Drain()
	p.Send("A 1 ack 17521" + p.Win)
	p.Drain()
	if p.Conn.Info().Retransmits != 3 {
		t.Errorf("%d retransmissions, want 3", p.Conn.Info().Retransmits)
	}
}

// RFC 5681 §2: what is no duplicate ACK.
func TestNotADuplicate(t *testing.T) {
	for name, seg := range map[string]string{
		"data":   "A 1+10 ack 1 win 65535",
		"window": "A 1 ack 1 win 65000",
	} {
		p := flight(t)
		for i := range 5 {
			s := seg
			if name == "window" {
				s = fmt.Sprintf("A 1 ack 1 win %d", 65000-i)
			}
			p.Send(s)
		}
		for _, s := range p.Drain() {
			if s[:4] == "A 1+" {
				t.Errorf("%s: retransmitted", name)
			}
		}
	}
}

// RFC 6582 §3.2, step 4: after a timeout no fast retransmit until what was sent
// before is acknowledged.
func TestNoFastRetransmitAfterTimeout(t *testing.T) {
	p := flight(t)
	p.Pass(floor)
	p.Expect("A 1+1460 ack 1")
	for range 6 {
		p.Send("A 1 ack 1" + p.Win)
	}
	p.Nothing()
	p.Send("A 1 ack 14601" + p.Win)
	p.Drain()
}

// RFC 6582 §3.2: a lost retransmission is left to the timer.
func TestLostRetransmissionWithoutSACK(t *testing.T) {
	p := flight(t)
	for range 3 {
		p.Send("A 1 ack 1" + p.Win)
	}
	p.ExpectAll("A 14601+1460 ack 1", "A 16061+1460 ack 1", "A 1+1460 ack 1")
	p.After(floor, "A 1+1460 ack 1")
	p.Send("A 1 ack 17521" + p.Win)
	p.Drain()
	p.Pass(time.Millisecond)
}
