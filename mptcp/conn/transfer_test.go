package conn

import (
	"testing"
	"time"

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
