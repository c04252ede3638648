package tcp

import (
	"bytes"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// loop is two streams joined by a delay line, for smoke tests of the machine
// alone.
type loop struct {
	t     *testing.T
	now   mono.Time
	delay time.Duration
	ends  [2]*Stream
	line  []inTransit
	drop  func(from int, seg *wire.Segment) bool
	count int
}

type inTransit struct {
	at  mono.Time
	to  int
	seg *wire.Segment
}

func pair(t *testing.T, tune func(i int, c *Config)) *loop {
	l := &loop{t: t, now: mono.Time(time.Hour), delay: 5 * time.Millisecond}
	addr := [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:80")}
	for i := range l.ends {
		cfg := Config{Local: addr[i], Remote: addr[1-i], ISS: 0xfffff000, TSOffset: 77, MTU: 1500}
		if tune != nil {
			tune(i, &cfg)
		}
		l.ends[i] = NewStream(cfg)
	}
	l.ends[0].Conn.Open(l.now)
	l.ends[1].Conn.Listen()
	return l
}

// pump takes what an end has to say.
func (l *loop) pump() {
	for i, e := range l.ends {
		for n := 0; ; n++ {
			seg := new(wire.Segment)
			if _, ok := e.Emit(l.now, seg); !ok {
				break
			}
			if n > 100000 {
				l.t.Fatal("Emit does not end")
			}
			l.count++
			if used := wire.OptionLen(&seg.Options); used > wire.MaxOptions {
				l.t.Fatalf("%d bytes of options", used)
			}
			if l.drop != nil && l.drop(i, seg) {
				for _, r := range seg.Payload {
					r.Release()
				}
				continue
			}
			l.line = append(l.line, inTransit{l.now.Add(l.delay), 1 - i, seg})
		}
		if d := e.Deadline(); d != 0 && d <= l.now {
			l.t.Fatalf("end %d: deadline %v is not after now %v", i, d, l.now)
		}
	}
}

// step moves to the next thing that happens; false: nothing ever will.
func (l *loop) step() bool {
	l.pump()
	var next mono.Time
	if len(l.line) > 0 {
		next = l.line[0].at
	}
	for _, e := range l.ends {
		next = mono.Earliest(next, e.Deadline())
	}
	if next == 0 {
		return false
	}
	l.now = next
	for len(l.line) > 0 && l.line[0].at <= l.now {
		x := l.line[0]
		l.line = l.line[1:]
		l.ends[x.to].Receive(l.now, 0, x.seg)
	}
	for _, e := range l.ends {
		if e.Deadline().Reached(l.now) {
			e.Advance(l.now)
		}
	}
	l.pump()
	return true
}

// transfer sends n bytes from end 0 to end 1 and closes in good order.
func (l *loop) transfer(n int) {
	want := make([]byte, n)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	rest := want
	var got bytes.Buffer
	buf := make([]byte, 32<<10)
	shut, done := false, false
	for steps := 0; !done; steps++ {
		if steps > 1000000 {
			l.t.Fatal("no end in sight")
		}
		if k, err := l.ends[0].Write(l.now, rest); err == nil || err == ErrWouldBlock {
			rest = rest[k:]
		} else if !shut {
			l.t.Fatal(err)
		}
		if len(rest) == 0 && !shut {
			shut = true
			l.ends[0].Shutdown(l.now, CloseWriting)
		}
		for {
			k, err := l.ends[1].Read(l.now, buf)
			got.Write(buf[:k])
			if err == io.EOF {
				l.ends[1].Shutdown(l.now, CloseWriting)
				done = true
			} else if err != nil && err != ErrWouldBlock {
				l.t.Fatal(err)
			}
			if k == 0 {
				break
			}
		}
		if !l.step() && !done {
			l.t.Fatalf("stuck after %d bytes: %+v\n%+v", got.Len(), l.ends[0].Conn.Info(), l.ends[1].Conn.Info())
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		l.t.Fatalf("%d bytes arrived, not the %d sent", got.Len(), n)
	}
	for l.step() {
	}
	for i, e := range l.ends {
		if e.Conn.State() != ClosedState || e.Conn.Err() != nil {
			l.t.Errorf("end %d is in %v, %v", i, e.Conn.State(), e.Conn.Err())
		}
	}
}

func TestLoop(t *testing.T) {
	for name, tune := range map[string]func(int, *Config){
		"plain":         nil,
		"super":         func(_ int, c *Config) { c.MaxSuper = 64 << 10 },
		"no SACK":       func(_ int, c *Config) { c.NoSACK = true },
		"no timestamps": func(i int, c *Config) { c.NoTimestamps = i == 0 },
		"no scaling":    func(i int, c *Config) { c.NoWindowScale = i == 1 },
		"small window":  func(i int, c *Config) { c.MaxWindow = 3000 },
	} {
		t.Run(name, func(t *testing.T) {
			l := pair(t, tune)
			l.transfer(1 << 20)
			t.Logf("%d segments, %v", l.count, l.now.Sub(mono.Time(time.Hour)))
		})
		t.Run(name+" with loss", func(t *testing.T) {
			l := pair(t, tune)
			rnd := uint32(1)
			l.drop = func(int, *wire.Segment) bool {
				rnd = rnd*1664525 + 1013904223
				return rnd>>24 < 8
			}
			l.transfer(1 << 20)
			t.Logf("%d segments, %v, %+v", l.count, l.now.Sub(mono.Time(time.Hour)), l.ends[0].Conn.Info())
		})
	}
}
