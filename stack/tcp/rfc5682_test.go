package tcp_test

import (
	"fmt"
	"testing"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// timedOut is a connection with ten segments out and new data waiting, whose
// timer ran out: the first segment went again.
func timedOut(t *testing.T, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	p := distant(t, append([]tcptest.Option{noProbe}, opts...)...)
	p.Write(40 * 1460)
	p.Drain()
	p.After(p.Conn.Info().RTO, "A 1+1460 ack 1")
	if w := p.Conn.Info().Cwnd; w != 1460 {
		t.Fatalf("cwnd %d after the timeout, want 1460", w)
	}
	p.Events = nil
	return p
}

func upTo(n int) string { return fmt.Sprintf("A 1 ack %d win 512", seg(n)) }

// RFC 5682 §3.1, step 2b and step 3b: two new segments go instead of more
// retransmissions; then data arrives that was sent once, before the timeout.
// RFC 5682 §4, RFC 4015 §3: the window comes back, and nothing is sent again.
func TestForwardRTOSpurious(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer string
	}{{"cumulative", upTo(2)}, {"SACK", sack(seg(1), seg(1), seg(2))}} {
		p := timedOut(t)
		p.Send(upTo(1))
		p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(10)), fmt.Sprintf("A %d+1460 ack 1", seg(11)))
		p.Nothing()
		p.Send(c.answer)
		if i := p.Conn.Info(); i.Cwnd < 14600 || i.Ssthresh < 14600 || !p.Happened("spurious") {
			t.Errorf("%s: cwnd %d, ssthresh %d: not taken back", c.name, i.Cwnd, i.Ssthresh)
		}
		for _, s := range p.Drain() {
			var from int
			if _, err := fmt.Sscanf(s, "A %d", &from); err != nil || from < seg(12) {
				t.Errorf("%s: sent %q after a spurious timeout", c.name, s)
			}
		}
		p.Send("R 1")
	}
}

// RFC 5682 §3.1, step 3a: what comes back is no news of the old flight: the
// loss was real, and is repaired in slow start.
func TestForwardRTOGenuine(t *testing.T) {
	p := timedOut(t)
	p.Send(upTo(1))
	p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(10)), fmt.Sprintf("A %d+1460 ack 1", seg(11)))
	p.Send(sack(seg(1), seg(10), seg(11)))
	p.Expect(fmt.Sprintf("A %d+1460 ack 1", seg(1)))
	if w := p.Conn.Info().Cwnd; w > 3*1460 || p.Happened("spurious") {
		t.Errorf("cwnd %d, want at most 4380", w)
	}
	p.Drain()
	p.Send("R 1")
}

// RFC 5682 §3.1, step 2: duplicates before the first new ACK change nothing; an
// ACK of all that was out proves nothing (2a).
func TestForwardRTOFirstAck(t *testing.T) {
	p := timedOut(t)
	p.Send(sack(1, seg(4), seg(5)))
	p.Nothing()
	p.Send(upTo(1))
	p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(10)), fmt.Sprintf("A %d+1460 ack 1", seg(11)))
	p.Send("R 1")

	p = timedOut(t)
	p.Send(upTo(10))
	if p.Happened("spurious") || p.Conn.Info().Ssthresh > 7300 {
		t.Error("taken back, though the retransmission may have done it")
	}
	if n := len(p.Drain()); n < 5 {
		t.Errorf("%d segments left, want 5 at least: slow start up to ssthresh", n)
	}
	p.Send("R 1")
}

// RFC 5682 §2.1 is not followed: without SACK, what is lost goes first.
func TestForwardRTOWithoutSACK(t *testing.T) {
	p := timedOut(t, func(c *tcp.Config) { c.NoSACK = true })
	p.Send(upTo(1))
	p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(1)), fmt.Sprintf("A %d+1460 ack 1", seg(2)))
	p.Send("R 1")
}

// RFC 5682 §2.1: with no new data, or no window for it, what is lost is
// retransmitted in slow start.
func TestForwardRTOWithoutNewData(t *testing.T) {
	p := distant(t, noProbe)
	p.Write(10 * 1460)
	p.Drain()
	p.After(p.Conn.Info().RTO, "A 1+1460 ack 1")
	p.Send(upTo(1))
	p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(1)), fmt.Sprintf("A %d+1460 ack 1", seg(2)))
	p.Nothing()
	p.Send("R 1")

	p = timedOut(t)
	p.MayShrink()
	p.Send(fmt.Sprintf("A 1 ack %d win 102", seg(1))) // 13056 bytes: the old flight, no more
	p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(1)), fmt.Sprintf("A %d+1460 ack 1", seg(2)))
	p.Send("R 1")
}

// RFC 5682 §3.1, step 1: not where a recovery was going on, and a second
// timeout without an answer begins anew.
func TestForwardRTOStep1(t *testing.T) {
	p := distant(t, noProbe)
	p.Write(40 * 1460)
	p.Drain()
	p.Pass(100 * ms)
	for i := 2; i <= 4; i++ {
		p.Send(sack(1, seg(1), seg(i)))
	}
	p.Drain()
	p.Pass(p.Conn.Info().RTO)
	p.Drain()
	p.Send(upTo(4))
	for _, s := range p.Drain() {
		var from int
		if _, err := fmt.Sscanf(s, "A %d", &from); err != nil || from >= seg(10) {
			t.Errorf("sent %q before the holes", s)
		}
	}
	p.Send("R 1")

	p = distant(t, noProbe)
	p.Write(1460) // full segments get through
	p.Drain()
	p.Send(upTo(1))
	p.Write(40 * 1460)
	p.Drain()
	p.After(p.Conn.Info().RTO, fmt.Sprintf("A %d+1460 ack 1", seg(1)))
	p.After(p.Conn.Info().RTO, fmt.Sprintf("A %d+1460 ack 1", seg(1)))
	p.Send(upTo(2))
	p.ExpectAll(fmt.Sprintf("A %d+1460 ack 1", seg(11)), fmt.Sprintf("A %d+1460 ack 1", seg(12)))
	p.Send(upTo(4))
	if !p.Happened("spurious") {
		t.Error("not taken back after two timeouts")
	}
	p.Drain()
	p.Send("R 1")
}
