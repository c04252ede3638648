package tcp_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// FuzzConn throws segments, calls and time at a connection. It must never
// panic, keep its invariants, never move the right edge of its window left
// (RFC 9293 §3.8.6), and never leave a deadline behind it.
func FuzzConn(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	f.Add([]byte("\x01\x10\x40\x05\x00\x00\x20\x10\x00\x00\x40\x10\x00\x00\x80\x10"))
	f.Add([]byte("\x00\x12\x00\x00\x10\x18\x10\x00\x20\x11\x10\x00\x30\x04\x00\x00\x50\x00\x07\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fz := newFuzzed(t, data)
		for len(fz.data) > 0 {
			fz.step()
			fz.pump()
		}
		for range 200 { // and let it run dry
			d := fz.s.Deadline()
			if d == 0 {
				break
			}
			fz.now = d
			fz.s.Advance(fz.now)
			fz.pump()
		}
	})
}

type fuzzed struct {
	t    *testing.T
	data []byte
	now  mono.Time
	s    *tcp.Stream
	una  seq.Num // what the connection sent up to
	rcv  seq.Num // what it acknowledged
	edge seq.Num
	told bool
	buf  [5000]byte
}

func newFuzzed(t *testing.T, data []byte) *fuzzed {
	fz := &fuzzed{t: t, data: data, now: mono.Time(time.Hour)}
	b := fz.byte()
	cfg := tcp.Config{
		Local: netip.MustParseAddrPort("192.0.2.1:1"), Remote: netip.MustParseAddrPort("192.0.2.2:2"),
		ISS: 0xfffffff0, MTU: 600 + int(b)*8,
	}
	cfg.NoSACK, cfg.NoTimestamps, cfg.NoRACK, cfg.NoDelay = b&1 != 0, b&2 != 0, b&4 != 0, b&8 != 0
	if b&16 != 0 {
		cfg.MaxSuper = 64 << 10
	}
	if b&32 != 0 {
		cfg.KeepAlive.Idle = time.Second
	}
	fz.s = tcp.NewStream(cfg)
	if b&64 != 0 {
		fz.s.Conn.Listen()
	} else {
		fz.s.Conn.Open(fz.now)
	}
	fz.una, fz.rcv = cfg.ISS, 0
	fz.pump()
	return fz
}

func (fz *fuzzed) byte() byte {
	if len(fz.data) == 0 {
		return 0
	}
	b := fz.data[0]
	fz.data = fz.data[1:]
	return b
}

func (fz *fuzzed) num() int {
	return int(int16(binary.BigEndian.Uint16([]byte{fz.byte(), fz.byte()})))
}

// step does one thing.
func (fz *fuzzed) step() {
	switch op := fz.byte(); op % 16 {
	case 0:
		_, _ = fz.s.Write(fz.now, fz.buf[:fz.byte()])
	case 1:
		_, _ = fz.s.Write(fz.now, fz.buf[:])
	case 2:
		_, _ = fz.s.Read(fz.now, fz.buf[:int(fz.byte())*8])
	case 3:
		fz.now = fz.now.Add(time.Duration(fz.byte()) * time.Millisecond)
	case 4:
		if d := fz.s.Deadline(); d != 0 {
			fz.now = max(fz.now, d)
		}
	case 5:
		fz.s.Shutdown(fz.now, tcp.How(fz.byte()%4))
	case 6:
		fz.s.Control(fz.now, 0, tcp.PathError{Kind: tcp.PathErrorKind(fz.byte() % 3), MTU: fz.num(), Seq: fz.una.Add(-1)})
	case 7:
		if fz.byte() == 7 {
			fz.s.Abort(fz.now)
		}
		fz.s.Conn.Probe(fz.now)
	default:
		fz.receive(op)
	}
	if fz.s.Deadline().Reached(fz.now) {
		fz.s.Advance(fz.now)
	}
}

// receive makes a segment that is near the truth.
func (fz *fuzzed) receive(op byte) {
	seg := new(wire.Segment)
	seg.Reset()
	seg.Flags = wire.Flags(fz.byte())
	if op&64 != 0 {
		seg.Flags = wire.ACK
	}
	seg.Seq, seg.Ack = fz.rcv, fz.una
	if op&16 != 0 {
		seg.Seq = seg.Seq.Add(fz.num())
	}
	if op&32 != 0 {
		seg.Ack = seg.Ack.Add(-int(fz.byte()) * 100)
	}
	seg.Window = uint16(fz.byte()) << 8
	if n := int(fz.byte()) * 16; op&128 != 0 {
		c := chunk.New(n)
		seg.Payload = append(seg.Payload, c.Own(0, n))
		seg.MSS = uint16(fz.byte()) * 4
	}
	if seg.Flags.Has(wire.SYN) {
		seg.Options.MSS, seg.SACKPermitted, seg.WindowScale = uint16(fz.byte())*6, true, int8(fz.byte()%16)
	}
	if b := fz.byte(); b != 0 {
		seg.Timestamps, seg.TSVal, seg.TSEcr = true, uint32(fz.now/1e6)+uint32(b), uint32(fz.now/1e6)-uint32(b)
	}
	for range fz.byte() % 5 {
		l := seg.Ack.Add(fz.num())
		if seg.NSACK < 4 {
			seg.SACK[seg.NSACK] = wire.SACKBlock{Left: l, Right: l.Add(fz.num())}
			seg.NSACK++
		}
	}
	seg.ECN = ecn.Codepoint(op & 3)
	fz.s.Receive(fz.now, 0, seg)
}

func (fz *fuzzed) pump() {
	for n := 0; ; n++ {
		var seg wire.Segment
		if _, ok := fz.s.Emit(fz.now, &seg); !ok {
			break
		}
		if n > 20000 {
			fz.t.Fatal("Emit goes on for ever")
		}
		if used := wire.OptionLen(&seg.Options); used > wire.MaxOptions {
			fz.t.Fatalf("%d bytes of options", used)
		}
		fz.check(&seg)
		for _, r := range seg.Payload {
			r.Release()
		}
	}
	if err := fz.s.Conn.Check(); err != nil {
		fz.t.Fatal(err)
	}
	if d := fz.s.Deadline(); d != 0 && d <= fz.now {
		fz.t.Fatalf("deadline %v at %v", d, fz.now)
	}
}

func (fz *fuzzed) check(seg *wire.Segment) {
	if seg.Flags.Has(wire.RST) {
		return
	}
	fz.una = seq.Max(fz.una, seg.Seq.Add(seg.SeqLen()))
	if !seg.Flags.Has(wire.ACK) {
		return
	}
	i := fz.s.Conn.Info()
	w := int(seg.Window)
	if !seg.Flags.Has(wire.SYN) {
		w <<= i.RcvShift
	}
	edge := seg.Ack.Add(w)
	if seg.Flags.Has(wire.SYN) {
		fz.told = false
	}
	if fz.told && edge.Before(fz.edge) {
		fz.t.Fatalf("the right edge moved left by %d", fz.edge.Sub(edge))
	}
	fz.rcv, fz.edge, fz.told = seg.Ack, edge, true
}
