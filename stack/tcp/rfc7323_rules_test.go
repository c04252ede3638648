package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 7323 §2.2: a window scale option outside a SYN is ignored, and none is
// sent there.
func TestScaleOutsideSYN(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1 ack 1 win 100 ws 3")
	if w := p.Conn.Info().SndWnd; w != 100<<7 {
		t.Errorf("window %d, want %d", w, 100<<7)
	}
	p.Write(10)
	p.Expect("PA 1+10 ack 1 no-ws no-sackok no-mss")
	p.Send("A 1 ack 11 win 512")
	// Nor does it switch scaling on.
	p = tcptest.SynSent(t, tcptest.NoTimestamps)
	p.Send("SA 0 ack 1 win 1000 mss 1460")
	p.Expect("A 1 ack 1")
	p.Send("A 1 ack 1 win 100 ws 3")
	if w := p.Conn.Info().SndWnd; w != 100 {
		t.Errorf("window %d, want 100", w)
	}
}

// RFC 7323 §2.2: the window of our SYN-ACK is not scaled; RFC 7323 §2.3: that of
// all later segments is.
func TestOutgoingWindowScaled(t *testing.T) {
	p := tcptest.Listening(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 64 << 10, WindowScale: 1 + 7, NoTimestamps: true}))
	p.Send("S 0 win 65535 mss 1460 ws 2")
	p.Expect("SA 0 ack 1 win 65535 ws 7")
	p.Send("A 1 ack 1 win 100")
	if i := p.Conn.Info(); i.SndWnd != 400 || i.RcvShift != 7 || i.SndShift != 2 {
		t.Errorf("window %d, shifts %d and %d", i.SndWnd, i.SndShift, i.RcvShift)
	}
	p.Send("A 101+10 ack 1 win 100")
	p.Expect("A 1 ack 1 win 512")
}

// RFC 7323 §2.4: a retransmission may go beyond the window as it is now, as far
// as the largest ever announced; new data may not.
func TestRetransmissionBeyondWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe)
	p.Write(2920)
	p.Drain()
	p.Send("A 1 ack 1 win 1")
	p.Write(1460)
	p.After(floor, "A 1+1460 ack 1")
	p.Send("A 1 ack 1461 win 1")
	p.Expect("PA 1461+1460 ack 1")
	p.Send("A 1 ack 2921 win 0")
	p.Nothing()
	p.Send("A 1 ack 2921 win 512")
	p.Expect("PA 2921+1460 ack 1")
	p.Send("A 1 ack 4381 win 512")
}

// RFC 7323 §3.2: without an ACK there is no echo, and none is heeded.
func TestEchoNeedsAck(t *testing.T) {
	p := tcptest.New(t)
	p.Conn.Open(p.Now)
	p.Expect("S 0 ts 3600000/0")
	p = tcptest.Listening(t)
	p.Pass(time.Second)
	p.Send("S 0 win 65535 mss 1460 ts 7/3600500 ws 7")
	p.Expect("SA 0 ack 1 ts 3601000/7")
	p.Pass(20 * time.Millisecond)
	p.Send("A 1 ack 1 win 512 ts 8/3601000")
	if s := p.Conn.Info().SRTT; s != 20*time.Millisecond {
		t.Errorf("SRTT %v, want 20ms", s)
	}
}

// RFC 7323 §4.1: an echo on a segment that acknowledges nothing new measures
// nothing.
func TestNoSampleWithoutNewAck(t *testing.T) {
	p := stamped(t)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Pass(10 * time.Millisecond)
	p.Send("A 1 ack 101 win 512 ts 101/3600000")
	was := p.Conn.Info()
	p.Pass(time.Minute)
	for range 5 {
		p.Send("A 1 ack 101 win 512 ts 102/3600000")
		p.Send("A 1+10 ack 101 win 512 ts 102/3600000")
	}
	if i := p.Conn.Info(); i.SRTT != was.SRTT || i.RTTVar != was.RTTVar {
		t.Errorf("SRTT went from %v to %v", was.SRTT, i.SRTT)
	}
	p.Drain()
}

// RFC 7323 §5.3: the timestamp is looked at on arrival, and not when a segment
// leaves the queue: what came early has an older one than what lets it go.
func TestPAWSOnArrivalOnly(t *testing.T) {
	p := stamped(t)
	p.Send("A 11+10 ack 1 win 512 ts 110/3600000")
	p.Expect("A 1 ack 1 sack 11-21")
	p.Send("A 1+10 ack 1 win 512 ts 500/3600000")
	p.Expect("A 1 ack 21 ts 3600000/500")
	p.Read(20)
}

// RFC 7323 §5.2: a RST that answers a segment echoes its timestamp; one for
// which no connection exists has no clock of its own.
func TestResetCarriesTimestamps(t *testing.T) {
	in, out := new(wire.Segment), new(wire.Segment)
	in.Reset()
	in.Flags, in.Timestamps, in.TSVal, in.TSEcr = wire.ACK, true, 77, 5
	if !tcp.ResetFor(in, out) || !out.Timestamps || out.TSVal != 0 || out.TSEcr != 77 {
		t.Errorf("timestamps %v %d/%d, want 0/77", out.Timestamps, out.TSVal, out.TSEcr)
	}
	in.Timestamps = false
	if !tcp.ResetFor(in, out) || out.Timestamps {
		t.Error("timestamps though the segment had none")
	}
	p := stamped(t)
	p.Abort()
	p.Expect("RA 1 ack 1 ts 3600000/100")
}

// RFC 7323 §5.2: the timestamp of a RST changes nothing, and PAWS does not ask
// for it.
func TestResetTimestampIgnored(t *testing.T) {
	p := stamped(t)
	p.Send("R 100 ts 2000000000/0") // challenged
	p.Expect("A 1 ack 1 ts 3600000/100")
	p.Send("A 1+10 ack 1 win 512 ts 101/3600000") // not old yet
	p.Read(10)
	p.Drain()
	p.Send("R 11 ts 1/0")
	p.Ended(tcp.ErrReset)
}

// RFC 7323 §5.4: the clock ticks once a millisecond, and so wraps in 25 days
// and not within an MSL.
func TestTimestampClock(t *testing.T) {
	p := stamped(t)
	at := 3600000
	for _, d := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
		p.Pass(d)
		at += int(d / time.Millisecond)
		p.Conn.Ack(p.Now)
		p.Expect("A 1 ack 1 ts " + itoa(at) + "/100")
	}
	p.Pass(time.Millisecond - 1)
	p.Conn.Ack(p.Now)
	p.Expect("A 1 ack 1 ts " + itoa(at) + "/100")
}
