package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 2018 §4 and RFC 2883 §4, a series worked out by hand: RCV.NXT is 1000.
func TestSACKVector(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+999 ack 1 win 512")
	p.After(40*time.Millisecond, "A 1 ack 1000")
	p.Send("A 2000+1000 ack 1 win 512")
	p.Expect("A 1 ack 1000 sack 2000-3000")
	p.Send("A 4000+1000 ack 1 win 512")
	p.Expect("A 1 ack 1000 sack 4000-5000,2000-3000")
	p.Send("A 3000+500 ack 1 win 512")
	p.Expect("A 1 ack 1000 sack 2000-3500,4000-5000")
	p.Send("A 3000+500 ack 1 win 512")
	p.Expect("A 1 ack 1000 sack 3000-3500,2000-3500,4000-5000")
}

// RFC 7323 §2.3 and RFC 7323 §2.4: a window of 100000 at a shift of 7 reads
// 781, which is 99968. It reads 782 only to keep a promise, which is taken up
// to its last byte.
func TestScaleVector(t *testing.T) {
	u := &upper{window: 100000}
	c := tcp.NewConn(tcp.Config{MTU: 1500, Upper: u, ISS: 99,
		Tuning: tcp.Tuning{WindowScale: 1 + 7, NoTimestamps: true, NoSACK: true}})
	var out wire.Segment
	c.Open(now)
	if !c.Emit(now, &out) || out.Window != 65535 || out.WindowScale != 7 {
		t.Fatalf("%v: window %d, shift %d", &out, out.Window, out.WindowScale)
	}
	s := segment(wire.SYN|wire.ACK, 99, 100, 0)
	s.WindowScale = 7
	c.Receive(now, s)
	if !c.Emit(now, &out) || out.Window != 781 {
		t.Errorf("window field %d, want 781", out.Window)
	}
	c.Receive(now, segment(wire.ACK, 100+99968-1, 100, 1))
	c.Receive(now, segment(wire.ACK, 100, 100, 99967))
	if i := c.Info(); i.BytesReceived != 99968 {
		t.Errorf("%d bytes taken, want 99968", i.BytesReceived)
	}
}

// RFC 9293 §3.10.7.1, worked out by hand.
func TestResetVector(t *testing.T) {
	for _, c := range []struct {
		flags    wire.Flags
		seq, ack int
		n        int
		want     wire.Segment
	}{
		{wire.SYN, 100, 0, 0, wire.Segment{Flags: wire.RST | wire.ACK, Ack: 101}},
		{wire.SYN, 100, 0, 10, wire.Segment{Flags: wire.RST | wire.ACK, Ack: 111}},
		{wire.SYN | wire.FIN, 100, 0, 10, wire.Segment{Flags: wire.RST | wire.ACK, Ack: 112}},
		{wire.ACK, 5, 700, 0, wire.Segment{Flags: wire.RST, Seq: 700}},
	} {
		in, out := segment(c.flags, uint32(c.seq), uint32(c.ack), c.n), new(wire.Segment)
		if !tcp.ResetFor(in, out) || out.Flags != c.want.Flags || out.Seq != c.want.Seq || out.Ack != c.want.Ack {
			t.Errorf("%v: %v, want %v", in, out, &c.want)
		}
	}
}
