package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 9293 §3.5, figure 6: the three-way handshake, active side.
func TestActiveOpen(t *testing.T) {
	p := tcptest.New(t)
	p.Is(tcp.ClosedState)
	p.Conn.Open(p.Now)
	// RFC 9293 §3.7.1 (MUST-14, MAY-3, MUST-67): MSS always, from the MTU.
	// RFC 7323 §2.2: not scaled; §3.2: TSecr is 0 without ACK.
	p.Expect("S 0 win 65535 mss 1460 sackok ts 3600000/0 ws 8")
	p.Is(tcp.SynSent)
	p.Pass(20 * time.Millisecond)
	p.Send("SA 0 ack 1 win 1000 mss 1400 sackok ts 5/3600000 ws 3")
	p.Expect("A 1 ack 1 ts 3600020/5 no-mss no-ws no-sackok")
	p.Is(tcp.Estab)
	if i := p.Conn.Info(); i.SRTT != 20*time.Millisecond || i.MSS != 1388 || i.SndWnd != 1000 {
		t.Errorf("SRTT %v MSS %d window %d, want 20ms 1388 1000", i.SRTT, i.MSS, i.SndWnd)
	}
	if !p.Stream.Ready().Has(tcp.Opened | tcp.Writable) {
		t.Error("the application does not hear of it")
	}
}

// RFC 9293 §3.5: passive side; §3.10.7.2.
// RFC 9293 §3.7.1 (MUST-14).
func TestPassiveOpen(t *testing.T) {
	p := tcptest.Listening(t)
	p.Send("S 0 win 1000 mss 1400 sackok ts 9/0 ws 3")
	p.Expect("SA 0 ack 1 win 65535 mss 1460 sackok ts 3600000/9 ws 8")
	p.Is(tcp.SynReceived)
	p.Send("A 1 ack 1 win 1000 ts 10/3600000")
	p.Is(tcp.Estab)
	// RFC 7323 §2.3: windows are scaled from here on.
	if i := p.Conn.Info(); i.SndWnd != 8000 {
		t.Errorf("window %d, want 8000", i.SndWnd)
	}
}

// RFC 9293 §3.10.7.2: what LISTEN does with anything but a SYN.
func TestListen(t *testing.T) {
	p := tcptest.Listening(t)
	p.Send("R 0")
	p.Send("RA 0 ack 100")
	p.Send("F 0")
	p.Send("- 0+10")
	p.Nothing()
	p.Send("A 0 ack 100")
	p.Expect("R 100")
	p.Send("SA 0 ack 77")
	p.Expect("R 77")
	p.Is(tcp.Listen)
	p.Shutdown(tcp.CloseBoth)
	p.Ended(nil)
}

// RFC 9293 §3.5, figure 7 (MUST-10): simultaneous open.
// RFC 9293 §3.10.7.3, fourth.
func TestSimultaneousOpen(t *testing.T) {
	for _, last := range []string{"SA 0 ack 1 win 65535 mss 1460", "A 1 ack 1 win 65535"} {
		p := tcptest.SynSent(t, tcptest.Simple)
		p.Send("S 0 win 65535 mss 1460")
		p.Is(tcp.SynReceived)
		p.Expect("SA 0 ack 1 mss 1460")
		p.Send(last)
		p.Is(tcp.Estab)
		p.Write(100)
		p.Expect("PA 1+100 ack 1")
		p.Send("A 1 ack 101 win 65535")
	}
}

// RFC 9293 §3.5.2: half-open discovery; a SYN-SENT that gets an ACK for
// nothing it sent answers with a RST (§3.10.7.3, first).
// RFC 9293 §3.10.7.3, first, second and fifth.
func TestSynSentBadAck(t *testing.T) {
	p := tcptest.SynSent(t)
	p.Send("A 300 ack 100")
	p.Expect("R 100")
	p.Send("SA 300 ack 2")
	p.Expect("R 2")
	p.Send("SA 300 ack 0")
	p.Expect("R 0")
	p.Is(tcp.SynSent)
	// Second: a RST counts only with a good ACK.
	p.Send("R 0")
	p.Send("RA 0 ack 2")
	p.Is(tcp.SynSent)
	// Fourth: neither SYN nor RST.
	p.Send("A 0 ack 1")
	p.Is(tcp.SynSent)
	p.Nothing()
	p.Send("RA 0 ack 1")
	p.Ended(tcp.ErrRefused)
}

// RFC 9293 §3.10.7.4, second check, SYN-RECEIVED (MUST-11).
// RFC 9293 §3.5 (MUST-11).
func TestResetInSynReceived(t *testing.T) {
	p := tcptest.SynReceived(t)
	p.Send("R 1")
	p.Ended(tcp.ErrReset)

	p = tcptest.SynSent(t, tcptest.Simple)
	p.Send("S 0 win 65535 mss 1460")
	p.Expect("SA 0 ack 1")
	p.Send("R 1")
	p.Ended(tcp.ErrRefused)
}

// RFC 9293 §3.10.7.4, fifth check, SYN-RECEIVED: a bad ACK is answered with a
// RST, and the state stays.
func TestBadAckInSynReceived(t *testing.T) {
	p := tcptest.SynReceived(t)
	p.Send("A 1 ack 2 win 512")
	p.Expect("R 2")
	p.Send("A 1 ack 0 win 512")
	p.Expect("R 0")
	p.Is(tcp.SynReceived)
	p.Send("A 1 ack 1 win 512")
	p.Is(tcp.Estab)
}

// A SYN seen again brings the SYN-ACK again (RFC 9293 §3.10.7.4 has a plain
// ACK, of which the peer in SYN-SENT could make nothing).
func TestSynAgain(t *testing.T) {
	p := tcptest.SynReceived(t)
	p.Send("S 0 win 65535 mss 1460 sackok ws 7")
	p.Expect("SA 0 ack 1 mss 1460")
	p.Is(tcp.SynReceived)
}

// RFC 9293 §3.8.3 (MUST-22, MUST-23), RFC 6298 §5.5, RFC 6298 §2.1, RFC 8961 §4: SYN
// retransmission doubles from 1 s and gives up after three minutes.
func TestSynTimeout(t *testing.T) {
	p := tcptest.SynSent(t)
	total := time.Duration(0)
	for _, d := range []time.Duration{1, 2, 4, 8, 16, 32, 60} {
		p.After(d*time.Second, "S 0 mss 1460 sackok ws 8")
		total += d * time.Second
	}
	p.Quiet(180*time.Second - total - 1)
	p.Is(tcp.SynSent)
	p.Pass(1)
	p.Ended(tcp.ErrTimeout)
	p.ReadErr(tcp.ErrTimeout)
}

func TestSynAckTimeout(t *testing.T) {
	p := tcptest.SynReceived(t)
	for _, d := range []time.Duration{1, 2, 4} {
		p.After(d*time.Second, "SA 0 ack 1 mss 1460 sackok ws 8")
	}
	p.Send("A 1 ack 1 win 512")
	p.Is(tcp.Estab)
	p.Quiet(time.Hour)
}

// RFC 9293 §3.10.4 CLOSE and §3.10.5 ABORT before the handshake is done.
func TestCloseEarly(t *testing.T) {
	p := tcptest.SynSent(t)
	p.Shutdown(tcp.CloseBoth)
	p.Ended(nil)

	p = tcptest.SynSent(t)
	p.Abort()
	p.Ended(tcp.ErrAborted)

	p = tcptest.SynReceived(t)
	p.Abort()
	p.Expect("RA 1 ack 1")
	p.Ended(tcp.ErrAborted)

	// SYN-RECEIVED: the FIN waits for ESTABLISHED.
	p = tcptest.SynReceived(t)
	p.Shutdown(tcp.CloseWriting)
	p.Nothing()
	p.Send("A 1 ack 1 win 512")
	p.Is(tcp.FinWait1)
	p.Expect("FA 1 ack 1")
}

// RFC 9293 §3.10.7.3: data and FIN on a SYN-ACK are taken.
func TestDataOnSynAck(t *testing.T) {
	p := tcptest.SynSent(t)
	p.Send("SFA 0+0 ack 1 win 1000 mss 1460")
	p.Is(tcp.CloseWait)
	p.Expect("A 1 ack 2")
	p.ReadEOF()
}

// RFC 9293 §3.7.1 (MUST-15): without an MSS option it is 536 for IPv4.
func TestDefaultMSS(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Simple)
	p.Send("SA 0 ack 1 win 65535")
	p.Expect("A 1 ack 1")
	p.Write(1000)
	p.Expect("A 1+536 ack 1")
	p.Expect("PA 537+464 ack 1")
	p.Send("A 1 ack 1001 win 65535")
}

// RFC 9293 §3.10.7.1: the RST of CLOSED.
func TestResetForClosed(t *testing.T) {
	var in, out wire.Segment
	in.Reset()
	in.SrcPort, in.DstPort = 7, 9
	in.Seq, in.Flags = 100, wire.SYN
	if !tcp.ResetFor(&in, &out) || out.Flags != wire.RST|wire.ACK || out.Seq != 0 || out.Ack != 101 || out.SrcPort != 9 {
		t.Errorf("for a SYN: %v", &out)
	}
	in.Flags, in.Ack = wire.ACK, 55
	if !tcp.ResetFor(&in, &out) || out.Flags != wire.RST || out.Seq != 55 {
		t.Errorf("for an ACK: %v", &out)
	}
	in.Flags |= wire.RST
	if tcp.ResetFor(&in, &out) {
		t.Error("a RST was answered")
	}
}
