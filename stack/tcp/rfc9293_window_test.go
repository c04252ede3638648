package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 9293 §3.1 (MUST-1): the window is unsigned: one of 65535 is used to the
// last byte. (REC-1): with a shift of 14 it is close to a gibibyte, both ways.
func TestLargeWindows(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Simple, tcptest.NoDelay)
	p.Send("SA 0 ack 1 win 65535 mss 1460")
	p.Expect("A 1 ack 1")
	p.Write(65536)
	sent := 0
	for sent < 65535 {
		for p.Waiting() > 0 {
			sent += p.Take().Len()
		}
		acked := sent
		if sent > 40000 {
			break
		}
		p.Send("A 1 ack " + itoa(1+acked) + " win 65535")
	}
	if i := p.Conn.Info(); i.SndWnd != 65535 {
		t.Errorf("SND.WND %d, want 65535", i.SndWnd)
	}
	p.Send("A 1 ack " + itoa(1+sent) + " win 65535")
	for p.Waiting() > 0 {
		sent += p.Take().Len()
	}
	if sent != 65536 {
		t.Errorf("%d bytes sent, want 65536", sent)
	}
	p.Send("A 1 ack 65537 win 65535")

	p = tcptest.SynSent(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 1 << 30, NoTimestamps: true}))
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 14")
	p.Expect("A 1 ack 1")
	p.Send("A 1 ack 1 win 65535")
	if i := p.Conn.Info(); i.SndWnd != 65535<<14 || i.RcvShift != 14 {
		t.Errorf("SND.WND %d, shift %d, want %d and 14", i.SndWnd, i.RcvShift, 65535<<14)
	}
}

// RFC 9293 §3.8.6 (MUST-34): a window that shrinks below what is in flight does
// no harm; (SHLD-15) nothing new goes then, (SHLD-16, MAY-7) what is in flight
// is sent again; (SHLD-17) and while the peer answers, what lies beyond the
// edge is no reason to give up; (MUST-35) shrunk to zero, it is probed as any.
// Sequence numbers stay within SND.UNA and SND.NXT (RFC 9293 §3.3.1).
func TestShrunkWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, tcptest.NoDelay, noProbe)
	p.Write(4000)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+1080 ack 1")
	p.Send("A 1 ack 1 win 1460")
	p.Write(1000)
	p.Nothing()
	rto := p.Conn.Info().RTO
	p.After(rto, "A 1+1460 ack 1") // within the window
	p.Send("A 1 ack 1461 win 0")
	p.Drain() // beyond it: may be sent, or not
	for range 200 {
		p.Pass(time.Minute)
		if p.Waiting() == 0 {
			t.Fatal("a closed window is not probed")
		}
		for _, s := range p.Drain() {
			if s[0] == 'R' {
				t.Fatalf("sent %s", s)
			}
		}
		p.Send("A 1 ack 1461 win 0")
	}
	p.Is(tcp.Estab)
	p.Send("A 1 ack 1461 win 65535")
	for p.Conn.Info().BytesAcked < 5000 {
		p.Pass(time.Second)
		p.Drain()
		p.Send("A 1 ack " + itoa(1+int(p.Conn.Info().BytesSent)) + " win 65535")
	}
	p.Quiet(time.Hour)
}

// RFC 9293 §3.10.7.4, fifth check: the window is taken from a segment that is
// newer by SND.WL1, or as new and newer by SND.WL2; equality included. An older
// one that comes late does not take it back.
func TestWindowUpdates(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, tcptest.NoDelay)
	wnd := func(want int) {
		t.Helper()
		if got := p.Conn.Info().SndWnd; got != want {
			t.Errorf("SND.WND %d, want %d", got, want)
		}
	}
	p.Write(3000)
	p.Drain()
	p.Send("A 1+10 ack 1 win 1000")
	wnd(1000)
	p.Send("A 31+10 ack 1 win 2000") // newer by SND.WL1, though out of order
	wnd(2000)
	p.Send("A 21+5 ack 1 win 10") // in the window, but older
	wnd(2000)
	p.Send("A 31+10 ack 1 win 2500") // as new
	wnd(2500)
	p.Send("A 21+5 ack 1461 win 3000") // older by SND.WL1, but acknowledges
	wnd(3000)
	p.Send("A 31+10 ack 1 win 30") // acknowledges less
	wnd(3000)
	p.Send("A 31+10 ack 1461 win 4000")
	wnd(4000)
	p.Send("A 41 ack 3001 win 5000")
	wnd(5000)
	p.Drain()
}

// RFC 9293 §3.8.6: a FIN takes a sequence number and is sent again like data; a
// closed window delays it, and no more.
func TestFinAndClosedWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple, noProbe)
	p.Write(1000)
	p.Expect("PA 1+1000 ack 1")
	p.Send("A 1 ack 1001 win 0")
	p.Write(500)
	p.Shutdown(tcp.CloseWriting)
	p.Nothing() // not before the data
	for range 100 {
		p.Pass(time.Minute)
		for _, s := range p.Drain() {
			if s[0] == 'F' || s[0] == 'R' {
				t.Fatalf("sent %s", s)
			}
		}
		p.Send("A 1 ack 1001 win 0")
	}
	p.Is(tcp.FinWait1)
	p.Send("A 1 ack 1001 win 65535")
	p.Expect("FPA 1001+500 ack 1")
	// The peer takes the data, has no room for more, and the FIN is lost.
	p.Send("A 1 ack 1501 win 0")
	for range 100 {
		p.Pass(time.Minute)
		p.Drain()
		p.Send("A 1 ack 1501 win 0")
	}
	p.Is(tcp.FinWait1)
	p.Pass(time.Minute)
	if got := p.Drain(); len(got) != 1 || got[0][:2] != "FA" {
		t.Errorf("sent %v, want the FIN", got)
	}
	p.Send("A 1 ack 1502 win 65535")
	p.Is(tcp.FinWait2)
}

// RFC 9293 §3.8.6.1 (MAY-8): our window stays closed for as long as nobody
// reads, and each probe is answered with it.
func TestClosedWindowStaysClosed(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 1000, NoTimestamps: true, NoWindowScale: true}))
	p.Send("A 1+1000 ack 1 win 65535")
	p.After(40*time.Millisecond, "A 1 ack 1001 win 0")
	for range 48 {
		p.Quiet(time.Hour)
		p.Send("A 1001+1 ack 1 win 65535")
		p.Expect("A 1 ack 1001 win 0")
		p.Send("A 1000 ack 1 win 65535")
		p.Expect("A 1 ack 1001 win 0")
	}
	p.Read(1000)
	p.Expect("A 1 ack 1001 win 1000")
}

// RFC 9293 §3.8.6.2.2 (MUST-39): an answer to the peer does not open the window
// by little either.
func TestSillyWindowInAnswers(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 4000, NoTimestamps: true, NoWindowScale: true}))
	for i := range 4 {
		p.Send("A " + itoa(1+1000*i) + "+1000 ack 1 win 65535")
	}
	p.Drain()
	for range 14 { // up to 1400: less than a segment and than half of the window
		p.Read(100)
		p.Send("A 4000+1 ack 1 win 65535") // a probe
		p.Expect("A 1 ack 4001 win 0")
	}
	p.Read(100)
	p.Expect("A 1 ack 4001 win 1500")
}
