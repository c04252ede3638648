package tcp_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// RFC 9293 §3.8.6.3 (SHLD-18, MUST-40, SHLD-19), RFC 5681 §4.2: an ACK for every
// second full segment at once, else within 40 ms.
// RFC 1122 §4.2.3.2.
func TestDelayedAck(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+1000 ack 1 win 512")
	p.After(40*time.Millisecond, "A 1 ack 1001")
	p.Send("A 1001+1000 ack 1 win 512")
	p.Nothing()
	p.Send("A 2001+1000 ack 1 win 512")
	p.Expect("A 1 ack 3001")
	p.Quiet(time.Second)
	// Small segments: by bytes.
	for i := range 3 {
		p.Send("A " + itoa(3001+500*i) + "+500 ack 1 win 512")
		p.Nothing()
	}
	p.Send("A 4501+500 ack 1 win 512")
	p.Expect("A 1 ack 5001")
	// Data carries it along.
	p.Send("A 5001+100 ack 1 win 512")
	p.Write(10)
	p.Expect("PA 1+10 ack 5101")
	p.Send("A 5101 ack 11 win 512")
	p.Quiet(time.Second)
}

// RFC 5681 §4.2: out of order, and filling a hole: at once.
// RFC 9293 §3.10.7.4 (MAY-13).
func TestImmediateAck(t *testing.T) {
	p := tcptest.Established(t, tcptest.Simple)
	p.Send("A 1001+100 ack 1 win 65535")
	p.Expect("A 1 ack 1")
	p.Send("A 2001+100 ack 1 win 65535")
	p.Expect("A 1 ack 1")
	p.Send("A 1+1000 ack 1 win 65535")
	p.Expect("A 1 ack 1101")
	p.Send("A 1101+900 ack 1 win 65535")
	p.Expect("A 1 ack 2101")
	p.Read(2100)
}

// RFC 9293 §3.8.6.2.2 (MUST-39): the window opens by a segment or half the
// buffer at least. §3.8.6 (SHLD-14): the edge does not move left (the peer of
// this package watches that).
// RFC 9293 §3.8.6 (SHLD-14); RFC 9293 §3.10.7.4, seventh check.
func TestReceiverSillyWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 8000, NoWindowScale: true, NoTimestamps: true}))
	for i := range 5 {
		p.Send("A " + itoa(1+1460*i) + "+1460 ack 1 win 65535")
		p.Pass(40 * time.Millisecond)
	}
	p.Send("A 7301+700 ack 1 win 65535")
	p.Pass(40 * time.Millisecond)
	p.Drain()
	if w := p.Conn.Info().RcvWnd; w != 0 {
		t.Fatalf("window left %d, want 0", w)
	}
	updates := 0
	for range 100 {
		p.Read(80)
		updates += len(p.Drain())
	}
	// The window doubled at 1460, 2920 and 5840.
	if updates != 3 {
		t.Errorf("%d window updates, want 3", updates)
	}
	// A segment is answered with the edge held where growth would be silly.
	p.Send("A 8001+10 ack 1 win 65535")
	p.Pass(40 * time.Millisecond)
	p.Drain()
}

// RFC 7323 §2.4: the scale's rounding does not take window back, whatever the
// sizes (the peer watches the edge).
// RFC 9293 §3.8.6 (SHLD-14); RFC 9293 §3.10.7.4, seventh check.
func TestWindowRounding(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 64 << 10, WindowScale: 1 + 7, NoTimestamps: true}))
	at := 1
	for i := range 60 {
		n := 1 + i*131%1460
		p.Send("A " + itoa(at) + "+" + itoa(n) + " ack 1 win 512")
		at += n
		p.Pass(40 * time.Millisecond)
		p.Drain()
		if i%7 == 0 {
			p.Read(1 + i)
			p.Drain()
		}
	}
}

// The window grows with what the application reads, up to its bound.
func TestWindowAutoTuning(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 1 << 20, NoTimestamps: true}))
	p.Pass(50 * time.Millisecond)
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 7")
	p.Expect("A 1 ack 1")
	at := 1
	grown := 0
	for range 40 {
		// One window each round trip.
		p.Pass(50 * time.Millisecond)
		w := p.Conn.Info().RcvWnd / 1000 * 1000
		for w > 0 {
			p.Send("A " + itoa(at) + "+1000 ack 1 win 512")
			at += 1000
			w -= 1000
			p.Read(1000)
		}
		p.Drain()
		grown = max(grown, p.Conn.Info().RcvWnd)
	}
	if grown < 900<<10 || grown > 1<<20+1<<10 {
		t.Errorf("the window grew to %d, want about 1 MiB", grown)
	}
}

// An application that does not read keeps the window from growing.
func TestNoTuningWithoutReading(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	at := 1
	for range 60 {
		p.Send("A " + itoa(at) + "+1000 ack 1 win 512")
		at += 1000
		p.Pass(10 * time.Millisecond)
	}
	p.Drain()
	// An eighth of the window may be promised too much by rounding.
	if w := p.Conn.Info().RcvWnd; w > 14<<10 {
		t.Errorf("window %d with 60000 bytes unread", w)
	}
}
