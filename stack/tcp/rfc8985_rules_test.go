package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 8985 §4: without SACK losses are found by counting, neither by time nor by
// probes; with it the times of each segment are kept, and finer than a quarter of
// the least round trip.
func TestByTimeNeedsSACK(t *testing.T) {
	p := distant(t, func(c *tcp.Config) { c.NoSACK = true })
	send(p, 0, 3, ms)
	p.Pass(98 * ms)
	p.Send(upTo(0))
	p.Send(upTo(0))
	p.Quiet(p.Conn.Info().RTO - 101*ms) // no reordering timer, no probe
	p.Pass(101 * ms)
	p.Expect("A 1+1460 ack 1")
	p.Send("R 1")

	p = distant(t)
	p.Write(1460)
	p.Drain()
	p.Pass(10 * time.Microsecond)
	p.Write(1460)
	p.Drain()
	p.Pass(100*ms - 10*time.Microsecond)
	p.Send(sack(1, seg(1), seg(2)))
	// A quarter of 100 ms, counted from when the first was sent: 99.99 ms and
	// that after it.
	p.After(25*ms-10*time.Microsecond-2500*time.Nanosecond, "A 1+1460 ack 1")
	p.Send(upTo(2))
}

// RFC 8985 §6.1: a retransmission is stamped with its own time, and is not lost
// any more: what arrives that was sent before it says nothing of it.
func TestRetransmissionHasItsOwnTime(t *testing.T) {
	p := distant(t)
	send(p, 0, 6, ms)
	p.Pass(97 * ms)
	p.Send(sack(1, seg(1), seg(4)))
	p.Expect("A 1+1460 ack 1")
	p.Pass(2 * ms)
	p.Send(sack(1, seg(1), seg(6)))
	p.Quiet(150 * ms)
	p.Send(upTo(6))
	p.Drain()
}

// RFC 8985 §7.2: the probe timer does not run in recovery, nor with something
// SACKed; each ACK of new data and each new segment restarts it.
func TestProbeTimerRuns(t *testing.T) {
	p := distant(t)
	send(p, 0, 2, 0)
	p.Pass(50 * ms)
	send(p, 2, 1, 0)
	p.Quiet(200*ms - 1)
	p.Pass(1)
	p.Expect(fmt.Sprintf("PA %d+1460 ack 1", seg(2)))
	p.Send(upTo(3))

	p = distant(t)
	send(p, 0, 6, 0)
	p.Pass(100 * ms)
	p.Send(sack(1, seg(1), seg(5)))
	p.Expect("A 1+1460 ack 1")
	p.Events = nil
	p.Pass(p.Conn.Info().RTO - 1)
	if p.Happened("tail_probe") {
		t.Error("a probe in recovery")
	}
	p.Drain()
	p.Send("R 1")
}

// RFC 8985 §7.3: one probe, then the retransmission timer, and no second probe
// without a new sample.
func TestOneProbe(t *testing.T) {
	p := distant(t)
	send(p, 0, 3, 0)
	p.After(200*ms, fmt.Sprintf("PA %d+1460 ack 1", seg(2)))
	p.Events = nil
	p.Quiet(p.Conn.Info().RTO - 1)
	p.Pass(1)
	p.Expect("A 1+1460 ack 1")
	if p.Happened("tail_probe") {
		t.Error("a second probe")
	}
	p.Send("R 1")
}

// RFC 8985 §8: one timer at a time has its say: a probe is never later than the
// retransmission timer and puts it off, the reordering timer ends the probe's,
// and a closed window is probed only with nothing outstanding.
func TestTimersExcludeEachOther(t *testing.T) {
	p := distant(t)
	send(p, 0, 3, ms)
	p.Pass(98 * ms)
	p.Send(sack(1, seg(1), seg(2))) // the reordering timer runs
	p.Events = nil
	p.Pass(24 * ms)
	p.Expect("A 1+1460 ack 1")
	p.Send(upTo(3))
	p.Quiet(time.Minute) // none runs
	p.Write(1460)
	p.Expect("PA 4381+1460 ack 1")
	p.Pass(250 * ms)
	p.Expect("PA 4381+1460 ack 1")
	if p.Happened("rto") || p.Happened("zero_window_probe") {
		t.Error("another timer had its say")
	}
	p.Send("A 1 ack 5841 win 0")
	p.Write(1460)
	p.Pass(p.Conn.Info().RTO)
	p.Expect("A 5840 ack 1")
	if p.Happened("tail_probe") || p.Happened("rto") {
		t.Error("another timer for a closed window")
	}
	p.Send("R 1")
}

// RFC 8985 §9.3: what is found lost waits until congestion control lets it go.
func TestLossWaitsForWindow(t *testing.T) {
	p := distant(t)
	p.Write(14600)
	p.Drain()
	p.Pass(100 * ms)
	p.Send(upTo(10)) // cwnd 20
	p.Write(20 * 1460)
	p.Drain()
	p.Pass(100 * ms)
	p.Send(sack(seg(10), seg(25), seg(30))) // fifteen are lost
	// Ten are in flight then, as many as half the window: five were delivered.
	if n := len(p.Drain()); n < 1 || n > 6 {
		t.Errorf("%d retransmissions at once, want one to six", n)
	}
	p.Send("R 1")
}

// RFC 9937 §6.2: below ssthresh each ACK lets out what it delivered, and a
// segment more if it is safe: if SND.UNA advanced and nothing more is lost.
func TestSafeACK(t *testing.T) {
	p := distant(t)
	p.Write(14600)
	p.Drain()
	p.Pass(100 * ms)
	p.Send(upTo(10)) // cwnd 20, ssthresh will be 10
	p.Write(40 * 1460)
	p.Drain()
	p.Pass(100 * ms)
	p.Send(sack(seg(10), seg(25), seg(30))) // five arrived, fifteen are lost
	if got := len(p.Drain()); got != 5 {
		t.Errorf("%d segments for the ACK that told of the loss, want 5", got)
	}
	p.Pass(100 * ms)
	p.Send(sack(seg(11), seg(25), seg(30))) // the first retransmission arrived
	if got := len(p.Drain()); got != 2 {
		t.Errorf("%d segments for a safe ACK, want 2", got)
	}
	p.Send("R 1")
}

// RFC 9937 §6.4: recovery ends with ssthresh in cwnd.
func TestRecoveryEndsAtSsthresh(t *testing.T) {
	p := distant(t)
	send(p, 0, 8, 0)
	p.Pass(100 * ms)
	p.Send(sack(1, seg(1), seg(8)))
	p.Expect("A 1+1460 ack 1")
	p.Pass(100 * ms)
	p.Send(upTo(8))
	if i := p.Conn.Info(); i.Cwnd != i.Ssthresh || i.Ssthresh >= 14600 {
		t.Errorf("cwnd %d, ssthresh %d", i.Cwnd, i.Ssthresh)
	}
}

// RFC 5482 §3: the application's user timeout bounds how long data waits for a
// closed window, too; without one it waits for as long as the peer answers.
func TestUserTimeoutOfClosedWindow(t *testing.T) {
	for _, set := range []time.Duration{0, 30 * time.Second} {
		p := tcptest.Established(t, tcptest.Simple, func(c *tcp.Config) { c.UserTimeout = set })
		p.Write(1000)
		p.Drain()
		p.Send("A 1 ack 1001 win 0")
		p.Write(500)
		for range 60 {
			p.Pass(time.Second)
			if len(p.Drain()) > 0 && p.Conn.State() == tcp.Estab {
				p.Send("A 1 ack 1001 win 0")
			}
		}
		if set == 0 {
			p.Is(tcp.Estab)
		} else {
			p.Ended(tcp.ErrTimeout)
		}
	}
}
