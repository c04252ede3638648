package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 9293 §3.9.1.2: bytes written without a PUSH flag leave at once or when
// what holds them back is over (MUST-60); PSH is on the last segment (MUST-61,
// SHLD-27), and many writes make segments as large as can be (SHLD-28, MAY-16).
func TestSmallWritesJoin(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Write(1)
	p.Expect("PA 1+1 ack 1")
	for range 1500 {
		p.Write(1)
	}
	p.Expect("PA 2+1460 ack 1")
	p.Nothing()
	p.Send("A 1 ack 1462 win 512")
	p.Expect("PA 1462+40 ack 1")
	p.Send("A 1 ack 1502 win 512")
	// Without a single ACK nothing waits for ever either: Nagle waits for the
	// retransmission at most.
	p.Write(1)
	p.Expect("PA 1502+1 ack 1")
	p.Write(1)
	p.Nothing()
	p.Pass(time.Minute)
	p.Drain()
	p.Send("A 1 ack 1503 win 512")
	p.Expect("PA 1503+1 ack 1")
	p.Send("A 1 ack 1504 win 512")
}

// RFC 9293 §3.8.2 (MUST-19): slow start, congestion avoidance and back-off are
// in force by default, and no setting turns them off.
func TestCongestionControlAlways(t *testing.T) {
	for name, o := range map[string]tcptest.Option{
		"default": tcptest.NoTimestamps, "nothing offered": tcptest.Simple,
		"all switched": tcptest.Tuned(tcp.Tuning{NoDelay: true, NoRACK: true, NoTimestamps: true, SendBuffer: 1 << 20, UserTimeout: -1}),
	} {
		p := tcptest.Established(t, o)
		p.Write(60000)
		n := len(p.Drain())
		if n != 10 { // RFC 6928
			t.Errorf("%s: the initial window is %d segments", name, n)
		}
		p.Send("A 1 ack 14601" + p.Win)
		if n := len(p.Drain()); n < 19 || n > 20 {
			t.Errorf("%s: slow start sends %d segments", name, n)
		}
		was := p.Conn.Info()
		p.Pass(30 * time.Second)
		if i := p.Conn.Info(); i.Cwnd > 2*i.MSS || i.Ssthresh > was.Cwnd*3/4 || i.RTO < 8*was.RTO {
			t.Errorf("%s: cwnd %d ssthresh %d RTO %v after timeouts, before %+v", name, i.Cwnd, i.Ssthresh, i.RTO, was)
		}
		p.Drain()
		p.Abort()
		p.Drain()
	}
}

// RFC 9293 §3.8.1 (MUST-18): Karn's rule: what was sent again and then
// acknowledged measures nothing, and the timeout stays backed off
// (RFC 6298 §3).
func TestKarn(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, noProbe)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	before := p.Conn.Info()
	p.After(before.RTO, "PA 1+100 ack 1")
	p.Pass(time.Millisecond)
	p.Send("A 1 ack 101 win 512")
	after := p.Conn.Info()
	if after.SRTT != before.SRTT || after.RTTVar != before.RTTVar || after.RTO != 2*before.RTO {
		t.Errorf("SRTT %v, RTTVAR %v, RTO %v; before %v, %v, %v", after.SRTT, after.RTTVar, after.RTO,
			before.SRTT, before.RTTVar, before.RTO)
	}
	p.Write(100)
	p.Expect("PA 101+100 ack 1")
	p.Pass(50 * time.Millisecond)
	p.Send("A 1 ack 201 win 512")
	if i := p.Conn.Info(); i.SRTT == before.SRTT || i.RTO >= after.RTO {
		t.Errorf("SRTT %v, RTO %v: the next one counts", i.SRTT, i.RTO)
	}
}

// RFC 9293 §3.10.7.2: data and FIN on the SYN of a peer without Fast Open are
// not delivered before the handshake is done. They are not acknowledged, so
// come again.
func TestDataOnSYN(t *testing.T) {
	p := tcptest.Listening(t, tcptest.Simple)
	p.Send("SF 0+0 win 65535 mss 1460")
	p.Expect("SA 0 ack 1")
	p.Is(tcp.SynReceived)
	p.Send("A 1 ack 1 win 65535")
	p.Is(tcp.Estab)
	p = tcptest.Listening(t, tcptest.Simple)
	p.Send("S 0+20 win 65535 mss 1460")
	p.Expect("SA 0 ack 1")
	p.ReadErr(tcp.ErrWouldBlock)
	p.Send("A 1 ack 1 win 65535")
	p.ReadErr(tcp.ErrWouldBlock)
	p.Send("A 1+19 ack 1 win 65535")
	p.Read(19)
	p.After(40*time.Millisecond, "A 1 ack 20")
}

// RFC 9293 §3.10.7.3: data on a SYN-ACK is taken and acknowledged.
func TestTextOnSynAck(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Simple)
	p.Send("SFA 0+21 ack 1 win 65535 mss 1460")
	p.Is(tcp.CloseWait)
	p.Expect("A 1 ack 23")
	if n := p.Stream.Unread(); n != 21 {
		t.Errorf("%d bytes to be read, want 21", n)
	}
}

// RFC 9293 §3.10.7.4, seventh and eighth check: nothing behind the FIN is
// delivered, whether it came before or after it.
func TestTextAfterFin(t *testing.T) {
	p := tcptest.CloseWait(t, tcptest.NoTimestamps)
	p.Send("A 2+10 ack 1 win 512")
	p.Drain()
	p.Is(tcp.CloseWait)
	p.ReadEOF()

	p = tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 21+10 ack 1 win 512") // behind where the FIN will be
	p.Send("FA 11 ack 1 win 512")
	p.Drain()
	p.Send("A 1+10 ack 1 win 512")
	p.Drain()
	p.Is(tcp.CloseWait)
	p.Read(10)
	p.ReadEOF()
}

// RFC 9293 §3.5.2: a peer that has forgotten the connection. Our data draws its
// RST, or its new SYN draws our ACK, its RST and the end; a SYN of its own
// finds the half-open end when it is we who forgot.
func TestHalfOpen(t *testing.T) {
	p := tcptest.Established(t)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Send("R 1")
	p.Ended(tcp.ErrReset)

	p = tcptest.Established(t)
	p.Send("S 400000 win 65535 mss 1460")
	p.Expect("A 1 ack 1") // figure 9, line 4
	p.Is(tcp.Estab)
	p.Send("R 1")
	p.Ended(tcp.ErrReset)

	p = tcptest.SynSent(t) // we forgot: figure 9 seen from the other side
	p.Send("A 300 ack 100 win 512")
	p.Expect("R 100")
	p.Is(tcp.SynSent)
	p.After(time.Second, "S 0")
}

// RFC 9293 §3.10.8: the user timeout ends the connection and tells; the
// retransmission timeout sends the first segment again and restarts the timer;
// the TIME-WAIT timeout ends it in good order.
func TestTimeouts(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, noProbe, func(c *tcp.Config) { c.UserTimeout = 3 * time.Second })
	p.Write(3000)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+80 ack 1")
	rto := p.Conn.Info().RTO
	p.After(rto, "A 1+1460 ack 1")
	p.After(2*rto, "A 1+1460 ack 1")
	p.Pass(3*time.Second - 3*rto)
	p.Drain()
	p.Ended(tcp.ErrTimeout)
	if _, err := p.Stream.Write(p.Now, []byte{1}); err != tcp.ErrTimeout {
		t.Errorf("Write: %v", err)
	}

	p = tcptest.TimeWait(t)
	p.Pass(time.Minute)
	p.Ended(nil)
}

// RFC 9293 §3.6: how a connection ended is for the application to know: in good
// order (MUST-12), or by a reset.
func TestHowItEnded(t *testing.T) {
	p := tcptest.Established(t)
	p.Send("FA 1 ack 1 win 512")
	p.Expect("A 1 ack 2")
	p.ReadEOF()
	p = tcptest.Established(t)
	p.Send("R 1")
	p.ReadErr(tcp.ErrReset)
	p = tcptest.CloseWait(t)
	p.Send("R 2")
	p.ReadEOF() // the peer had closed before
	if _, err := p.Stream.Write(p.Now, []byte{1}); err != tcp.ErrReset {
		t.Errorf("Write: %v", err)
	}
}
