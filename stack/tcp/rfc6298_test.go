package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// noProbe takes tail loss probes out of the way.
func noProbe(c *tcp.Config) { c.NoRACK = true }

const floor = 200*time.Millisecond + time.Microsecond // the least RTO, with an SRTT of 1 µs

// RFC 6298 §5.1, RFC 6298 §5.4 (to §5.6), RFC 6298 §5: the timer starts with the first data, restarts with
// each ACK of new data, stops with the last, doubles on expiry.
// RFC 9293 §3.8.1 (MUST-18).
func TestRetransmissionTimer(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Quiet(150 * time.Millisecond)
	p.Write(100)
	p.Expect("PA 101+100 ack 1") // does not restart it
	// Both are taken for lost and would fit a window of one full segment, but
	// only the first goes before something comes back (RFC 5682 §3.1).
	p.After(floor-150*time.Millisecond, "A 1+100 ack 1")
	p.After(2*floor, "A 1+100 ack 1")
	p.After(4*floor, "A 1+100 ack 1")
	p.Send("A 1 ack 101 win 512")
	p.Expect("PA 101+100 ack 1")
	if p.Conn.Backoffs() != 0 {
		t.Error("an ACK of new data is progress")
	}
	// RFC 6298 §5.7: the back-off stays until something is measured.
	p.After(8*floor, "PA 101+100 ack 1")
	p.Send("A 1 ack 201 win 512")
	p.Quiet(time.Hour)
	p.Write(100)
	p.Expect("PA 201+100 ack 1")
	p.Send("A 1 ack 301 win 512")
	if rto := p.Conn.Info().RTO; rto != floor {
		t.Errorf("RTO %v, want %v again", rto, floor)
	}
}

// RFC 6298 §5.7: the first data after a lost SYN waits for 3 s.
func TestTimerAfterLostSYN(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.NoTimestamps, noProbe)
	p.After(time.Second, "S 0")
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 7")
	p.Expect("A 1 ack 1")
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.After(3*time.Second, "PA 1+100 ack 1")
	p.Send("A 1 ack 101 win 512")
}

// RFC 9293 §3.8.3 (MUST-20, MUST-21, SHLD-11): R2, by default and as set.
func TestUserTimeout(t *testing.T) {
	for _, c := range []struct {
		set, want time.Duration
	}{{0, 15 * time.Minute}, {10 * time.Second, 10 * time.Second}, {-1, 0}} {
		p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{UserTimeout: c.set}))
		p.Write(100)
		p.Expect("PA 1+100 ack 1")
		if c.want == 0 {
			p.Pass(48 * time.Hour)
			p.Drain()
			p.Is(tcp.Estab)
			continue
		}
		p.Pass(c.want - 1)
		p.Drain()
		p.Is(tcp.Estab)
		p.Pass(1)
		p.Ended(tcp.ErrTimeout)
		p.ReadErr(tcp.ErrTimeout)
	}
}

// RFC 8961 §4, RFC 5681 §3.1: a timeout brings the window down to one segment, and ssthresh
// once to half of what was in flight; RFC 6675 §5.1: what was sent goes again
// in slow start.
func TestSlowStartAfterTimeout(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, noProbe, func(c *tcp.Config) { c.NewController = reno })
	p.Write(14600)
	p.Drain()
	p.After(floor, "A 1+1460 ack 1")
	i := p.Conn.Info()
	if i.Cwnd != 1460 || i.Ssthresh != 7300 || i.InFlight != 1460 {
		t.Errorf("cwnd %d ssthresh %d in flight %d, want 1460 7300 1460", i.Cwnd, i.Ssthresh, i.InFlight)
	}
	p.After(2*floor, "A 1+1460 ack 1")
	if i := p.Conn.Info(); i.Ssthresh != 7300 {
		t.Errorf("ssthresh %d after the second timeout, want 7300 still", i.Ssthresh)
	}
	p.Send("A 1 ack 1461 win 512")
	p.ExpectAll("A 1461+1460 ack 1", "A 2921+1460 ack 1")
	p.Send("A 1 ack 2921 win 512")
	p.ExpectAll("A 4381+1460 ack 1", "A 5841+1460 ack 1")
	p.Send("A 1 ack 14601 win 512")
	p.Quiet(time.Hour)
}

// RFC 2018 §5, RFC 2018 §8: after a timeout the first segment goes again though it was
// SACKed: the peer may have thrown it away.
func TestReneging(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, noProbe)
	p.Write(4380)
	p.Drain()
	p.Send("A 1 ack 1 win 512 sack 1461-2921")
	p.Send("A 1 ack 1461 win 512") // and it is forgotten
	p.Pass(floor)
	p.Expect("A 1461+1460 ack 1")
	p.Send("A 1 ack 2921 win 512")
	p.Expect("PA 2921+1460 ack 1")
	p.Send("A 1 ack 4381 win 512")
}
