package conn

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Two links carry one transfer together (RFC 8684 §2.1, §3.3).
func TestAggregate(t *testing.T) {
	for _, c := range []struct {
		name     string
		up, down int
	}{{"upload", 8 << 20, 1000}, {"download", 1000, 8 << 20}, {"both ways", 4 << 20, 4 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, setup{up: c.up, down: c.down})
			w.run(time.Minute)
			took := w.Elapsed()
			w.finish()
			if n := count[SubflowEstablished](&w.client); n != 2 {
				t.Errorf("%d subflows, want 2", n)
			}
			for _, s := range []*side{&w.client, &w.server} {
				if e, ok := last[ConnectionClosed](s); !ok || e.Err != nil {
					t.Errorf("%s: closed: %+v %v", s.name, e, ok)
				}
				if n := count[DataTimeout](s); n != 0 {
					t.Errorf("%s: %d data-level timeouts", s.name, n)
				}
			}
			// Two links of 20 Mbit/s: 85 % of the sum, less a slow start.
			least := time.Duration(float64(max(c.up, c.down)*8) / 40e6 * float64(time.Second))
			if took > least*100/80+300*time.Millisecond {
				t.Errorf("took %v, the links could do %v", took, least)
			}
			t.Logf("%v, ideal %v", took, least)
		})
	}
}

// One link only: MPTCP without a second subflow.
func TestSingle(t *testing.T) {
	w := newWorld(t, setup{up: 1 << 20, down: 1 << 20, lone: true})
	w.run(time.Minute)
	w.finish()
	if e, ok := last[Fallback](&w.client); ok {
		t.Errorf("fell back: %+v", e)
	}
	if i := w.client.conn.Info(); !i.Confirmed || i.State != MClosed {
		t.Errorf("%+v", i)
	}
}

// Nothing is written at all: the DATA_FINs alone make the connection end
// (RFC 8684 §3.3.3).
func TestEmpty(t *testing.T) {
	w := newWorld(t, setup{})
	w.run(time.Minute)
	w.finish()
}

// A half-close: the client ends its direction and still gets everything.
func TestHalfClose(t *testing.T) {
	w := newWorld(t, setup{up: 10, down: 2 << 20})
	w.run(time.Minute)
	w.finish()
}

var _ = tcp.CloseBoth

// Paths of very different round trips together still carry nearly their sum
// (RFC 8684 §3.3.5, §3.3.6): what waits for the slow one does not stop the fast
// one.
func TestUnequalPaths(t *testing.T) {
	for _, c := range []struct {
		name       string
		fast, slow simnet.Shape
		mbit       float64
	}{
		{"10 and 200 ms", simnet.Shape{Rate: 20e6, Delay: 5 * time.Millisecond, Queue: 100_000},
			simnet.Shape{Rate: 20e6, Delay: 100 * time.Millisecond, Queue: 200_000}, 40},
		{"50 and 5 Mbit/s", simnet.Shape{Rate: 50e6, Delay: 10 * time.Millisecond, Queue: 200_000},
			simnet.Shape{Rate: 5e6, Delay: 30 * time.Millisecond, Queue: 100_000}, 55},
		{"lossy", simnet.Shape{Rate: 20e6, Delay: 10 * time.Millisecond, Queue: 100_000},
			simnet.Shape{Rate: 20e6, Delay: 40 * time.Millisecond, Queue: 100_000, Loss: 0.01}, 20},
	} {
		for _, load := range []struct {
			name     string
			up, down int
		}{{"up", 40 << 20, 0}, {"down", 0, 40 << 20}} {
			t.Run(c.name+"/"+load.name, func(t *testing.T) {
				w := newWorld(t, setup{paths: []simnet.Shape{c.fast, c.slow}, up: load.up, down: load.down})
				w.run(2 * time.Minute)
				took := w.Elapsed()
				w.finish()
				mbit := float64(40<<20) * 8 / 1e6 / took.Seconds()
				t.Logf("%.1f of %.0f Mbit/s", mbit, c.mbit)
				if mbit < 0.8*c.mbit {
					t.Errorf("%.1f Mbit/s of %.0f", mbit, c.mbit)
				}
				var repeated uint64
				for _, s := range []*side{&w.client, &w.server} {
					for _, e := range s.events {
						if x, ok := e.(Reinjected); ok {
							repeated += uint64(x.Len)
						}
					}
				}
				t.Logf("%d bytes reinjected", repeated)
				if repeated > 400_000 {
					t.Errorf("%d bytes were sent on two subflows", repeated)
				}
			})
		}
	}
}
