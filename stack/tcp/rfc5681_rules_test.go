package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 5681 §2: no duplicate ACK either: with nothing outstanding, with a FIN, and
// one that acknowledges less.
func TestNoDuplicateOtherwise(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, tcptest.NoDelay)
	for range 5 {
		p.Send("A 1 ack 1" + p.Win)
	}
	p.Write(60000)
	if n := len(p.Drain()); n != 10 {
		t.Errorf("%d segments, want 10", n)
	}
	p.Send("A 1 ack 1" + p.Win) // two real ones
	p.Send("A 1 ack 1" + p.Win)
	p.Drain()
	p.Send("FA 1 ack 1" + p.Win)
	for _, s := range p.Drain() {
		if s[:4] == "A 1+" {
			t.Error("a FIN counted as the third")
		}
	}
	p.Send("R 2")

	p = flight(t)
	p.Send("A 1 ack 2921" + p.Win)
	p.Drain()
	for range 4 {
		p.Send("A 1 ack 1461" + p.Win)
	}
	p.Nothing()
	p.Send("R 1")
}

// RFC 5681 §4.2: never more than one ACK for a segment that arrives.
func TestOneAckPerSegment(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	for i, s := range []string{"A 1+1460", "A 1461+1460", "A 4381+1460", "A 4381+1460", "A 2921+1460", "A 1+1460", "A 5841+100",
		"A 9000+10", "A 8000+10", "FA 5941"} {
		p.Send(s + " ack 1 win 512")
		if n := len(p.Drain()); n > 1 {
			t.Errorf("%d segments for the %dth, %s", n, i, s)
		}
		if i == 4 {
			p.Read(5840)
			p.Drain()
		}
	}
	p.Pass(time.Second)
	if n := len(p.Drain()); n > 1 {
		t.Errorf("%d segments later", n)
	}
}

// RFC 5681 §3.2: each segment out of order is answered at once by a duplicate
// ACK, and one that fills a gap, wholly or in part, at once too.
func TestDuplicateAcksAtOnce(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple)
	for i := 1; i <= 3; i++ {
		p.Send(fmt.Sprintf("A %d+100 ack 1 win 65535", 1+200*i))
		p.Expect("A 1 ack 1")
	}
	p.Send("A 1+100 ack 1 win 65535")
	p.Expect("A 1 ack 101")
	p.Send("A 101+100 ack 1 win 65535")
	p.Expect("A 1 ack 301")
	p.Read(300)
}

// RFC 6298 §3: a sample for each round trip at least: the estimate follows a
// path that becomes slower, though the flight never pauses.
func TestSampleEveryRoundTrip(t *testing.T) {
	p := distant(t)
	p.Write(60 * 1460)
	p.Drain()
	at := 0
	for range 6 {
		p.Pass(150 * ms)
		for range 4 {
			at++
			p.Send(upTo(at))
		}
		p.Drain()
	}
	if i := p.Conn.Info(); i.SRTT < 120*ms {
		t.Errorf("SRTT %v after six round trips of 150 ms and more", i.SRTT)
	}
	p.Send("R 1")
}

// RFC 6582 §3.2: the first partial ACK restarts the timer. (So does each one:
// the Slow-but-Steady variant of RFC 6582 §4.)
func TestPartialAckRestartsTimer(t *testing.T) {
	p := flight(t)
	for range 3 {
		p.Send("A 1 ack 1" + p.Win)
	}
	p.ExpectAll("A 14601+1460 ack 1", "A 16061+1460 ack 1", "A 1+1460 ack 1")
	p.Pass(150 * ms)
	p.Send("A 1 ack 2921" + p.Win)
	p.Drain()
	p.Quiet(floor - 1)
	p.Pass(1)
	p.Expect("A 2921+1460 ack 1")
	p.Send("R 1")
}

// RFC 6675 §4: SetPipe, and NextSeg rule 4: where all else is done, the last
// segment goes once more, and only once in a recovery.
func TestRescueRetransmission(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe, func(c *tcp.Config) { c.NewController = reno })
	p.Write(1460 * 8)
	p.Drain()
	in := func(want int) {
		t.Helper()
		if got := p.Conn.Info().InFlight; got != want*1460 {
			t.Errorf("pipe %d, want %d segments", got, want)
		}
	}
	in(8)
	p.Send(sack(1, seg(1), seg(2)))
	in(7)
	p.Send(sack(1, seg(1), seg(3)))
	in(6)
	p.Send(sack(1, seg(1), seg(4)))
	p.Expect("A 1+1460 ack 1")
	in(5) // three SACKed, one lost and sent again
	p.Send(upTo(4))
	p.Nothing()
	in(4)

	// The tail of the flight is lost with the head: nothing above tells.
	p = tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe, func(c *tcp.Config) { c.NewController = reno })
	p.Write(1460 * 8)
	p.Drain()
	p.Send(sack(1, seg(1), seg(5)))
	p.Expect("A 1+1460 ack 1")
	p.Send(sack(1, seg(1), seg(6)))
	p.Expect(fmt.Sprintf("PA %d+1460 ack 1", seg(7)))
	p.Send(sack(1, seg(1), seg(7)))
	p.Write(1460) // rule 2
	p.Expect(fmt.Sprintf("PA %d+1460 ack 1", seg(8)))
	p.Send(sack(1, seg(1), seg(8)))
	p.Nothing() // the last one, but not once more
	p.Send("R 1")
}

// RFC 6675 §5.1: after a timeout there is no fast recovery until what was sent
// before is acknowledged, whatever is SACKed; the window is reduced once.
func TestNoFastRecoveryAfterTimeoutWithSACK(t *testing.T) {
	p := distant(t, noProbe)
	p.Write(30 * 1460)
	p.Drain()
	p.Pass(100 * ms)
	for i := 2; i <= 4; i++ {
		p.Send(sack(1, seg(1), seg(i)))
	}
	p.Drain()
	p.Pass(p.Conn.Info().RTO)
	p.Drain()
	p.Events = nil
	was := p.Conn.Info().Ssthresh
	for i := 5; i <= 9; i++ {
		p.Send(sack(1, seg(1), seg(i)))
	}
	if p.Happened("recovery_entered") || p.Conn.Info().Ssthresh != was {
		t.Error("fast recovery before the timeout was over")
	}
	p.Drain()
	p.Send("R 1")
}
