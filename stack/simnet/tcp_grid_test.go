package simnet_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
)

const ms = time.Millisecond

func TestPlain(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v6=%v", v6), func(t *testing.T) {
			line := simnet.Shape{Rate: 10e6, Delay: 10 * ms}
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 100e3, down: 300e3, v6: v6})
			w.run(time.Minute)
		})
	}
}

// Every kind of misfortune, both ways, by every controller, with and without
// the options that help.
func TestMisfortunes(t *testing.T) {
	good := simnet.Shape{Rate: 20e6, Delay: 10 * ms, Queue: 100e3}
	with := func(f func(*simnet.Shape)) simnet.Shape { s := good; f(&s); return s }
	shapes := map[string]simnet.Shape{
		"none":        good,
		"loss 1":      with(func(s *simnet.Shape) { s.Loss = 0.01 }),
		"loss 5":      with(func(s *simnet.Shape) { s.Loss = 0.05 }),
		"loss 20":     with(func(s *simnet.Shape) { s.Loss = 0.2 }),
		"reorder":     with(func(s *simnet.Shape) { s.Reorder, s.Behind = 0.05, 15*ms }),
		"duplicate":   with(func(s *simnet.Shape) { s.Duplicate = 0.1 }),
		"corrupt":     with(func(s *simnet.Shape) { s.Corrupt = 0.03 }),
		"jitter":      with(func(s *simnet.Shape) { s.Jitter = 50 * ms }),
		"short queue": with(func(s *simnet.Shape) { s.Queue = 5000 }),
		"all": with(func(s *simnet.Shape) {
			s.Loss, s.Duplicate, s.Corrupt, s.Reorder, s.Behind, s.Jitter = 0.03, 0.03, 0.02, 0.05, 30*ms, 5*ms
		}),
	}
	tunings := map[string]func(*tcp.Config){
		"default":       func(*tcp.Config) {},
		"newreno":       func(c *tcp.Config) { c.NewController = cc.NewReno },
		"no SACK":       func(c *tcp.Config) { c.NoSACK = true },
		"bare":          func(c *tcp.Config) { c.NoSACK, c.NoTimestamps, c.NoWindowScale, c.MaxSuper = true, true, true, 0 },
		"no timestamps": func(c *tcp.Config) { c.NoTimestamps = true },
		"no RACK":       func(c *tcp.Config) { c.NoRACK = true },
	}
	for name, shape := range shapes {
		for tuning, f := range tunings {
			t.Run(name+"/"+tuning, func(t *testing.T) {
				w := newWorld(t, simnet.Seed(t), setup{to: shape, from: shape, up: 200e3, down: 500e3,
					client: f, server: f})
				w.run(10 * time.Minute)
				// RFC 6298 §3: what a lost ACK costs must not be taken for a round trip,
				// or timeouts would feed on themselves.
				for _, e := range []*end{&w.client, &w.server} {
					if i := e.stream.Conn.Info(); i.SRTT > 500*ms {
						t.Errorf("SRTT is %v, RTO %v after %v", i.SRTT, i.RTO, w.Elapsed())
					}
				}
			})
		}
	}
}

// From a backplane to deep space: time has no scale of its own. The user
// timeout has to be longer than the trip.
func TestRoundTripTimes(t *testing.T) {
	for _, rtt := range []time.Duration{10 * time.Microsecond, ms, 100 * ms, 2 * time.Second, 8 * time.Second,
		time.Minute, time.Hour, 14 * 24 * time.Hour} {
		t.Run(rtt.String(), func(t *testing.T) {
			line := simnet.Shape{Delay: rtt / 2}
			patient := func(c *tcp.Config) { c.UserTimeout, c.TimeWait = -1, 4*rtt }
			n := int(100e3)
			if rtt > time.Hour {
				// The longest RTO is a minute: everything is sent thousands of times.
				n = 1000
			}
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: n, down: n, client: patient, server: patient})
			took := w.run(1000*rtt + time.Hour)
			t.Logf("%v, %.1f round trips", took, float64(took)/float64(rtt))
		})
	}
}

// RFC 9293 §3.4: sequence numbers wrap anywhere.
func TestSequenceWrap(t *testing.T) {
	line := simnet.Shape{Rate: 50e6, Delay: 5 * ms, Loss: 0.02}
	for _, back := range []int{0, 1, 2, 3, 1460, 20000, 100000, 1 << 31} {
		t.Run(fmt.Sprint(back), func(t *testing.T) {
			near := func(c *tcp.Config) { c.ISS = 0; c.ISS = c.ISS.Add(-back); c.TSOffset = 0xffffffff - 20 }
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 200e3, down: 200e3, client: near, server: near})
			w.run(5 * time.Minute)
		})
	}
}

// Devices that join and cut segments change nothing.
func TestOffloads(t *testing.T) {
	line := simnet.Shape{Rate: 100e6, Delay: 5 * ms, Loss: 0.01, Queue: 200e3}
	for _, join := range []time.Duration{0, 500 * time.Microsecond, 5 * ms} {
		for _, super := range []int{0, 3000, 64000} {
			t.Run(fmt.Sprintf("join %v, super %d", join, super), func(t *testing.T) {
				f := func(c *tcp.Config) { c.MaxSuper = super }
				w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 1e6, down: 1e6, client: f, server: f, join: join})
				w.run(5 * time.Minute)
			})
		}
	}
}

// What middleboxes do to segments changes nothing for the bytes.
func TestMiddleboxes(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 5 * ms, Loss: 0.01}
	for name, box := range map[string]func() simnet.Box{
		"split":               func() simnet.Box { return simnet.Split(300) },
		"coalesce":            func() simnet.Box { return simnet.Coalesce(2*ms, 8000) },
		"shuffle":             func() simnet.Box { return simnet.Shuffle(5, 3*ms) },
		"ISN":                 func() simnet.Box { return simnet.ShiftISN(123456789, true) },
		"no timestamps":       func() simnet.Box { return simnet.Strip(8, simnet.SYN|simnet.SYNACK, 0) },
		"no SACK permitted":   func() simnet.Box { return simnet.Strip(4, simnet.All, 0) },
		"no SACK back":        func() simnet.Box { return simnet.Strip(5, simnet.All, 0) },
		"no window scale":     func() simnet.Box { return simnet.Strip(3, simnet.SYN, 0) },
		"no MSS":              func() simnet.Box { return simnet.Strip(2, simnet.All, 0) },
		"small MSS":           func() simnet.Box { return simnet.ClampMSS(300) },
		"small window":        func() simnet.Box { return simnet.ClampWindow(20) },
		"unknown option gone": func() simnet.Box { return simnet.Strip(30, simnet.All, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 100e3, down: 200e3, boxes: []simnet.Box{box()}})
			w.run(10 * time.Minute)
		})
	}
}

// RFC 1191, RFC 8201: a link too narrow for the first segments, said by ICMP.
func TestPathMTU(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v6=%v", v6), func(t *testing.T) {
			line := simnet.Shape{Rate: 20e6, Delay: 5 * ms, MTU: 1300}
			f := func(c *tcp.Config) { c.MTU = 1500 }
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 100e3, down: 200e3, v6: v6, client: f, server: f})
			w.run(time.Minute)
		})
	}
}

// A reader that pauses closes the window; it opens again even if the update
// that says so is lost (RFC 9293 §3.8.6.1).
func TestZeroWindow(t *testing.T) {
	for _, loss := range []float64{0, 0.3} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			line := simnet.Shape{Rate: 20e6, Delay: 5 * ms}
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 10, down: 1e6,
				client: func(c *tcp.Config) { c.MaxWindow = 50000 }})
			pause := true
			w.client.talker.Pause = func(mono.Time) bool { return pause }
			w.After(5*time.Second, func() { w.link.Reshape(simnet.Forward, simnet.Shape{Rate: 20e6, Delay: 5 * ms, Loss: loss}) })
			w.After(10*time.Second, func() { pause = false; w.client.sock.Do(func(mono.Time) {}) })
			w.run(10 * time.Minute)
		})
	}
}

// A link that is gone for a while.
func TestOutage(t *testing.T) {
	for _, gone := range []time.Duration{50 * ms, time.Second, 30 * time.Second, 5 * time.Minute} {
		t.Run(gone.String(), func(t *testing.T) {
			line := simnet.Shape{Rate: 10e6, Delay: 20 * ms, Queue: 100e3}
			w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 1e6, down: 1e6})
			w.After(300*ms, func() { w.link.Silence(true) })
			w.After(300*ms+gone, func() { w.link.Silence(false) })
			took := w.run(time.Hour)
			// RFC 6298 §5.5: the back-off doubles, so it is noticed within the same time again, but
			// for the longest RTO.
			if took > 5*time.Second+2*gone+2*time.Minute {
				t.Errorf("took %v with the link gone for %v", took, gone)
			}
			t.Log(took)
		})
	}
}

// A connection to nowhere ends by itself, and so does one whose peer vanished.
func TestTimeouts(t *testing.T) {
	w := newWorld(t, simnet.Seed(t), setup{to: simnet.Shape{Loss: 1}})
	w.open()
	if !w.Run(time.Hour, func() bool { return ended(&w.client) }) || !errors.Is(w.client.stream.Conn.Err(), tcp.ErrTimeout) {
		t.Errorf("SYN into the void: %v, %s", w.Elapsed(), describe(&w.client))
	}
	w = newWorld(t, simnet.Seed(t), setup{to: simnet.Shape{Rate: 10e6, Delay: ms}, from: simnet.Shape{Delay: ms}, up: 1e9})
	w.open()
	w.Sleep(time.Second)
	w.link.Silence(true)
	if !w.Run(time.Hour, func() bool { return ended(&w.client) }) || !errors.Is(w.client.stream.Conn.Err(), tcp.ErrTimeout) {
		t.Errorf("vanished peer: %v, %s", w.Elapsed(), describe(&w.client))
	}
	if w.Err() != nil {
		t.Error(w.Err())
	}
}

// RFC 9293 §3.10.7.4, eighth check: a FIN on the last data is taken with it, so
// an exchange costs three round trips and nobody waits for a timer.
func TestFINOnData(t *testing.T) {
	for _, join := range []time.Duration{0, ms} {
		line := simnet.Shape{Delay: 50 * ms}
		w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 10000, down: 10000, join: join})
		if took := w.run(time.Minute); took > 310*ms {
			t.Errorf("took %v", took)
		}
		if i := w.client.stream.Conn.Info(); i.Retransmits != 0 {
			t.Errorf("%d segments sent again", i.Retransmits)
		}
	}
}
