package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 9293 §3.9.1.2 (MUST-61, SHLD-28): full segments, PSH on the last.
func TestSegmentation(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Write(3000)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+80 ack 1")
	p.Send("A 1 ack 3001 win 512")
	p.Quiet(time.Hour)
}

// RFC 9293 §3.7.1 (MUST-16): timestamps take 12 bytes off each segment.
func TestEffectiveMSS(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.NoDelay)
	p.Send("SA 0 ack 1 win 65535 mss 1000 sackok ts 1/0 ws 7")
	p.Expect("A 1 ack 1")
	p.Write(1000)
	p.ExpectAll("A 1+988 ack 1 ts 3600000/1", "PA 989+12 ack 1")
	p.Send("A 1 ack 1001 win 512 ts 2/3600000")
}

// The super-segment: one header, and the size of the parts.
func TestSendSuperSegment(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay,
		func(c *tcp.Config) { c.MaxSuper = 64 << 10 })
	p.Write(14600)
	p.Expect("PA 1+14600 ack 1 super 1460")
	p.Send("A 1 ack 14601 win 512")
	p.Write(40000) // the congestion window is 29200 now
	p.Expect("A 14601+29200 ack 1 super 1460")
	p.Send("A 1 ack 43801 win 512")
	p.Expect("PA 43801+10800 ack 1 super 1460")
	p.Send("A 1 ack 54601 win 512")
	p.Write(1000)
	p.Expect("PA 54601+1000 ack 1")
	p.Send("A 1 ack 55601 win 512")
	if i := p.Conn.Info(); i.SegsSent != 2+10+20+8+1 || i.BytesAcked != 55600 {
		t.Errorf("%d segments sent, %d bytes acknowledged", i.SegsSent, i.BytesAcked)
	}
}

// RFC 9293 §3.7.4 (SHLD-7): a small segment waits for the small one before it.
func TestNagle(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Write(1)
	p.Expect("PA 1+1 ack 1")
	p.Write(1)
	p.Write(1)
	p.Nothing()
	p.Send("A 1 ack 2 win 512")
	p.Expect("PA 2+2 ack 1")
	// Once a segment is full it goes.
	p.Write(1459)
	p.Nothing()
	p.Write(1)
	p.Expect("PA 4+1460 ack 1")
	p.Send("A 1 ack 1464 win 512")
	// Departs from it: full segments in flight hold nothing back.
	p.Write(2000)
	p.ExpectAll("A 1464+1460 ack 1", "PA 2924+540 ack 1")
	p.Write(100)
	p.Nothing()
	p.Send("A 1 ack 3464 win 512")
	p.Expect("PA 3464+100 ack 1")
	p.Send("A 1 ack 3564 win 512")
}

// RFC 9293 §3.7.4 (MUST-17): and it can be switched off.
func TestNoDelay(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Write(1)
	p.Write(1)
	p.ExpectAll("PA 1+1 ack 1", "PA 2+1 ack 1")
	p.Send("A 1 ack 3 win 512")
	p = tcptest.Established(t, tcptest.NoTimestamps)
	p.Write(1)
	p.Expect("PA 1+1 ack 1")
	p.Write(1)
	p.Nothing()
	p.Stream.Tune(p.Now, tcp.Tuning{NoDelay: true})
	p.Expect("PA 2+1 ack 1")
	p.Send("A 1 ack 3 win 512")
}

// RFC 9293 §3.8.6.2.1 (MUST-38): silly-window avoidance of the sender. A window
// opened by a little is not used, until the override timer runs out.
// RFC 1122 §4.2.3.4: for no longer than until the override timer.
func TestSenderSillyWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, tcptest.NoDelay)
	p.Write(4000)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+1080 ack 1")
	p.Write(5000)
	p.ExpectAll("A 4001+1460 ack 1", "A 5461+1460 ack 1", "A 6921+1460 ack 1", "PA 8381+620 ack 1")
	p.Write(3000)
	p.ExpectAll("A 9001+1460 ack 1", "A 10461+1460 ack 1", "PA 11921+80 ack 1")
	p.Send("A 1 ack 12001 win 100")
	p.Write(3000)
	p.Nothing()
	rto := p.Conn.Info().RTO
	p.After(rto, "A 12001+100 ack 1")
	p.Send("A 1 ack 12101 win 1459")
	p.Nothing()
	p.Send("A 1 ack 12101 win 1460")
	p.Expect("A 12101+1460 ack 1")
	p.Send("A 1 ack 13561 win 65535")
	p.Expect("PA 13561+1440 ack 1")
	p.Send("A 1 ack 15001 win 65535")
	p.Quiet(time.Hour)
}

// RFC 9293 §3.8.6.2.1 (3): half of the largest window seen is enough.
func TestSmallWindowPeer(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Simple)
	p.Send("SA 0 ack 1 win 500 mss 1460")
	p.Expect("A 1 ack 1")
	p.Write(1200)
	p.Expect("A 1+500 ack 1")
	p.Send("A 1 ack 501 win 250")
	p.Expect("A 501+250 ack 1")
	p.Send("A 1 ack 751 win 249")
	p.Nothing()
	p.Send("A 1 ack 751 win 500")
	p.Expect("PA 751+450 ack 1")
	p.Send("A 1 ack 1201 win 500")
}

// RFC 9293 §3.8.6.1 (MUST-36, SHLD-29, SHLD-30, MUST-37): probing a closed
// window, for as long as the peer answers.
// RFC 1122 §4.2.2.17.
func TestZeroWindowProbe(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple)
	p.Write(1000)
	p.Expect("PA 1+1000 ack 1")
	p.Send("A 1 ack 1001 win 0")
	p.Write(500)
	rto := p.Conn.Info().RTO
	for range 6 {
		p.After(rto, "A 1000 ack 1")
		p.Send("A 1 ack 1001 win 0")
		rto *= 2
	}
	for range 24 * 60 { // a day at the cap of one a minute
		p.After(min(rto, time.Minute), "A 1000 ack 1")
		p.Send("A 1 ack 1001 win 0")
		rto *= 2
		rto = min(rto, time.Hour)
	}
	p.Is(tcp.Estab)
	p.Send("A 1 ack 1001 win 65535")
	p.Expect("PA 1001+500 ack 1")
	p.Send("A 1 ack 1501 win 65535")
	p.Quiet(time.Hour)
}

// RFC 9293 §3.8.3, RFC 9293 §3.8.6.1: probes that go unanswered count towards R2.
func TestZeroWindowSilence(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, func(c *tcp.Config) { c.UserTimeout = 10 * time.Second })
	p.Write(1000)
	p.Expect("PA 1+1000 ack 1")
	p.Send("A 1 ack 1001 win 0")
	p.Write(500)
	p.Pass(20 * time.Second)
	p.Drain()
	p.Ended(tcp.ErrTimeout)
}

// RFC 9293 §3.8.6 (MUST-34, SHLD-15, SHLD-17): the peer takes window back.
func TestShrinkingWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, tcptest.NoDelay)
	p.Write(4000)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+1080 ack 1")
	p.Send("A 1 ack 1461 win 100")
	p.Write(1000)
	p.Nothing()
	// An ACK of ours stays within the window.
	p.Send("A 1+10 ack 1461 win 100")
	p.After(40*time.Millisecond, "A 1561 ack 11")
	p.Send("A 11 ack 4001 win 0")
	p.Send("A 11 ack 4001 win 65535")
	p.Expect("PA 4001+1000 ack 11")
	p.Send("A 11 ack 5001 win 65535")
}

// RFC 5681 §4.1: after a pause the window falls back to the restart window.
func TestIdleRestart(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	off := 1
	for range 3 {
		p.Write(14600)
		p.Drain()
		off += 14600
		p.Send("A 1 ack " + itoa(off) + " win 2000")
	}
	if w := p.Conn.Info().Cwnd; w <= 14600 {
		t.Fatalf("the window did not grow: %d", w)
	}
	p.Quiet(time.Second)
	p.Write(100000)
	if n := len(p.Drain()); n != 10 {
		t.Errorf("%d segments after a pause, want 10", n)
	}
	p.Send("R 1")
}
