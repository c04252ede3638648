package tcp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// upper is a scripted Upper: what it was told, and what it answers.
type upper struct {
	log     []string
	pieces  []int // what each Next gives
	verdict tcp.Verdict
	option  []byte
	window  int
}

func (u *upper) say(f string, a ...any) { u.log = append(u.log, fmt.Sprintf(f, a...)) }

func (u *upper) Pending(mono.Time) int {
	n := 0
	for _, p := range u.pieces {
		n += p
	}
	return n
}

func (u *upper) Next(_ mono.Time, off uint64, max int, dst []chunk.Slice) []chunk.Slice {
	n := min(u.pieces[0], max)
	if u.pieces[0] -= n; u.pieces[0] == 0 {
		u.pieces = u.pieces[1:]
	}
	u.say("next %d+%d", off, n)
	return append(dst, chunk.Borrowed(tcptest.Content(off, n)))
}

func (u *upper) Acked(_ mono.Time, off uint64) { u.say("acked %d", off) }

func (u *upper) Deliver(_ mono.Time, off uint64, runs []chunk.Slice) {
	u.say("deliver %d+%d", off, chunk.Total(runs))
	for _, r := range runs {
		r.Release()
	}
}

func (u *upper) Window() int { return u.window }

func (u *upper) AppendOptions(_ mono.Time, out tcp.Outgoing, room int, b []byte) []byte {
	u.say("options %v %d+%d %v room %d", out.Flags, out.Off, out.Len, out.Retransmit, room)
	if len(u.option) > room {
		return b
	}
	return append(b, u.option...)
}

func (u *upper) Received(_ mono.Time, in tcp.Incoming) tcp.Verdict {
	u.say("received %v %d next %d ack %d %v", in.Seg.Flags, in.Off, in.Next, in.AckOff, in.NewAck)
	return u.verdict
}

func (u *upper) Changed(_ mono.Time, e tcp.Change) { u.say("changed %d", e) }

func (u *upper) want(t *testing.T, lines ...string) {
	t.Helper()
	if fmt.Sprint(u.log) != fmt.Sprint(lines) {
		t.Errorf("the Upper heard\n%q\nwant\n%q", u.log, lines)
	}
	u.log = nil
}

func segment(flags wire.Flags, seq, ack uint32, n int) *wire.Segment {
	s := new(wire.Segment)
	s.Reset()
	s.Flags, s.Window = flags, 65535
	s.Seq += s.Seq.Add(int(seq))
	s.Ack = s.Ack.Add(int(ack))
	if n > 0 {
		s.Payload = append(s.Payload, chunk.Borrowed(make([]byte, n)))
	}
	return s
}

// over makes an established connection over u, with initial sequence numbers
// of 99 on both sides.
func over(t *testing.T, u *upper, opts ...tcptest.Option) *tcp.Conn {
	t.Helper()
	cfg := tcp.Config{
		Local: netip.MustParseAddrPort("192.0.2.1:1"), Remote: netip.MustParseAddrPort("192.0.2.2:2"),
		ISS: 99, MTU: 1500, Upper: u,
	}
	cfg.NoTimestamps, cfg.NoDelay = true, true
	for _, o := range opts {
		o(&cfg)
	}
	u.window = 60000
	c := tcp.NewConn(cfg)
	c.Open(now)
	var out wire.Segment
	if !c.Emit(now, &out) || out.Flags != wire.SYN {
		t.Fatal("no SYN")
	}
	s := segment(wire.SYN|wire.ACK, 99, 100, 0)
	s.Options.MSS = 1460
	s.SACKPermitted = true
	c.Receive(now, s)
	return c
}

const now = mono.Time(time.Hour)

func emitted(c *tcp.Conn) (texts []string) {
	var s wire.Segment
	for c.Emit(now, &s) {
		texts = append(texts, fmt.Sprintf("%v %d+%d", s.Flags, s.Seq, s.Len()))
		for _, r := range s.Payload {
			r.Release()
		}
	}
	return texts
}

// The seam of RFC 8684 §3: options on SYNs, ACKs, data, RSTs; options received
// after the checks and before anything else has an effect.
func TestUpper(t *testing.T) {
	u := &upper{pieces: []int{2000, 500}, option: []byte{30, 4, 1, 2}}
	c := over(t, u, func(c *tcp.Config) { c.OptionReserve = 20 })
	emitted(c)
	u.want(t, "options S 0+0 false room 31", "received SA 0 next 0 ack 0 true", "changed 0",
		// What one Next gave is never joined with what another gave.
		"next 0+1440", "options A 0+1440 false room 20",
		"next 1440+560", "options A 1440+560 false room 40",
		"next 2000+500", "options PA 2000+500 false room 40")
	c.Receive(now, segment(wire.ACK, 100, 1540, 100))
	u.want(t, "received A 0 next 0 ack 1440 true", "acked 1440", "deliver 0+100")
	c.Receive(now, segment(wire.ACK, 300, 1540, 100))
	u.want(t, "received A 200 next 100 ack 1440 false")
	emitted(c)
	u.want(t, "options A 2500+0 false room 40")
	// Out of the window, or of the range of ACKs: the Upper does not see it.
	c.Receive(now, segment(wire.ACK, 50, 1540, 10))
	c.Receive(now, segment(wire.ACK, 200, 99999, 10))
	u.want(t)
	emitted(c)
	u.log = nil
	c.Receive(now, segment(wire.RST, 200, 0, 0))
	u.want(t, "received R 100 next 100 ack 1440 false", "changed 5")
}

func TestVerdicts(t *testing.T) {
	for _, x := range []struct {
		verdict tcp.Verdict
		acked   bool
		got     bool
		state   tcp.State
	}{
		{tcp.Proceed, true, true, tcp.Estab},
		{tcp.Discard, false, false, tcp.Estab},
		{tcp.DropData, true, false, tcp.Estab},
		{tcp.Abort, false, false, tcp.ClosedState},
	} {
		u := &upper{pieces: []int{100}}
		c := over(t, u)
		emitted(c)
		u.log, u.verdict = nil, x.verdict
		c.Receive(now, segment(wire.ACK, 100, 200, 50))
		i := c.Info()
		if (i.BytesAcked == 100) != x.acked || (i.BytesReceived == 50) != x.got || c.State() != x.state {
			t.Errorf("verdict %d: acked %d received %d state %v", x.verdict, i.BytesAcked, i.BytesReceived, c.State())
		}
		u.log = nil
		if out := emitted(c); x.verdict == tcp.Abort && (len(out) != 1 || out[0] != "RA 200+0") {
			t.Errorf("sent %v, want a RST", out)
		}
	}
}

// RFC 8684 §3: an ACK that was sent for its options is no duplicate ACK.
func TestSignalIsNoDuplicate(t *testing.T) {
	for _, verdict := range []tcp.Verdict{tcp.Proceed, tcp.Signal} {
		u := &upper{pieces: []int{14600}}
		c := over(t, u, func(c *tcp.Config) { c.NoSACK = true })
		emitted(c)
		u.verdict = verdict
		for range 5 {
			c.Receive(now, segment(wire.ACK, 100, 100, 0))
		}
		if got := c.Info().Retransmits + uint64(len(emitted(c))); (got > 0) != (verdict == tcp.Proceed) {
			t.Errorf("verdict %d: %d segments", verdict, got)
		}
	}
}

// RFC 8684 §3.3.4: a window shared among subflows is advertised as it is, and
// what was promised is still accepted.
func TestSharedWindow(t *testing.T) {
	u := &upper{}
	c := over(t, u, func(c *tcp.Config) { c.SharedWindow = true; c.NoWindowScale = true })
	emitted(c)
	u.window = 1000 // another subflow used it up
	c.Ack(now)
	var s wire.Segment
	if !c.Emit(now, &s) || s.Window != 1000 {
		t.Fatalf("window %d, want 1000", s.Window)
	}
	u.log = nil
	c.Receive(now, segment(wire.ACK, 100, 100, 5000))
	if i := c.Info(); i.BytesReceived != 5000 {
		t.Errorf("%d bytes taken, want the 5000 that were promised", i.BytesReceived)
	}
}
