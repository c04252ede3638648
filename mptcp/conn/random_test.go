package conn

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// drawShape draws one path.
func drawShape(t *rapid.T) simnet.Shape {
	s := simnet.Shape{
		Rate:  rapid.SampledFrom([]int{500e3, 5e6, 50e6}).Draw(t, "rate"),
		Delay: rapid.SampledFrom([]time.Duration{0, time.Millisecond, 20 * time.Millisecond, 150 * time.Millisecond}).Draw(t, "delay"),
		Queue: rapid.SampledFrom([]int{15_000, 60_000, 300_000}).Draw(t, "queue"),
	}
	if rapid.Bool().Draw(t, "imperfect") {
		s.Loss = rapid.SampledFrom([]float64{0, 0.01, 0.05}).Draw(t, "loss")
		s.Duplicate = rapid.SampledFrom([]float64{0, 0.02}).Draw(t, "duplicate")
		s.Reorder = rapid.SampledFrom([]float64{0, 0.05}).Draw(t, "reorder")
		s.Behind = s.Delay/2 + time.Millisecond
		s.Corrupt = rapid.SampledFrom([]float64{0, 0.01}).Draw(t, "corrupt")
	}
	return s
}

// drawBoxes draws what sits on a path. Options may vanish in mid-connection
// unless spared: with several subflows one must keep them, or neither MPTCP nor
// fallback is possible (RFC 8684 §3.7).
func drawBoxes(t *rapid.T, spared bool) []simnet.Box {
	since := time.Duration(rapid.IntRange(0, 1000).Draw(t, "since")) * time.Millisecond
	if spared {
		since = 0
	}
	switch rapid.IntRange(0, 11).Draw(t, "box") {
	case 0:
		return []simnet.Box{simnet.Strip(option.Kind, simnet.Which(rapid.IntRange(1, 7).Draw(t, "which")), since)}
	case 1:
		return []simnet.Box{oneWay(simnet.Direction(rapid.IntRange(0, 1).Draw(t, "way")), simnet.Later, since)}
	case 2:
		return []simnet.Box{simnet.Split(rapid.IntRange(100, 1000).Draw(t, "split"))}
	case 3:
		return []simnet.Box{simnet.ShiftISN(rapid.Int().Draw(t, "shift"), true)}
	case 4:
		return []simnet.Box{simnet.ClampMSS(700)}
	case 5:
		return []simnet.Box{simnet.Strip(8, simnet.All, 0)} // timestamps
	case 6:
		return []simnet.Box{simnet.Strip(4, simnet.All, 0), simnet.Strip(5, simnet.All, 0)} // SACK
	case 7:
		return []simnet.Box{simnet.Shuffle(7, 3*time.Millisecond)}
	}
	return nil
}

// Whatever the network does short of ceasing to exist: bytes out are bytes in,
// in order, once; nothing is data-acked before it arrived; connections end.
// (world.check and world.run hold that.)
func TestRandomNetworks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(rt, "paths")
		s := setup{
			up:     rapid.SampledFrom([]int{0, 1, 1000, 60_000, 700_000}).Draw(rt, "up"),
			down:   rapid.SampledFrom([]int{0, 1, 1000, 60_000, 700_000}).Draw(rt, "down"),
			super:  rapid.SampledFrom([]int{1, 9000, 64000}).Draw(rt, "super"),
			client: drawConfig(rt, "client"), server: drawConfig(rt, "server"),
		}
		for i := range n {
			s.paths = append(s.paths, drawShape(rt))
			s.boxes = append(s.boxes, drawBoxes(rt, i == 0 && n > 1))
		}
		w := seededWorld(fatal{t, rt}, rapid.Uint64().Draw(rt, "seed"), s)
		w.dial()
		// Of several paths any but one may die for a while, notified or not.
		for i := 1; i < n; i++ {
			drawTrouble(rt, w, i)
		}
		w.run(20 * time.Minute)
		w.finish()
	})
}

func drawConfig(t *rapid.T, name string) func(*Config) {
	sum := rapid.Bool().Draw(t, name+" checksum")
	window := rapid.SampledFrom([]int{0, 20_000, 200_000}).Draw(t, name+" window")
	return func(c *Config) {
		c.Checksum = sum
		c.Tuning.MaxWindow = window
	}
}

func drawTrouble(t *rapid.T, w *world, path int) {
	at := time.Duration(rapid.IntRange(1, 2000).Draw(t, "at")) * time.Millisecond
	back := time.Duration(rapid.IntRange(10, 5000).Draw(t, "back")) * time.Millisecond
	tell := func(kind policy.EventKind) {
		w.client.sock.Do(func(now mono.Time) {
			w.client.conn.Path(now, policy.Event{Kind: kind, Address: localAddress(path)})
		})
	}
	switch rapid.IntRange(0, 3).Draw(t, "trouble") {
	case 0:
		w.After(at, func() { w.links[path].Silence(true) })
		w.After(at+back, func() { w.links[path].Silence(false) })
	case 1:
		w.After(at, func() { w.links[path].SetUp(false); tell(policy.LocalRemoved) })
		w.After(at+back, func() { w.links[path].SetUp(true); tell(policy.LocalAdded) })
	case 2:
		w.After(at, func() { tell(policy.LocalRemoved) })
	}
}

// fatal lets a world fail a rapid test, so that it is shrunk.
type fatal struct {
	testing.TB
	rt *rapid.T
}

func (f fatal) Helper()                         {}
func (f fatal) Fatalf(s string, args ...any)    { f.rt.Fatalf(s, args...) }
func (f fatal) Fatal(args ...any)               { f.rt.Fatal(args...) }
func (f fatal) Errorf(s string, args ...any)    { f.rt.Errorf(s, args...) }
func (f fatal) Logf(format string, args ...any) { f.rt.Logf(format, args...) }

// FuzzMachine throws segments with arbitrary options at a connection in the
// middle of its life: it must neither panic nor emit without end, and what the
// application reads is never more than what was sent.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 0, 30, 12, 0x20, 0x01, 1, 2, 3, 4})
	f.Add([]byte{1, 0x10, 20, 30, 4, 0x80, 1, 30, 12, 0x70, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{2, 0x11, 9, 30, 20, 0x20, 0x1f, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 9, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := seededWorld(t, 1, setup{up: 50_000, down: 50_000, keepOpen: true})
		w.dial()
		w.Sleep(300 * time.Millisecond)
		for len(data) > 3 {
			data = throw(w, data)
			w.Sleep(20 * time.Millisecond)
			if err := w.Err(); err != nil {
				t.Fatal(err)
			}
		}
		w.Sleep(10 * time.Second)
		if err := w.Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// throw makes a segment of the first bytes of data, right in sequence for the
// machine it is for, and delivers it.
func throw(w *world, data []byte) []byte {
	which, flags, n := data[0], wire.Flags(data[1])|wire.ACK, int(data[2])
	data = data[3:]
	to, from := &w.server, &w.client
	if which&1 != 0 {
		to, from = from, to
	}
	id := policy.Subflow(which >> 1 & 1)
	s := to.conn.sub(id)
	peer := from.conn.sub(id)
	if s == nil || peer == nil || s.tcp.State() == tcp.SynSent {
		return data
	}
	seg := lastSegment(w.Now(), peer)
	seg.Flags = flags
	opts := data[:min(len(data), 20)]
	data = data[len(opts):]
	var good []byte
	for len(opts) > 1 {
		l := min(max(int(opts[1]), 2), len(opts))
		o := append([]byte{option.Kind, byte(l)}, opts[2:l]...)
		if len(good)+len(o) <= 24 {
			good = append(good, o...)
		}
		opts = opts[l:]
	}
	seg.SetOther(good)
	seg.Payload = payload(n)
	to.sock.Do(func(now mono.Time) { to.conn.Receive(now, int(id), &seg) })
	return data
}
