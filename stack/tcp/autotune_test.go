package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// A receiver that sends nothing learns the round trip from the echo of its own
// timestamps (RFC 7323 §4.1).
func TestReceiverRTT(t *testing.T) {
	p := tcptest.SynSent(t)
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ts 100/3600000 ws 7")
	p.Expect("A 1 ack 1")
	at := 1
	for range 20 {
		p.Pass(70 * time.Millisecond)
		// The peer answers what we said 70 ms ago.
		echo := 3600000 + (at-1)/2896*70
		for range 2 {
			p.Send("A " + itoa(at) + "+1448 ack 1 win 512 ts 100/" + itoa(echo))
			at += 1448
		}
		p.Drain()
	}
	if r := p.Conn.Info().RcvRTT; r < 60*time.Millisecond || r > 80*time.Millisecond {
		t.Errorf("round trip %v, want 70ms", r)
	}
}

// The send buffer is 64 KiB and twice the congestion window, which grows.
func TestSendBufferGrows(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	took := func() int {
		n, err := p.Stream.Write(p.Now, tcptest.Content(uint64(p.Sent), 1<<20))
		if err != tcp.ErrWouldBlock {
			t.Fatalf("took %d, %v", n, err)
		}
		p.Sent += n
		return n
	}
	if n := took(); n != 64<<10+2*14600 {
		t.Errorf("took %d at first", n)
	}
	p.Drain()
	p.Send("A 1 ack 14601 win 512")
	if n := took(); n != 14600+2*14600 {
		t.Errorf("took %d after 14600 were acknowledged and the window doubled", n)
	}
	p.Abort()
	p.Drain()
}

// A budget that runs short shrinks what is promised and queued, down to a
// floor, and gets everything back at the end; the edge stays (RFC 9293 §3.8.6,
// SHLD-14).
func TestBudget(t *testing.T) {
	b := tcp.NewBudget(100000)
	p := tcptest.Established(t, tcptest.NoTimestamps, func(c *tcp.Config) { c.Budget = b })
	if w := p.Conn.Info().RcvWnd; w > 12800 {
		t.Errorf("window %d of a budget of 100000", w)
	}
	other := 0
	b.Charge(&other, 99000)
	p.Send("A 1+1000 ack 1 win 512")
	p.Send("A 1001+1000 ack 1 win 512")
	p.Drain()
	n, _ := p.Stream.Write(p.Now, tcptest.Content(0, 50000))
	if n != 2920 {
		t.Errorf("took %d with nothing left, want two segments", n)
	}
	if b.Used() != 99000+2000+2920 || !b.Tight() {
		t.Errorf("%d used", b.Used())
	}
	p.Sent = n
	p.Drain()
	p.Read(2000)
	p.Send("A 2001 ack 2921 win 512")
	p.Drain()
	b.Charge(&other, 0)
	if b.Used() != 0 {
		t.Errorf("%d used of nothing held", b.Used())
	}
	p.Send("A 2001+1000 ack 2921 win 512")
	p.Drain()
	p.Abort()
	p.Drain()
	if b.Used() != 0 {
		t.Errorf("%d used after the end", b.Used())
	}
}

// Crumbs do not pin a packet's memory each: in order they are copied together.
func TestCrumbsAreJoined(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	for i := range 3000 {
		p.Send("A " + itoa(1+i) + "+1 ack 1 win 512")
		p.Drain()
	}
	p.Read(3000)
}
