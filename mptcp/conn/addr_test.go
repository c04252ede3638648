package conn

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/wire"
)

// announcing makes the server announce its second address.
func announcing(c *Config) {
	c.PathManager = &everyLink{announce: []policy.Address{{Link: 1, Addr: serverExtra}}}
}

// addrWatch counts ADD_ADDR and their echoes, and may lose some of either.
type addrWatch struct {
	adds, echoes         int
	loseAdds, loseEchoes int
	carriers             int // data segments or SYNs that had one
}

func (a *addrWatch) box() simnet.Box {
	return simnet.Filter(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) bool {
		var set option.Set
		option.ParseAll(s, false, &set)
		for _, o := range set.AddAddrs() {
			if s.Len() > 0 {
				a.carriers++
			}
			if o.Echo {
				a.echoes++
				if a.loseEchoes > 0 {
					a.loseEchoes--
					return false
				}
			} else {
				a.adds++
				if a.loseAdds > 0 {
					a.loseAdds--
					return false
				}
			}
		}
		return true
	})
}

// RFC 8684 §3.4.1: ADD_ADDR is echoed, repeated until it is, and makes the peer
// join the address.
func TestAddAddr(t *testing.T) {
	for _, c := range []struct{ loseAdds, loseEchoes int }{{0, 0}, {2, 0}, {0, 2}} {
		a := addrWatch{loseAdds: c.loseAdds, loseEchoes: c.loseEchoes}
		w := newWorld(t, setup{paths: []simnet.Shape{slow}, boxes: [][]simnet.Box{{a.box()}},
			up: 12 << 20, down: 12 << 20, server: announcing})
		w.run(time.Minute)
		w.finish()
		if want := 1 + c.loseAdds + c.loseEchoes; a.adds != want || a.echoes != 1+c.loseEchoes {
			t.Errorf("%+v: %d ADD_ADDR, %d echoes", c, a.adds, a.echoes)
		}
		if a.carriers != 0 {
			t.Errorf("%d ADD_ADDR on data", a.carriers)
		}
		e, _ := last[AddAddrReceived](&w.client)
		if want := netip.AddrPortFrom(serverExtra, 443); e.Addr != want || e.ID == 0 {
			t.Errorf("heard of %+v, want %v", e, want)
		}
		joined := false
		for _, x := range w.client.events {
			if x, ok := x.(SubflowEstablished); ok && x.Remote.Addr() == serverExtra {
				joined = true
			}
		}
		if !joined {
			t.Error("the announced address was not joined")
		}
	}
}

// inject makes the server hear of an address over the network, with an option
// that edit has changed.
func inject(t *testing.T, edit func(*option.AddAddr)) *world {
	n := 0
	box := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		var set option.Set
		option.ParseAll(s, false, &set)
		if d != simnet.Backward || !set.Has(option.SubAddAddr) {
			return
		}
		n++
		o := set.AddAddrs()[0]
		edit(&o)
		s.SetOther(o.Append(nil))
	})
	w := newWorld(t, setup{paths: []simnet.Shape{slow}, boxes: [][]simnet.Box{{box}}, up: 4 << 20, down: 1000, server: announcing})
	w.run(time.Minute)
	w.finish()
	if n == 0 {
		t.Error("no ADD_ADDR came by")
	}
	return w
}

// RFC 8684 §3.4.1: an announcement with a wrong HMAC is ignored: no echo, no
// join.
func TestAddAddrForged(t *testing.T) {
	for name, edit := range map[string]func(*option.AddAddr){
		"HMAC":    func(o *option.AddAddr) { o.MAC++ },
		"address": func(o *option.AddAddr) { o.Addr = netip.MustParseAddr("192.0.2.1") },
		"ID":      func(o *option.AddAddr) { o.ID++ },
		"port":    func(o *option.AddAddr) { o.Port = 25 },
	} {
		w := inject(t, edit)
		if has[AddAddrReceived](&w.client) {
			t.Errorf("%s: accepted", name)
		}
		if n := count[SubflowEstablished](&w.client); n != 1 {
			t.Errorf("%s: %d subflows", name, n)
		}
	}
}

// RFC 8684 §3.4.1: some addresses are never worth a SYN, though the HMAC be
// right; and an ID keeps its address until it is removed.
func TestAddAddrUnfit(t *testing.T) {
	w := newWorld(t, setup{paths: []simnet.Shape{slow}, up: 4 << 20, keepOpen: true})
	w.dial()
	w.Sleep(300 * time.Millisecond)
	hear := func(id uint8, addr string) bool {
		before := count[AddAddrReceived](&w.client)
		w.server.sock.Do(func(now mono.Time) {
			a := netip.MustParseAddr(addr)
			w.server.conn.paths.ids = append(w.server.conn.paths.ids[:1], localID{a, id})
			w.server.conn.announce(policy.Address{Addr: a}, 0)
			w.server.conn.settle(now)
		})
		w.Sleep(100 * time.Millisecond)
		w.server.conn.signals = nil
		return count[AddAddrReceived](&w.client) > before
	}
	for _, a := range []string{"127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "ff02::1"} {
		if hear(7, a) {
			t.Errorf("%s was accepted", a)
		}
	}
	if !hear(7, "192.0.2.7") || hear(7, "192.0.2.8") {
		t.Error("ID 7 does not keep its first address")
	}
	if !hear(8, "192.0.2.8") {
		t.Error("another ID was refused")
	}
	w.server.sock.Do(func(now mono.Time) {
		w.server.conn.paths.ids = []localID{{serverAddr, 0}, {netip.MustParseAddr("192.0.2.7"), 7}}
		w.server.conn.withdraw(netip.MustParseAddr("192.0.2.7"))
		w.server.conn.settle(now)
	})
	w.Sleep(300 * time.Millisecond)
	// RFC 8684 §3.4.2: after REMOVE_ADDR the ID is free.
	if e, _ := last[RemoveAddrReceived](&w.client); e.ID != 7 {
		t.Errorf("REMOVE_ADDR heard: %+v", e)
	}
	if !hear(7, "192.0.2.9") {
		t.Error("ID 7 was not free after REMOVE_ADDR")
	}
}

// RFC 8684 §3.4.2: REMOVE_ADDR of a path that works is answered by asking the
// path, which goes on; of one that does not, by giving it up.
func TestRemoveAddrReceived(t *testing.T) {
	for _, dead := range []bool{false, true} {
		w := newWorld(t, setup{up: 12 << 20, down: 1000})
		w.dial()
		w.Sleep(400 * time.Millisecond)
		if dead {
			w.links[1].Silence(true)
		}
		w.server.sock.Do(func(now mono.Time) {
			c := w.server.conn
			id := c.sub(1).join.remoteID
			c.receivedRemove(now, id)
			c.settle(now)
		})
		w.Sleep(1500 * time.Millisecond)
		if s := w.server.conn.sub(1); (s != nil && s.stage == established) == dead {
			t.Errorf("dead %v: the subflow is %+v", dead, s)
		}
		w.run(time.Minute)
		w.finish()
	}
}
