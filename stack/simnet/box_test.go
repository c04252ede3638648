package simnet

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// back sends from b to a.
func (p *pair) back(segs ...wire.Segment) {
	for _, s := range segs {
		p.mb.out = append(p.mb.out, toySegment{0, s})
	}
	p.sb.Do(func(mono.Time) {})
}

func full(f wire.Flags) wire.Segment {
	s := wire.Segment{Flags: f, Window: 60000, Options: wire.Options{WindowScale: 5, MSS: 1460,
		SACKPermitted: true, Timestamps: true, TSVal: 1}}
	s.SetOther([]byte{30, 4, 1, 2, 34, 2})
	return s
}

func TestStrip(t *testing.T) {
	for kind, want := range map[byte]func(*wire.Options){
		2:  func(o *wire.Options) { o.MSS = 0 },
		3:  func(o *wire.Options) { o.WindowScale = -1 },
		4:  func(o *wire.Options) { o.SACKPermitted = false },
		8:  func(o *wire.Options) { o.Timestamps, o.TSVal = false, 0 },
		30: func(o *wire.Options) { o.SetOther([]byte{34, 2}) },
		31: func(*wire.Options) {},
	} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			p := newPair(t, Shape{}, Strip(kind, SYN, 0))
			p.send(full(wire.SYN), full(wire.SYN|wire.ACK), full(wire.ACK))
			p.Sleep(time.Second)
			untouched := full(0).Options
			stripped := untouched
			want(&stripped)
			for i, w := range []wire.Options{stripped, untouched, untouched} {
				// Other is compared as bytes: what lies behind it is not part of it.
				got := p.mb.got[i].seg.Options
				if !bytes.Equal(got.Other(), w.Other()) {
					t.Errorf("segment %d has options % x, want % x", i, got.Other(), w.Other())
				}
				got.SetOther(nil)
				w.SetOther(nil)
				if fmt.Sprint(got.MSS, got.WindowScale, got.SACKPermitted, got.Timestamps, got.TSVal) !=
					fmt.Sprint(w.MSS, w.WindowScale, w.SACKPermitted, w.Timestamps, w.TSVal) {
					t.Errorf("segment %d has %+v, want %+v", i, got, w)
				}
			}
		})
	}
}

// From a certain time on, and in both directions.
func TestStripLater(t *testing.T) {
	p := newPair(t, Shape{}, Strip(30, Later, time.Second))
	for range 2 {
		p.send(full(wire.ACK))
		p.back(full(wire.ACK), full(wire.SYN|wire.ACK))
		p.Sleep(time.Second)
	}
	var got []int
	for _, a := range append(p.mb.got, p.ma.got...) {
		got = append(got, len(a.seg.Other()))
	}
	if want := []int{6, 2, 6, 6, 2, 6}; !slices.Equal(got, want) {
		t.Errorf("bytes of other options %v, want %v", got, want)
	}
}

func TestRefuse(t *testing.T) {
	p := newPair(t, Shape{}, Refuse(30, SYN))
	plain := full(wire.SYN)
	plain.SetOther(nil)
	p.send(full(wire.SYN), full(wire.ACK), plain)
	p.Sleep(time.Second)
	if len(p.mb.got) != 2 || p.mb.got[0].seg.Flags != wire.ACK {
		t.Errorf("%d arrived", len(p.mb.got))
	}
}

func text(seq int, s string) wire.Segment {
	g := data(seq, 0)
	g.Payload = chunk.Copied(nil, []byte(s))
	return g
}

func (p *pair) texts() (list []string) {
	for _, a := range p.mb.got {
		list = append(list, fmt.Sprintf("%d %s", a.seg.Seq, a.b))
	}
	return
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRewrite(t *testing.T) {
	p := newPair(t, Shape{}, Rewrite([]byte("10.0.0.1"), []byte("192.0.2.")))
	p.send(text(0, "PORT 10.0.0.1,"))
	p.Sleep(time.Second)
	want(t, p.texts(), "0 PORT 192.0.2.,")
}

func TestScramble(t *testing.T) {
	p := newPair(t, Shape{}, Scramble(Forward, time.Second))
	p.send(text(0, "aa"))
	p.Sleep(time.Second)
	p.send(text(2, "aa"), text(4, ""))
	p.Sleep(time.Second)
	want(t, p.texts(), "0 aa", "2 `a", "4 ")
}

func TestSplit(t *testing.T) {
	p := newPair(t, Shape{}, Split(4))
	s := text(0, "abcdefghij")
	s.SetOther([]byte{30, 2})
	p.send(s, text(10, "kl"))
	p.Sleep(time.Second)
	want(t, p.texts(), "0 abcd", "4 efgh", "8 ij", "10 kl")
	if len(p.mb.got[2].seg.Other()) != 2 {
		t.Error("the last piece has no option")
	}
}

func TestCoalesce(t *testing.T) {
	p := newPair(t, Shape{}, Coalesce(time.Millisecond, 8))
	first := text(0, "abc")
	first.SetOther([]byte{30, 2})
	p.send(first, text(3, "de"), text(5, "fgh"), text(8, "i"), text(100, "x"))
	p.Sleep(time.Second)
	want(t, p.texts(), "0 abcdefgh", "8 i", "100 x")
	if len(p.mb.got[0].seg.Other()) != 2 {
		t.Error("the joined segment lost the option of the first")
	}
}

func TestShuffleAndDrop(t *testing.T) {
	p := newPair(t, Shape{Rate: 1e6}, Shuffle(3, 20*time.Millisecond), DropNth(Forward, 1, 5))
	p.many(6)
	p.Sleep(time.Second)
	if got := p.order(); !slices.Equal(got, []int{1, 3, 2, 5}) && !slices.Equal(got, []int{1, 3, 4, 5}) {
		t.Errorf("arrived %v", got)
	}
}

func TestShiftISN(t *testing.T) {
	p := newPair(t, Shape{}, ShiftISN(1000, true))
	p.send(text(5, "x"))
	r := text(0, "")
	r.Ack, r.NSACK, r.SACK[0] = 1006, 1, wire.SACKBlock{Left: 1010, Right: 1020}
	p.back(r)
	p.Sleep(time.Second)
	want(t, p.texts(), "1005 x")
	if g := p.ma.got[0].seg; g.Ack != 6 || g.SACK[0] != (wire.SACKBlock{Left: 10, Right: 20}) {
		t.Errorf("%s %v", &g, g.SACK)
	}
}

func TestClamps(t *testing.T) {
	p := newPair(t, Shape{}, ClampWindow(100), ClampMSS(500), Bleach())
	s := full(wire.ACK)
	s.ECN = 3
	p.send(full(wire.SYN), s)
	p.Sleep(time.Second)
	if a, b := p.mb.got[0].seg, p.mb.got[1].seg; a.Window != 60000 || a.Options.MSS != 500 || b.Window != 100 || b.ECN != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// A middlebox does not repair what was damaged before it.
func TestBoxKeepsDamage(t *testing.T) {
	p := newPair(t, Shape{Corrupt: 1}, Strip(30, All, 0), NewNAT(netip.MustParseAddr("203.0.113.1")), ClampWindow(1))
	for range 20 {
		p.send(full(wire.ACK))
	}
	p.Sleep(time.Second)
	if len(p.mb.got) != 0 || p.b.Stats.Segments != 0 {
		t.Errorf("%d segments with a right checksum", p.b.Stats.Segments)
	}
}

// RFC 3022 §2.2.
func TestNAT(t *testing.T) {
	public := netip.MustParseAddr("203.0.113.1")
	nat := NewNAT(public)
	p := newPair(t, Shape{MTU: 2000}, nat)
	outer := Tuple{p.toA.Local, netip.AddrPortFrom(public, 20001)}
	p.sb.Bind(0, outer)
	p.send(text(0, "to b"))
	p.Sleep(time.Second)
	p.back(text(0, "to a"))
	p.Sleep(time.Second)
	want(t, p.texts(), "0 to b")
	if len(p.ma.got) != 1 || string(p.ma.got[0].b) != "to a" {
		t.Errorf("a got %+v", p.ma.got)
	}
	nat.Forget()
	p.back(text(4, "nobody"))
	p.Sleep(time.Second)
	p.b.Silent = true
	p.send(text(4, "new port"))
	p.Sleep(time.Second)
	if len(p.ma.got) != 1 || len(p.mb.got) != 1 || p.b.Stats.Unknown != 1 {
		t.Errorf("after forgetting: a got %d, b got %d", len(p.ma.got), len(p.mb.got))
	}
}

// errorToy hears of path errors.
type errorToy struct {
	toy
	errors []tcp.PathError
}

func (m *errorToy) Control(_ mono.Time, _ int, e tcp.PathError) { m.errors = append(m.errors, e) }

// RFC 1191 §4: a router says what fits, to the one who sent.
func TestPacketTooBig(t *testing.T) {
	n := New(Seed(t))
	a, b, r := n.Host("a"), n.Host("b"), n.Router("r")
	first := n.Connect(a, r, Shape{}, NewNAT(netip.MustParseAddr("203.0.113.1")))
	second := n.Connect(r, b, Shape{MTU: 1000})
	a.Bind(addrA, first)
	b.Bind(addrB, second)
	m := &errorToy{}
	s := a.Attach(m)
	s.Bind(0, Tuple{netip.AddrPortFrom(addrA, 1), netip.AddrPortFrom(addrB, 2)})
	m.out = []toySegment{{0, data(7, 960)}, {0, data(8, 961)}}
	b.Silent = true
	s.Do(func(mono.Time) {})
	n.Sleep(time.Second)
	if len(m.errors) != 1 || m.errors[0] != (tcp.PathError{Kind: tcp.PacketTooBig, MTU: 1000, Seq: 8}) {
		t.Errorf("%+v", m.errors)
	}
	if b.Stats.Unknown != 1 {
		t.Errorf("%d segments arrived", b.Stats.Unknown)
	}
}

func TestPattern(t *testing.T) {
	whole := make([]byte, 1000)
	Pattern(5).Fill(whole, 0)
	for off := range 40 {
		part := make([]byte, 100)
		Pattern(5).Fill(part, off)
		if !bytes.Equal(part, whole[off:off+100]) {
			t.Fatalf("at offset %d", off)
		}
	}
	other := make([]byte, 1000)
	Pattern(6).Fill(other, 0)
	if bytes.Equal(other[:8], whole[:8]) || bytes.Equal(whole[:8], whole[8:16]) {
		t.Error("patterns repeat")
	}
}
