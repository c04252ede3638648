package simnet_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// TestZoo runs connections made at random through middleboxes drawn at random,
// one after the other, until they have lived for the virtual time that
// SENNIT_ZOO says (an hour by default). The bytes arrive, in order, once;
// nothing is acknowledged before it arrived; no machine spins; both ends close.
//
// Each connection has a seed of its own, drawn from that of the test: a failure
// names it, and SENNIT_ZOO_ONLY replays it alone.
func TestZoo(t *testing.T) {
	amount := time.Hour
	if s := os.Getenv("SENNIT_ZOO"); s != "" {
		var err error
		if amount, err = time.ParseDuration(s); err != nil {
			t.Fatalf("SENNIT_ZOO: %v", err)
		}
	}
	if s := os.Getenv("SENNIT_ZOO_ONLY"); s != "" {
		seed, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatalf("SENNIT_ZOO_ONLY: %v", err)
		}
		keep(t, seed)
		return
	}
	rng := rand.New(rand.NewPCG(simnet.Seed(t), 0x200))
	var lived time.Duration
	connections, bytes := 0, 0
	begin, told := time.Now(), time.Now()
	for lived < amount && !t.Failed() {
		took, n := keep(t, rng.Uint64())
		// Lingering in TIME-WAIT is not counted.
		lived += took
		bytes += n
		connections++
		if time.Since(told) > time.Minute {
			told = time.Now()
			fmt.Printf("zoo: %v of %v, %d connections, %d bytes\n", lived.Round(time.Second), amount, connections, bytes)
		}
	}
	t.Logf("%v of virtual time in %v: %d connections, %d bytes", lived.Round(time.Second),
		time.Since(begin).Round(time.Second), connections, bytes)
}

// visitor is the test as one connection sees it: failures name its seed and
// what it went through.
type visitor struct {
	*testing.T
	about string
}

func (v visitor) Fatalf(f string, args ...any) {
	v.T.Helper()
	v.T.Fatalf("%s\n%s", v.about, fmt.Sprintf(f, args...))
}

func (v visitor) Errorf(f string, args ...any) {
	v.T.Helper()
	v.T.Errorf("%s\n%s", v.about, fmt.Sprintf(f, args...))
}

// keep runs the connection of one seed and returns how long it took and how
// many bytes it carried.
func keep(t *testing.T, seed uint64) (time.Duration, int) {
	t.Helper()
	z := zoo{rand.New(rand.NewPCG(seed, 0x201))}
	s, names := z.setup()
	v := visitor{t, fmt.Sprintf("SENNIT_ZOO_ONLY=%d: %s", seed, strings.Join(names, ", "))}
	w := newWorld(v, seed, s)
	z.manners(w)
	z.weather(w)
	took := w.run(6 * time.Hour)
	return took, s.up + s.down
}

// zoo draws.
type zoo struct{ *rand.Rand }

func (z zoo) one(in int) bool { return z.IntN(in) == 0 }

func (z zoo) span(most time.Duration) time.Duration { return time.Duration(z.Int64N(int64(most) + 1)) }

func pick[T any](z zoo, from ...T) T { return from[z.IntN(len(from))] }

func (z zoo) setup() (setup, []string) {
	s := setup{to: z.shape(), from: z.shape(), v6: z.one(2), join: z.span(5 * ms),
		up: z.amount(), down: z.amount(), client: z.config(), server: z.config()}
	names := []string{fmt.Sprintf("to %+v", s.to), fmt.Sprintf("from %+v", s.from)}
	for range 1 + z.IntN(4) {
		a := animals[z.IntN(len(animals))]
		box, what := a.box(z)
		s.boxes = append(s.boxes, box...)
		s.bulk = s.bulk || a.blind
		if a.blind {
			// The client may take 254 bytes for the whole window: little data, or
			// it takes days.
			s.up, s.down = min(s.up, 50e3), min(s.down, 50e3)
		}
		names = append(names, a.name+" "+what)
	}
	return s, append(names, fmt.Sprintf("up %d down %d", s.up, s.down))
}

func (z zoo) amount() int {
	switch z.IntN(4) {
	case 0:
		return z.IntN(3)
	case 1:
		return z.IntN(5000)
	case 2:
		return z.IntN(100e3)
	}
	return z.IntN(1e6)
}

func (z zoo) shape() simnet.Shape {
	share := func(most float64) float64 {
		if z.one(2) {
			return 0
		}
		return z.Float64() * most
	}
	return simnet.Shape{
		Rate:  pick[int](z, 0, 256e3, 1e6, 10e6, 100e6, 1e9),
		Delay: pick(z, z.span(ms), z.span(50*ms), z.span(300*ms), z.span(2*time.Second)),
		Queue: pick[int](z, 0, 10e3, 50e3, 1e6),
		Loss:  share(0.1), Corrupt: share(0.05), Duplicate: share(0.3),
		Jitter: z.span(50 * ms), Reorder: share(0.3), Behind: z.span(300 * ms),
	}
}

func (z zoo) config() func(*tcp.Config) {
	c := tcp.Config{ISS: seq.Num(z.Uint32()), MaxSuper: pick(z, 0, 2000, 10000, 64000), MTU: pick(z, 576, 1280, 1500, 9000)}
	tuning := tcp.Tuning{NoDelay: z.one(2), NoSACK: z.one(4), NoTimestamps: z.one(4), NoWindowScale: z.one(4), NoRACK: z.one(4),
		NoPacing: z.one(4), MaxWindow: pick(z, 0, 0, 5000, 65535, 1<<20), SendBuffer: pick(z, 0, 0, 3000, 100000)}
	controller := pick(z, nil, cc.NewReno, cc.NewBBR)
	return func(to *tcp.Config) {
		to.ISS, to.MaxSuper, to.MTU, to.Tuning = c.ISS, c.MaxSuper, c.MTU, tuning
		if controller != nil {
			to.NewController = controller
		}
	}
}

// manners makes the applications pause in reading, and write in small pieces.
func (z zoo) manners(w *world) {
	w.client.talker.Pause = z.pauses(w, func() *end { return &w.client })
	pause, most := z.pauses(w, func() *end { return &w.server }), z.most()
	w.client.talker.Most = z.most()
	w.After(0, func() { z.whenAccepted(w, func() { w.server.talker.Pause, w.server.talker.Most = pause, most }) })
}

// whenAccepted calls f once the server has a connection.
func (z zoo) whenAccepted(w *world, f func()) {
	if w.server.talker != nil {
		f()
		return
	}
	if w.Elapsed() < time.Hour {
		w.After(10*ms, func() { z.whenAccepted(w, f) })
	}
}

func (z zoo) most() int { return pick(z, 0, 0, 0, 1, 100, 3000) }

// pauses returns when an application does not read: up to three times, for up
// to a minute and a half.
func (z zoo) pauses(w *world, e func() *end) func(mono.Time) bool {
	if z.one(2) {
		return nil
	}
	type pause struct{ from, to time.Duration }
	var ps []pause
	for range z.IntN(3) + 1 {
		from := z.span(10 * time.Second)
		p := pause{from, from + pick(z, z.span(time.Second), z.span(90*time.Second))}
		ps = append(ps, p)
		w.After(p.to, func() {
			if e().sock != nil {
				e().sock.Do(func(mono.Time) {})
			}
		})
	}
	return func(mono.Time) bool {
		now := w.Elapsed()
		for _, p := range ps {
			if now >= p.from && now < p.to {
				return true
			}
		}
		return false
	}
}

// weather changes the link while it is in use: silence, other rates and delays,
// packets of the peer that come from another route.
func (z zoo) weather(w *world) {
	if z.one(2) {
		return
	}
	for range z.IntN(3) + 1 {
		at := z.span(20 * time.Second)
		switch z.IntN(3) {
		case 0:
			w.After(at, func() { w.link.Silence(true) })
			w.After(at+pick(z, z.span(time.Second), z.span(time.Minute)), func() { w.link.Silence(false) })
		case 1:
			d, s := simnet.Direction(z.IntN(2)), z.shape()
			w.After(at, func() { w.link.Reshape(d, s) })
		case 2:
			w.After(at, func() { w.link.SetUp(false) })
			w.After(at+z.span(30*time.Second), func() { w.link.SetUp(true) })
		}
	}
}

// animal is one kind of middlebox.
type animal struct {
	name string
	box  func(zoo) ([]simnet.Box, string)
	// blind: it makes the two ends disagree on windows, so what one sends
	// cannot be held against what the other offered.
	blind bool
}

func boxes(what string, b ...simnet.Box) ([]simnet.Box, string) { return b, what }

var animals = []animal{
	{name: "strip from SYN", box: func(z zoo) ([]simnet.Box, string) {
		kind := pick[byte](z, 2, 3, 4, 8)
		return boxes(fmt.Sprint(kind), simnet.Strip(kind, simnet.SYN, 0))
	}},
	{name: "strip from SYN-ACK", blind: true, box: func(z zoo) ([]simnet.Box, string) {
		kind := pick[byte](z, 2, 3, 4, 8)
		return boxes(fmt.Sprint(kind), simnet.Strip(kind, simnet.SYNACK, 0))
	}},
	{name: "strip all", box: func(z zoo) ([]simnet.Box, string) {
		kind := pick[byte](z, 2, 3, 4, 8)
		return boxes(fmt.Sprint(kind), simnet.Strip(kind, simnet.SYN|simnet.SYNACK, 0))
	}},
	{name: "strip SACK blocks", box: func(z zoo) ([]simnet.Box, string) {
		since := z.span(3 * time.Second)
		return boxes(since.String(), simnet.Strip(5, simnet.Later, since))
	}},
	{name: "shift ISN", box: func(z zoo) ([]simnet.Box, string) {
		by, sack := int(int32(z.Uint32())), z.one(2)
		return boxes(fmt.Sprint(by, sack), simnet.ShiftISN(by, sack))
	}},
	{name: "clamp MSS", box: func(z zoo) ([]simnet.Box, string) {
		most := uint16(88 + z.IntN(1400))
		return boxes(fmt.Sprint(most), simnet.ClampMSS(most))
	}},
	{name: "clamp window", blind: true, box: func(z zoo) ([]simnet.Box, string) {
		most := uint16(2000 + z.IntN(60000))
		return boxes(fmt.Sprint(most), simnet.ClampWindow(most))
	}},
	{name: "shift timestamps", box: func(z zoo) ([]simnet.Box, string) {
		by := z.Uint32()
		return boxes(fmt.Sprint(by), shiftTimestamps(by))
	}},
	{name: "split", box: func(z zoo) ([]simnet.Box, string) {
		size := 100 + z.IntN(1000) // smaller: the pieces of one segment overflow a queue
		return boxes(fmt.Sprint(size), simnet.Split(size))
	}},
	{name: "coalesce", box: func(z zoo) ([]simnet.Box, string) {
		wait, size := z.span(20*ms), 1000+z.IntN(60000)
		return boxes(fmt.Sprint(wait, size), simnet.Coalesce(wait, size))
	}},
	{name: "shuffle", box: func(z zoo) ([]simnet.Box, string) {
		nth, by := 1+z.IntN(20), z.span(200*ms)
		return boxes(fmt.Sprint(nth, by), simnet.Shuffle(nth, by))
	}},
	{name: "thin ACKs", box: func(z zoo) ([]simnet.Box, string) {
		wait := z.span(20 * ms)
		return boxes(wait.String(), thinACKs(wait))
	}},
	{name: "echoes of the past", box: func(z zoo) ([]simnet.Box, string) {
		nth, by := 2+z.IntN(20), z.span(30*time.Second)
		return boxes(fmt.Sprint(nth, by), echoes(nth, by))
	}},
	{name: "flip reserved bits", box: func(zoo) ([]simnet.Box, string) { return boxes("", scribble()) }},
	{name: "add options", box: func(z zoo) ([]simnet.Box, string) {
		kind := pick[byte](z, 30, 28, 34, 69, 253)
		return boxes(fmt.Sprint(kind), addOption(kind))
	}},
}

// shiftTimestamps moves the client's timestamp clock, as privacy boxes do.
func shiftTimestamps(by uint32) simnet.Box {
	return simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		switch {
		case !s.Timestamps:
		case d == simnet.Forward:
			s.TSVal += by
		case s.Flags.Has(wire.ACK):
			s.TSEcr -= by
		}
	})
}

// thinACKs lets only the newest of the pure ACKs pass that come within wait, as
// boxes on slow return paths do.
func thinACKs(wait time.Duration) simnet.Box {
	var held [2]*simnet.Packet
	return simnet.BoxFunc(func(n *simnet.Net, d simnet.Direction, p *simnet.Packet, pass simnet.Pass) {
		var s wire.Segment
		if p.Error != nil || !p.Parse(&s) || s.SeqLen() > 0 || s.Flags.Has(wire.RST) {
			pass(d, p)
			return
		}
		if held[d] == nil {
			n.After(wait, func() {
				last := held[d]
				held[d] = nil
				pass(d, last)
			})
		}
		held[d] = p
	})
}

// echoes brings every nth packet a second time, much later.
func echoes(nth int, by time.Duration) simnet.Box {
	count := 0
	return simnet.BoxFunc(func(n *simnet.Net, d simnet.Direction, p *simnet.Packet, pass simnet.Pass) {
		if count++; count%nth == 0 {
			late := p.Clone()
			n.After(by, func() { pass(d, late) })
		}
		pass(d, p)
	})
}

// scribble pushes everything and sets flags of ECN that nobody negotiated.
func scribble() simnet.Box {
	return simnet.Editor(func(now mono.Time, _ simnet.Direction, s *wire.Segment) {
		if !s.Flags.Has(wire.SYN) {
			s.Flags ^= wire.PSH
			if now%3 == 0 {
				s.Flags |= wire.CWR | wire.ECE
			}
		}
	})
}

// addOption appends an option that nobody knows, where there is room.
func addOption(kind byte) simnet.Box {
	return simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
		if s.HeaderLen() <= 48 {
			s.SetOther(append(append([]byte(nil), s.Other()...), kind, 8, 1, 2, 3, 4, 5, 6))
		}
	})
}
