package conn

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/wire"
)

// stallWatch measures the longest time in which neither end's application got
// anything, from the first byte on.
type stallWatch struct {
	w     *world
	last  mono.Time
	got   int
	worst time.Duration
}

func (w *world) watchStalls() *stallWatch {
	s := &stallWatch{w: w}
	var tick func()
	tick = func() {
		s.look()
		w.After(5*time.Millisecond, tick)
	}
	w.After(0, tick)
	return s
}

func (s *stallWatch) look() {
	w := s.w
	n := w.client.talker.Got
	if w.server.talker != nil {
		n += w.server.talker.Got
		if w.client.talker.Done() && w.server.talker.Done() {
			return
		}
	}
	if n != s.got || s.got == 0 {
		s.got, s.last = n, w.Now()
		return
	}
	s.worst = max(s.worst, w.Now().Sub(s.last))
}

// A path dies in the middle, and what was under way on it is sent again on the
// other (RFC 8684 §3.3.6).
func TestPathDies(t *testing.T) {
	for _, load := range []struct {
		name     string
		up, down int
	}{{"upload", 6 << 20, 1000}, {"download", 1000, 6 << 20}, {"both ways", 3 << 20, 3 << 20}} {
		for path := range 2 {
			for _, how := range []struct {
				name  string
				stall time.Duration
				f     func(w *world, path int)
			}{
				{"notified", time.Second, func(w *world, path int) {
					w.links[path].SetUp(false)
					w.client.sock.Do(func(now mono.Time) {
						w.client.conn.Path(now, policy.Event{Kind: policy.LocalRemoved, Address: localAddress(path)})
					})
				}},
				{"silent", 3 * time.Second, func(w *world, path int) { w.links[path].Silence(true) }},
			} {
				t.Run(load.name+"/"+how.name+"/"+[]string{"first", "second"}[path], func(t *testing.T) {
					w := newWorld(t, setup{up: load.up, down: load.down})
					w.dial()
					stalls := w.watchStalls()
					w.Sleep(500 * time.Millisecond)
					how.f(w, path)
					w.run(2 * time.Minute)
					if stalls.worst > how.stall {
						t.Errorf("stalled for %v, want at most %v", stalls.worst, how.stall)
					}
					t.Logf("stalled for %v, took %v", stalls.worst, w.Elapsed())
					w.client.sock.Do(func(now mono.Time) { w.client.conn.Abort(now) })
					w.server.sock.Do(func(now mono.Time) { w.server.conn.Abort(now) })
					w.finish()
				})
			}
		}
	}
}

// A withdrawn address is told to the peer over a path that works, more than
// once (RFC 8684 §3.4.2).
func TestRemoveAddrSent(t *testing.T) {
	seen := [2]int{}
	watch := func(path int) simnet.Box {
		return simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
			var set option.Set
			option.ParseAll(s, false, &set)
			if d == simnet.Forward && set.Has(option.SubRemove) {
				seen[path]++
				if ids := set.Remove.IDs(); len(ids) != 1 || ids[0] != 0 {
					t.Errorf("REMOVE_ADDR of %v", ids)
				}
			}
		})
	}
	w := newWorld(t, setup{up: 1 << 20, down: 1 << 20, boxes: [][]simnet.Box{{watch(0)}, {watch(1)}}})
	w.dial()
	w.Sleep(200 * time.Millisecond)
	w.client.sock.Do(func(now mono.Time) {
		w.client.conn.Path(now, policy.Event{Kind: policy.LocalRemoved, Address: localAddress(0)})
	})
	w.run(time.Minute)
	w.finish()
	if seen != [2]int{0, removeTimes} {
		t.Errorf("REMOVE_ADDR seen %v times per path", seen)
	}
	if !has[RemoveAddrReceived](&w.server) {
		t.Error("the server did not hear of it")
	}
}

// All paths gone, then one comes back: the connection waits for it
// (RFC 8684 §3.3.3, break before make).
func TestBreakBeforeMake(t *testing.T) {
	w := newWorld(t, setup{up: 4 << 20, down: 4 << 20})
	w.dial()
	w.Sleep(300 * time.Millisecond)
	w.client.sock.Do(func(now mono.Time) {
		for i := range 2 {
			w.client.conn.Path(now, policy.Event{Kind: policy.LocalRemoved, Address: localAddress(i)})
		}
	})
	w.Sleep(10 * time.Second)
	if w.client.conn.end.done {
		t.Fatalf("the connection ended: %v", w.client.conn.Err())
	}
	w.client.sock.Do(func(now mono.Time) {
		w.client.conn.Path(now, policy.Event{Kind: policy.LocalAdded, Address: localAddress(1)})
	})
	w.run(2 * time.Minute)
	w.finish()
}

// Nobody comes back: after the patience the connection ends with an error, and
// not with an end of file.
func TestNobodyComesBack(t *testing.T) {
	w := newWorld(t, setup{up: 4 << 20, down: 4 << 20, client: func(c *Config) { c.Patience = 5 * time.Second }})
	w.dial()
	w.Sleep(300 * time.Millisecond)
	w.client.sock.Do(func(now mono.Time) {
		for i := range 2 {
			w.client.conn.Path(now, policy.Event{Kind: policy.LocalRemoved, Address: localAddress(i)})
		}
	})
	w.Sleep(4 * time.Second)
	if w.client.conn.end.done {
		t.Fatal("it ended early")
	}
	w.Sleep(2 * time.Second)
	if err := w.client.conn.Err(); err != ErrNoSubflow {
		t.Errorf("ended with %v", err)
	}
	w.Sleep(2 * time.Minute)
	if err := w.server.conn.Err(); err == nil {
		t.Errorf("the server still waits: %+v", w.server.conn.Info())
	}
	w.finish()
}

// A path that is silent for a while and comes back carries data again.
func TestPathRevives(t *testing.T) {
	w := newWorld(t, setup{up: 12 << 20, down: 1000})
	w.dial()
	w.Sleep(300 * time.Millisecond)
	w.links[1].Silence(true)
	w.Sleep(600 * time.Millisecond)
	w.links[1].Silence(false)
	w.run(time.Minute)
	w.finish()
	if !has[PathStale](&w.client) {
		t.Error("the silent path was never stale")
	}
}
