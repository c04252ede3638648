package conn

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// dropFin loses the first n segments of a direction that carry a DATA_FIN.
func dropFin(d simnet.Direction, n *int) simnet.Box {
	return simnet.Filter(func(_ mono.Time, way simnet.Direction, s *wire.Segment) bool {
		var set option.Set
		option.ParseAll(s, false, &set)
		if way == d && *n > 0 && set.Has(option.SubDSS) && set.DSS.Fin {
			*n--
			return false
		}
		return true
	})
}

// RFC 8684 §3.3.3: a lost DATA_FIN is sent again until it is acknowledged.
func TestDataFinLost(t *testing.T) {
	for _, d := range []simnet.Direction{simnet.Forward, simnet.Backward} {
		for _, times := range []int{1, 3, 6} {
			n := times
			w := newWorld(t, setup{up: 200_000, down: 200_000,
				boxes: [][]simnet.Box{{dropFin(d, &n)}, {dropFin(d, &n)}}})
			w.run(3 * time.Minute)
			w.finish()
			if n != 0 {
				t.Errorf("only %d of %d were lost", times-n, times)
			}
			if has[Fallback](&w.client) || has[Fallback](&w.server) {
				t.Error("fell back")
			}
		}
	}
}

// The DATA_FIN is one octet of data sequence space after the last byte, alone
// with subflow number 0 and length 1 (RFC 8684 §3.3.3), and the states follow
// RFC 8684 Appendix D.
func TestDataFinNumbers(t *testing.T) {
	var fin option.DSS
	watch := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		var set option.Set
		option.ParseAll(s, false, &set)
		if d == simnet.Forward && set.Has(option.SubDSS) && set.DSS.Fin {
			fin = set.DSS
		}
	})
	w := newWorld(t, setup{paths: []simnet.Shape{slow}, up: 1000, keepOpen: true, boxes: [][]simnet.Box{{watch}}})
	w.dial()
	w.Sleep(time.Second)
	shut := func(s *side) {
		s.sock.Do(func(now mono.Time) { s.conn.Shutdown(now, tcp.CloseWriting) })
	}
	states := func(a, b State) {
		t.Helper()
		if x, y := w.client.conn.State(), w.server.conn.State(); x != a || y != b {
			t.Errorf("states %v, %v, want %v, %v", x, y, a, b)
		}
	}
	states(MEstab, MEstab)
	shut(&w.client)
	states(MFinWait1, MEstab)
	w.Sleep(time.Second)
	states(MFinWait2, MCloseWait)
	shut(&w.server)
	states(MFinWait2, MLastACK)
	w.Sleep(12 * time.Millisecond)
	states(MTimeWait, MLastACK)
	w.finish()
	states(MClosed, MClosed)
	want := w.client.conn.keys.localIDSN.Add(1 + 1000)
	if fin.DSN != want || fin.SSN != 0 || fin.Len != 1 {
		t.Errorf("DATA_FIN %+v, want number %d", fin, want)
	}
}

// Both sides close at once: M_CLOSING (RFC 8684 Appendix D).
func TestSimultaneousClose(t *testing.T) {
	w := newWorld(t, setup{up: 1000, down: 1000, keepOpen: true})
	w.dial()
	w.Sleep(time.Second)
	for _, s := range []*side{&w.client, &w.server} {
		s.sock.Do(func(now mono.Time) { s.conn.Shutdown(now, tcp.CloseWriting) })
	}
	w.Sleep(12 * time.Millisecond)
	if x := w.client.conn.State(); x != MClosing {
		t.Errorf("state %v, want %v", x, MClosing)
	}
	w.finish()
}

// After both DATA_FINs every subflow is closed with FIN, not with RST
// (RFC 8684 §3.3.3), and the passive closer does not end in TIME-WAIT.
func TestSubflowsCloseWithFin(t *testing.T) {
	resets := 0
	watch := simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
		if s.Flags.Has(wire.RST) {
			resets++
		}
	})
	w := newWorld(t, setup{up: 1 << 20, down: 10, boxes: [][]simnet.Box{{watch}, {watch}}})
	w.run(time.Minute)
	w.Sleep(2 * time.Second)
	w.finish()
	if resets != 0 {
		t.Errorf("%d RSTs", resets)
	}
}

// RFC 8684 §3.5: an abort is MP_FASTCLOSE with the peer's key, and the peer's
// application hears of it, however much is under way or lost.
func TestFastclose(t *testing.T) {
	for _, from := range []string{"client", "server"} {
		var keys []uint64
		watch := simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
			var set option.Set
			option.ParseAll(s, false, &set)
			if set.Has(option.SubFastclose) {
				keys = append(keys, set.Fastclose.Key)
			}
		})
		w := newWorld(t, setup{up: 8 << 20, down: 8 << 20, boxes: [][]simnet.Box{{watch}, {watch}}})
		w.dial()
		w.Sleep(300 * time.Millisecond)
		a, b, key := &w.client, &w.server, uint64(serverKey)
		if from == "server" {
			a, b, key = b, a, clientKey
		}
		a.sock.Do(func(now mono.Time) { a.conn.Abort(now) })
		w.Sleep(200 * time.Millisecond)
		if !errors.Is(b.talker.Err, ErrFastclose) {
			t.Errorf("%s aborts: the other hears %v", from, b.talker.Err)
		}
		if len(keys) == 0 || keys[0] != key {
			t.Errorf("%s aborts: keys %x, want %x", from, keys, key)
		}
		w.finish()
	}
}

// RFC 8684 §3.5: MP_FASTCLOSE on an ACK counts just as well; one with a wrong
// key does not count at all.
func TestFastcloseReceived(t *testing.T) {
	for _, c := range []struct {
		key   uint64
		rst   bool
		count bool
	}{{serverKey, false, true}, {serverKey, true, true}, {serverKey + 1, false, false}} {
		n := 0
		box := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
			if d == simnet.Forward && s.Len() == 0 && !s.Flags.Has(wire.SYN) {
				if n++; n == 20 {
					s.SetOther(option.Fastclose{Key: c.key}.Append(nil))
					if c.rst {
						s.Flags |= wire.RST
					}
				}
			}
		})
		w := newWorld(t, setup{down: 4 << 20, boxes: [][]simnet.Box{{box}}})
		w.dial()
		w.Sleep(300 * time.Millisecond)
		if got := errors.Is(w.server.conn.Err(), ErrFastclose); got != c.count {
			t.Errorf("%+v: the connection ended for %v", c, w.server.conn.Err())
		}
	}
}

// Closing with data unread tells the peer that it was lost (RFC 9293 §3.6.1).
func TestCloseWithUnreadData(t *testing.T) {
	w := newWorld(t, setup{up: 8 << 20, down: 10})
	w.dial()
	w.Sleep(100 * time.Millisecond)
	w.server.talker.Pause = func(mono.Time) bool { return true }
	w.Sleep(100 * time.Millisecond)
	w.server.sock.Do(func(now mono.Time) { w.server.conn.Shutdown(now, tcp.CloseBoth) })
	w.Sleep(200 * time.Millisecond)
	if !errors.Is(w.client.talker.Err, ErrFastclose) {
		t.Errorf("the client hears %v", w.client.talker.Err)
	}
	w.finish()
}

// Data that comes after a full close is answered with an abort too.
func TestDataAfterClose(t *testing.T) {
	w := newWorld(t, setup{up: 8 << 20, down: 10})
	w.dial()
	w.Sleep(200 * time.Millisecond)
	w.server.sock.Do(func(now mono.Time) { w.server.conn.Shutdown(now, tcp.CloseBoth) })
	w.Sleep(time.Second)
	if !errors.Is(w.client.talker.Err, ErrFastclose) {
		t.Errorf("the client hears %v", w.client.talker.Err)
	}
	w.finish()
}

// What an application gets from calls after the end.
func TestCallsAfterTheEnd(t *testing.T) {
	w := newWorld(t, setup{up: 10, down: 10})
	w.run(time.Minute)
	w.finish()
	c := w.client.conn
	if _, err := c.Write(w.Now(), []byte("x")); !errors.Is(err, tcp.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := c.Read(w.Now(), make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	c.Abort(w.Now())
	c.Shutdown(w.Now(), tcp.CloseBoth)
	if err := c.Err(); err != nil {
		t.Errorf("error %v after an orderly end", err)
	}
}

// Nobody listens: the application hears of the refusal.
func TestRefused(t *testing.T) {
	w := newWorld(t, setup{up: 10})
	w.server.host.Unknown = nil
	w.dial()
	w.Sleep(time.Second)
	if !errors.Is(w.client.talker.Err, tcp.ErrRefused) {
		t.Errorf("hears %v", w.client.talker.Err)
	}
}
