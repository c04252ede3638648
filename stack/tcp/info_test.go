package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// Info follows a loss from the first SACK to the end of its repair: what is out
// is always the sum of its parts, and the counters never fall.
func TestInfoOfRepair(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	step := func(name string, f func(i tcp.Info) bool) tcp.Info {
		t.Helper()
		i := p.Conn.Info()
		if !f(i) {
			t.Errorf("%s: %+v", name, i)
		}
		if in := i.Unacked - i.Sacked - i.LostNow; i.InFlight != in {
			t.Errorf("%s: %d in flight of %d, %d SACKed, %d lost", name, i.InFlight, i.Unacked, i.Sacked, i.LostNow)
		}
		return i
	}
	step("at rest", func(i tcp.Info) bool {
		return i.State == tcp.Estab && i.SACK && i.WindowScale && !i.Timestamps && i.MSS == 1460 && i.RcvMSS == 0 &&
			i.RcvSpace > 0 && i.Unacked == 0 && i.Delivered == 0 && i.SRTT > 0 && i.RTO >= 200*time.Millisecond &&
			i.Recovery == tcp.NoRecovery && i.Cwnd >= 10*1460 && i.PacingRate == 0 && i.LastReceived != 0
	})
	p.Write(5 * 1460)
	p.Drain()
	step("sent", func(i tcp.Info) bool {
		return i.Unacked == 5*1460 && i.InFlight == 5*1460 && i.BytesSent == 5*1460 && i.BytesRetrans == 0
	})
	p.Send("A 1 ack 1 win 512 sack 1461-7301")
	p.Pass(10 * time.Millisecond)
	p.Drain()
	step("first again", func(i tcp.Info) bool {
		return i.Recovery == tcp.FastRecovery && i.Sacked == 4*1460 && i.LostNow == 0 && i.Retransmitting == 1460 &&
			i.Delivered == 4*1460 && i.Lost == 1460 && i.BytesRetrans == 1460 && i.Retransmits == 1 && i.BytesAcked == 0 &&
			i.Ssthresh < 1<<30
	})
	p.Send("A 1 ack 7301 win 512")
	step("repaired", func(i tcp.Info) bool {
		return i.Recovery == tcp.NoRecovery && i.Unacked == 0 && i.Retransmitting == 0 && i.Sacked == 0 &&
			i.Delivered == 5*1460 && i.BytesAcked == 5*1460 && i.Lost == 1460
	})
	p.Write(1460)
	p.Drain()
	p.Pass(2 * time.Second)
	p.Drain()
	step("timed out", func(i tcp.Info) bool {
		return i.Recovery == tcp.TimeoutRecovery && i.Backoffs > 0 && i.Lost >= 2*1460
	})
	p.Send("A 1 ack 8761 win 512")
	p.Send("A 1+700 ack 8761 win 512")
	p.Read(700)
	p.Drain()
	step("received", func(i tcp.Info) bool {
		return i.RcvMSS == 700 && i.BytesReceived == 700 && i.Backoffs == 0
	})
	p.Pass(time.Second)
	p.Drain()
}

func TestRecoveryNames(t *testing.T) {
	for r, want := range map[tcp.Recovery]string{tcp.NoRecovery: "none", tcp.FastRecovery: "fast", tcp.TimeoutRecovery: "timeout"} {
		if r.String() != want {
			t.Errorf("%q, want %q", r, want)
		}
	}
}
