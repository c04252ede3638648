package simnet

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

var (
	addrA, addrA2 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.65")
	addrB         = netip.MustParseAddr("198.51.100.1")
)

// toy is a machine that sends what it is given and keeps what it gets.
type toy struct {
	out      []toySegment
	got      []arrival
	deadline mono.Time
	woken    []mono.Time
}

type toySegment struct {
	sub int
	seg wire.Segment
}

type arrival struct {
	at  mono.Time
	sub int
	seg wire.Segment
	b   []byte
}

func (m *toy) Receive(now mono.Time, sub int, seg *wire.Segment) {
	a := arrival{at: now, sub: sub, seg: *seg}
	for _, r := range seg.Payload {
		a.b = append(a.b, r.B...)
	}
	chunk.ReleaseAll(seg.Payload)
	a.seg.Payload = nil
	m.got = append(m.got, a)
}
func (m *toy) Advance(now mono.Time) { m.woken, m.deadline = append(m.woken, now), 0 }
func (m *toy) Deadline() mono.Time   { return m.deadline }
func (m *toy) Emit(_ mono.Time, seg *wire.Segment) (int, bool) {
	if len(m.out) == 0 {
		return 0, false
	}
	o := m.out[0]
	m.out = m.out[1:]
	*seg = o.seg
	return o.sub, true
}

func data(seq, n int) wire.Segment {
	b := make([]byte, n)
	Pattern(1).Fill(b, seq)
	s := wire.Segment{Flags: wire.ACK, Options: wire.Options{WindowScale: -1}, Payload: chunk.Copied(nil, b)}
	s.Seq = s.Seq.Add(seq)
	return s
}

// pair is two toys with a link between them.
type pair struct {
	*Net
	a, b     *Host
	ma, mb   *toy
	sa, sb   *Sock
	link     *Link
	toB, toA Tuple
}

func newPair(t *testing.T, s Shape, boxes ...Box) *pair {
	n := New(Seed(t))
	p := &pair{Net: n, a: n.Host("a"), b: n.Host("b"), ma: &toy{}, mb: &toy{}}
	p.link = n.Connect(p.a, p.b, s, boxes...)
	p.a.Bind(addrA, p.link)
	p.b.Bind(addrB, p.link)
	p.toB = Tuple{netip.AddrPortFrom(addrA, 1000), netip.AddrPortFrom(addrB, 80)}
	p.toA = Tuple{p.toB.Remote, p.toB.Local}
	p.sa, p.sb = p.a.Attach(p.ma), p.b.Attach(p.mb)
	p.sa.Bind(0, p.toB)
	p.sb.Bind(0, p.toA)
	t.Cleanup(func() {
		if n.Err() != nil {
			t.Error(n.Err())
		}
		if p.a.Stats.Held+p.b.Stats.Held != 0 {
			t.Errorf("%d and %d packets were not released", p.a.Stats.Held, p.b.Stats.Held)
		}
	})
	return p
}

func (p *pair) send(segs ...wire.Segment) {
	for _, s := range segs {
		p.ma.out = append(p.ma.out, toySegment{0, s})
	}
	p.sa.Do(func(mono.Time) {})
}

// many sends n segments of 1000 bytes of payload, 1040 with headers.
func (p *pair) many(n int) {
	for i := range n {
		p.send(data(i*1000, 1000))
	}
}

// order returns the numbers of the segments that arrived.
func (p *pair) order() []int {
	var list []int
	for _, a := range p.mb.got {
		list = append(list, a.seg.Seq.Sub(0)/1000)
	}
	return list
}

// A packet takes its size divided by the rate, then the delay; the next waits
// for the line.
func TestRateAndDelay(t *testing.T) {
	p := newPair(t, Shape{Rate: 1040 * 8 * 1000, Delay: 50 * time.Millisecond})
	p.many(3)
	p.Sleep(time.Second)
	for i, a := range p.mb.got {
		want := start.Add(50*time.Millisecond + time.Duration(i+1)*time.Millisecond)
		if a.at != want {
			t.Errorf("segment %d came after %v, want %v", i, a.at.Sub(start), want.Sub(start))
		}
		b := make([]byte, 1000)
		Pattern(1).Fill(b, i*1000)
		if !bytes.Equal(a.b, b) {
			t.Errorf("segment %d has other bytes", i)
		}
	}
	if len(p.mb.got) != 3 || p.Elapsed() != time.Second {
		t.Errorf("%d segments, clock at %v", len(p.mb.got), p.Elapsed())
	}
}

func TestTailDrop(t *testing.T) {
	// One packet is on the line, two wait, the rest is dropped.
	p := newPair(t, Shape{Rate: 1e6, Queue: 2 * 1040})
	p.many(10)
	p.Sleep(time.Minute)
	if got := p.order(); !slices.Equal(got, []int{0, 1, 2}) || p.link.Stats(Forward).Dropped != 7 {
		t.Errorf("arrived %v, %+v", got, p.link.Stats(Forward))
	}
}

// RFC 3168 §5: a queue may mark instead, but only what is capable of it.
func TestMarking(t *testing.T) {
	p := newPair(t, Shape{Rate: 1e6, NewQueue: func() Queue { return &TailDrop{Mark: 1500} }})
	for i := range 6 {
		s := data(i*1000, 1000)
		if i%2 == 1 {
			s.ECN = 2
		}
		p.send(s)
	}
	p.Sleep(time.Minute)
	var got []ecn.Codepoint
	for _, a := range p.mb.got {
		got = append(got, a.seg.ECN)
	}
	if want := []ecn.Codepoint{ecn.NotECT, ecn.ECT0, ecn.NotECT, ecn.CE, ecn.NotECT, ecn.CE}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestChance(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name      string
		s         Shape
		low, high int // arrivals out of 1000
		inOrder   bool
		check     func(p *pair) bool
	}{
		{"loss", Shape{Loss: 0.3}, 640, 760, true, func(p *pair) bool { return p.link.Stats(Forward).Lost > 240 }},
		{"all lost", Shape{Loss: 1}, 0, 0, true, func(*pair) bool { return true }},
		{"duplication", Shape{Duplicate: 0.3}, 1240, 1360, false,
			func(p *pair) bool { return p.link.Stats(Forward).Duplicated > 240 }},
		{"damage", Shape{Corrupt: 0.3}, 640, 760, true,
			func(p *pair) bool { return p.b.Stats.Damaged == p.link.Stats(Forward).Damaged }},
		{"jitter", Shape{Rate: 1e7, Delay: 5 * ms, Jitter: 20 * ms}, 1000, 1000, true, func(*pair) bool { return true }},
		{"reordering", Shape{Rate: 1e7, Delay: 5 * ms, Reorder: 0.1, Behind: 20 * ms}, 1000, 1000, false,
			func(*pair) bool { return true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, c.s)
			p.many(1000)
			p.Sleep(time.Minute)
			got := p.order()
			if len(got) < c.low || len(got) > c.high || slices.IsSorted(got) != c.inOrder && c.low <= 1000 || !c.check(p) {
				t.Errorf("%d arrivals, in order %v, %+v, damaged %d", len(got), slices.IsSorted(got),
					p.link.Stats(Forward), p.b.Stats.Damaged)
			}
		})
	}
}

// The same seed gives the same run, another gives another.
func TestReplay(t *testing.T) {
	run := func(seed uint64) string {
		n := New(seed)
		a, b, m := n.Host("a"), n.Host("b"), &toy{}
		l := n.Connect(a, b, Shape{Rate: 1e7, Delay: 1e6, Jitter: 1e6, Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1,
			Reorder: 0.1, Behind: 1e7})
		a.Bind(addrA, l)
		b.Bind(addrB, l)
		b.Silent = true
		var log bytes.Buffer
		n.Trace = func(now mono.Time, where, what string, p *Packet) {
			fmt.Fprintln(&log, now, where, what, p)
		}
		s := a.Attach(m)
		s.Bind(0, Tuple{netip.AddrPortFrom(addrA, 1), netip.AddrPortFrom(addrB, 2)})
		for i := range 100 {
			m.out = append(m.out, toySegment{0, data(i, 10)})
		}
		s.Do(func(mono.Time) {})
		n.Sleep(time.Second)
		return log.String()
	}
	first, again := run(1), run(1)
	if first != again {
		t.Error("two runs of one seed differ")
	}
	if first == run(2) {
		t.Error("two seeds give one run")
	}
}

func TestDown(t *testing.T) {
	p := newPair(t, Shape{Delay: 10 * time.Millisecond})
	var heard []bool
	p.link.OnChange(func(up bool) { heard = append(heard, up) })
	p.send(data(0, 1000))
	p.Sleep(5 * time.Millisecond)
	p.link.SetUp(false) // the first is lost on its way
	p.link.SetUp(false)
	p.send(data(1000, 1000))
	p.link.SetUp(true)
	p.send(data(2000, 1000))
	p.Sleep(time.Second)
	p.link.Silence(true)
	p.send(data(3000, 1000))
	p.Sleep(time.Second)
	p.link.Silence(false)
	p.send(data(4000, 1000))
	p.Sleep(time.Second)
	if got := p.order(); !slices.Equal(got, []int{2, 4}) || !slices.Equal(heard, []bool{false, true}) {
		t.Errorf("arrived %v, heard %v", got, heard)
	}
}

// A machine with two addresses on two links reaches one server over both.
func TestTwoPaths(t *testing.T) {
	n := New(Seed(t))
	a, b, r := n.Host("a"), n.Host("b"), n.Router("r")
	wifi := n.Connect(a, r, Shape{Delay: 10 * time.Millisecond})
	cell := n.Connect(a, r, Shape{Delay: 30 * time.Millisecond})
	core := n.Connect(r, b, Shape{Delay: 5 * time.Millisecond})
	a.Bind(addrA, wifi)
	a.Bind(addrA2, cell)
	b.Bind(addrB, core)
	ma, mb := &toy{}, &toy{}
	sa, sb := a.Attach(ma), b.Attach(mb)
	server := netip.AddrPortFrom(addrB, 80)
	for sub, addr := range []netip.Addr{addrA, addrA2} {
		local := netip.AddrPortFrom(addr, 1000)
		sa.Bind(sub, Tuple{local, server})
		sb.Bind(sub, Tuple{server, local})
	}
	for sub := range 2 {
		ma.out = append(ma.out, toySegment{sub, data(0, 10)})
		mb.out = append(mb.out, toySegment{sub, data(0, 10)})
	}
	sa.Do(func(mono.Time) {})
	sb.Do(func(mono.Time) {})
	n.Sleep(time.Second)
	for _, m := range []*toy{ma, mb} {
		if len(m.got) != 2 || m.got[0].sub != 0 || m.got[0].at != start.Add(15*time.Millisecond) ||
			m.got[1].sub != 1 || m.got[1].at != start.Add(35*time.Millisecond) {
			t.Errorf("%+v", m.got)
		}
	}
	if n.Err() != nil {
		t.Error(n.Err())
	}
}

// RFC 9293 §3.10.7.1, and the hook that comes before it.
func TestUnknownTuple(t *testing.T) {
	p := newPair(t, Shape{})
	p.sb.Unbind(0)
	s := data(0, 5)
	s.Ack = 77
	p.send(s)
	p.Sleep(time.Second)
	if len(p.ma.got) != 1 || p.ma.got[0].seg.Flags != wire.RST || p.ma.got[0].seg.Seq != 77 {
		t.Errorf("answer %+v", p.ma.got)
	}
	p.b.Unknown = func(now mono.Time, tuple Tuple, seg *wire.Segment) bool {
		if tuple != p.toA || seg.Len() != 6 {
			t.Errorf("hook got %v, %s", tuple, seg)
		}
		chunk.ReleaseAll(seg.Payload)
		return true
	}
	p.send(data(0, 6))
	p.Sleep(time.Second)
	if len(p.ma.got) != 1 {
		t.Errorf("a segment the hook took was answered: %+v", p.ma.got[1:])
	}
}

// A super-segment is cut at its MSS: PSH and FIN on the last piece, CWR on the
// first (RFC 3168 §6.1.2).
func TestSuperSegment(t *testing.T) {
	p := newPair(t, Shape{})
	s := data(0, 2500)
	s.MSS, s.Flags = 1000, wire.ACK|wire.PSH|wire.FIN|wire.CWR
	s.SetOther([]byte{30, 3, 9})
	p.send(s)
	p.Sleep(time.Second)
	var all []byte
	for i, want := range []wire.Flags{wire.ACK | wire.CWR, wire.ACK, wire.ACK | wire.PSH | wire.FIN} {
		a := p.mb.got[i]
		if a.seg.Flags != want || a.seg.Seq.Sub(0) != i*1000 || !bytes.Equal(a.seg.Other(), []byte{30, 3, 9}) {
			t.Errorf("piece %d: %s", i, &a.seg)
		}
		all = append(all, a.b...)
	}
	b := make([]byte, 2500)
	Pattern(1).Fill(b, 0)
	if !bytes.Equal(all, b) {
		t.Error("other bytes")
	}
}

func TestJoin(t *testing.T) {
	p := newPair(t, Shape{Rate: 1e8})
	p.b.JoinFor(time.Millisecond)
	p.many(4)
	odd := data(4000, 500)
	p.send(odd, data(4500, 1000)) // a short one ends the joined segment
	p.Sleep(time.Second)
	var got []string
	at := 0
	for _, a := range p.mb.got {
		got = append(got, fmt.Sprintf("%d+%d/%d", a.seg.Seq, len(a.b), a.seg.MSS))
		b := make([]byte, len(a.b))
		Pattern(1).Fill(b, at)
		if !bytes.Equal(a.b[:min(500, len(b))], b[:min(500, len(b))]) {
			t.Errorf("other bytes at %d", at)
		}
		at += len(b)
	}
	if want := []string{"0+4500/1000", "4500+1000/0"}; !slices.Equal(got, want) {
		t.Errorf("joined to %v, want %v", got, want)
	}
}

func TestDeadlines(t *testing.T) {
	p := newPair(t, Shape{})
	at := start.Add(time.Hour)
	p.sa.Do(func(mono.Time) { p.ma.deadline = at.Add(time.Hour) })
	p.sa.Do(func(mono.Time) { p.ma.deadline = at })
	p.Sleep(3 * time.Hour)
	if !slices.Equal(p.ma.woken, []mono.Time{at}) {
		t.Errorf("woken at %v", p.ma.woken)
	}
	p.sa.Do(func(mono.Time) { p.ma.deadline = at }) // past: at once
	if len(p.ma.woken) != 2 || p.Err() != nil {
		t.Errorf("woken %v, %v", p.ma.woken, p.Err())
	}
}

// stuck never lets its deadline go.
type stuck struct{ toy }

func (*stuck) Advance(mono.Time)   {}
func (*stuck) Deadline() mono.Time { return 1 }

func TestNoticesAStuckDeadline(t *testing.T) {
	n := New(1)
	n.Host("a").Attach(&stuck{}).Do(func(mono.Time) {})
	if n.Err() == nil {
		t.Error("a deadline in the past went unnoticed")
	}
}
