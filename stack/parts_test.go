package stack

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
func addr(s string) netip.Addr         { return netip.MustParseAddr(s) }

func newTable() *table {
	t := new(table)
	t.init()
	return t
}

// RFC 9293 §3.3.1: a connection is a pair of sockets; each may be part of many.
func TestTableTuples(t *testing.T) {
	tab := newTable()
	local, other := addrPort("10.0.0.1:80"), addrPort("10.0.0.1:81")
	r1, r2 := addrPort("10.0.0.2:1000"), addrPort("10.0.0.2:1001")
	p := &Path{envelope: envelope{local: local, remote: r1}}
	if !tab.insert(p, 1) || tab.insert(&Path{envelope: p.envelope}, 1) {
		t.Fatal("a 4-tuple is to be taken once")
	}
	for _, k := range []tuple{{local, r2}, {other, r1}, {r1, local}} {
		if tab.find(k) != nil || !tab.insert(&Path{envelope: envelope{local: k.local, remote: k.remote}}, 1) {
			t.Errorf("%v is a connection of its own", k)
		}
	}
	// A stranger does not free what is not its own.
	tab.remove(&Path{envelope: envelope{local: local, remote: r1}})
	if tab.find(tuple{local, r1}) != p {
		t.Error("removed by somebody else")
	}
	tab.remove(p)
	if tab.find(tuple{local, r1}) != nil {
		t.Error("still there")
	}
}

// RFC 6056 §3.2: the range is all but the well-known ports. RFC 6056 §3.3.1: a
// port of it at random, so that neither the next one nor one to another
// destination can be told from those before. RFC 6056 §3.5: one whose 4-tuple is
// in use is passed over, until none is left.
func TestEphemeralPorts(t *testing.T) {
	tab := newTable()
	dst := addrPort("10.0.0.2:80")
	seen := map[uint16]bool{}
	const n = 65536 - firstEphemeral
	l := &Listener{local: addrPort("10.0.0.1:20000")}
	if err := tab.listen(l, rand.Reader); err != nil {
		t.Fatal(err)
	}
	sequential := 0
	var last uint16
	for range n - 1 {
		p := &Path{envelope: envelope{local: addrPort("10.0.0.1:0"), remote: dst}}
		if err := tab.insertEphemeral(p, rand.Reader, 1); err != nil {
			t.Fatal(err)
		}
		port := p.local.Port()
		if port < 1024 || seen[port] || port == 20000 {
			t.Fatalf("port %d", port)
		}
		seen[port] = true
		if port == last+1 {
			sequential++
		}
		last = port
	}
	if sequential > n/2 {
		t.Errorf("%d of %d ports follow their predecessor", sequential, n)
	}
	p := &Path{envelope: envelope{local: addrPort("10.0.0.1:0"), remote: dst}}
	if err := tab.insertEphemeral(p, rand.Reader, 1); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("all ports taken: %v", err)
	}
	p.remote = addrPort("10.0.0.3:80")
	if err := tab.insertEphemeral(p, rand.Reader, 1); err != nil {
		t.Errorf("another destination: %v", err)
	}
}

// RFC 9293 §3.10.1: the listener of the address itself comes before one of any
// address.
func TestTableListeners(t *testing.T) {
	tab := newTable()
	any4 := &Listener{local: addrPort("0.0.0.0:80")}
	one := &Listener{local: addrPort("10.0.0.1:81")}
	both := &Listener{local: netip.AddrPortFrom(netip.Addr{}, 82)}
	for _, l := range []*Listener{any4, one, both} {
		if err := tab.listen(l, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for to, want := range map[string]*Listener{
		"10.0.0.1:80": any4, "[fd00::1]:80": nil, "10.0.0.1:81": one, "10.0.0.2:81": nil,
		"10.9.9.9:82": both, "[fd00::1]:82": both, "10.0.0.1:83": nil,
	} {
		if got := tab.listener(addrPort(to)); got != want {
			t.Errorf("listener of %s is %v", to, got)
		}
	}
	for _, c := range []struct {
		at   string
		free bool
	}{{"10.0.0.1:80", false}, {"[::]:80", true}, {"0.0.0.0:81", false}, {"10.0.0.2:81", true}, {"[fd00::1]:82", false}} {
		l := &Listener{local: addrPort(c.at)}
		if err := tab.listen(l, rand.Reader); (err == nil) != c.free {
			t.Errorf("listen on %s: %v", c.at, err)
		} else if err == nil {
			tab.unlisten(l)
		}
	}
	chosen := &Listener{local: addrPort("10.0.0.1:0")}
	if err := tab.listen(chosen, rand.Reader); err != nil || chosen.local.Port() < firstEphemeral {
		t.Errorf("port %d, %v", chosen.local.Port(), err)
	}
	tab.unlisten(any4)
	tab.unlisten(any4)
	if tab.listener(addrPort("10.0.0.1:80")) != nil {
		t.Error("still listens")
	}
}

// RFC 6528 §3 and RFC 9293 §3.4.1: initial sequence numbers advance with a
// clock of 4 us and differ between connections in a way nobody can guess.
func TestInitialSequenceNumbers(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l, r := addrPort("10.0.0.1:80"), addrPort("10.0.0.2:1000")
	first := s.iss(l, r)
	if d := s.iss(l, r).Sub(first); d < 0 || d > int(time.Minute/(4*time.Microsecond)) {
		t.Errorf("the clock advanced by %d", d)
	}
	near := func(d int) bool { return -1e6 < d && d < 1e6 }
	if near(s.iss(l, addrPort("10.0.0.2:1001")).Sub(first)) || near(s.iss(r, l).Sub(first)) ||
		near(other.iss(l, r).Sub(first)) {
		t.Error("the number does not depend on the 4-tuple and the secret")
	}
	// RFC 7323 §7, RFC 7323 §7.1: timestamps of two hosts go on where they were, those of
	// others start elsewhere.
	at := s.tsOffset(l, r)
	if s.tsOffset(addrPort("10.0.0.1:81"), addrPort("10.0.0.2:1001")) != at {
		t.Error("the offset depends on ports")
	}
	if s.tsOffset(l, addrPort("10.0.0.3:1000")) == at || other.tsOffset(l, r) == at {
		t.Error("the offset does not depend on hosts and secret")
	}
}

// RFC 4821 §5.2, RFC 1191 §6.3 and RFC 8201 §4: what a router said is forgotten after ten
// minutes.
func TestPathMTUCache(t *testing.T) {
	var c pmtuCache
	c.init()
	a, now := addr("192.0.2.1"), mono.Time(1)
	if got := c.get(now, a, 1500); got != 1500 {
		t.Errorf("unknown: %d", got)
	}
	c.put(now, a, 1300)
	for _, x := range []struct {
		after time.Duration
		link  int
		want  int
	}{{0, 1500, 1300}, {0, 1200, 1200}, {10*time.Minute - 1, 1500, 1300}, {10 * time.Minute, 1500, 1500}} {
		if got := c.get(now.Add(x.after), a, x.link); got != x.want {
			t.Errorf("after %v over a link of %d: %d, want %d", x.after, x.link, got, x.want)
		}
	}
	for i := range 2 * pmtuEntries {
		c.put(now, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1300)
	}
	if len(c.m) > pmtuEntries {
		t.Errorf("%d entries", len(c.m))
	}
}

// RFC 1191 §7: a router that does not say is answered by the next plateau; and
// what is too small to be true is not believed (RFC 5927 §7, RFC 8201 §4).
func TestBelievedMTU(t *testing.T) {
	for _, c := range []struct {
		reported, size int
		v4             bool
		want           int
	}{
		{1300, 1500, true, 1300}, {0, 1500, true, 1492}, {0, 1492, true, 1006}, {0, 600, true, 552},
		{0, 400, true, 552}, {68, 1500, true, 552}, {1300, 1500, false, 1300}, {0, 1500, false, 1280},
		{1000, 1500, false, 1280},
	} {
		if got := believed(c.reported, c.size, c.v4); got != c.want {
			t.Errorf("believed(%d, %d, %v) = %d, want %d", c.reported, c.size, c.v4, got, c.want)
		}
	}
}

// RFC 6724 §5, rule 8: the source with the longest prefix in common.
// RFC 9293 §3.9.1.1 (MUST-44).
func TestSourceAddress(t *testing.T) {
	n := &nic{}
	n.addrs.Store(&[]netip.Prefix{netip.MustParsePrefix("10.1.0.1/24"), netip.MustParsePrefix("10.2.0.1/24"),
		netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("fd01::1/64"), netip.MustParsePrefix("2001:db8::1/64")})
	for to, want := range map[string]string{
		"10.2.3.4": "10.2.0.1", "10.1.3.4": "10.1.0.1", "192.0.2.1": "10.1.0.1",
		"fe80::2": "fe80::1", "fd01::2": "fd01::1", "2001:db8:1::2": "2001:db8::1",
	} {
		if got, ok := n.source(addr(to)); !ok || got != addr(want) {
			t.Errorf("source for %s is %v, want %s", to, got, want)
		}
	}
	n.addrs.Store(&[]netip.Prefix{netip.MustParsePrefix("fe80::1/64")})
	if got, ok := n.source(addr("2001:db8::1")); ok {
		t.Errorf("%v is used beyond its link", got)
	}
}

// RFC 1191 §3, RFC 6864 §4.1: an atomic datagram has DF set and may have any ID.
// RFC 9293 §3.8.1 (MAY-4): so a retransmission has none of its own.
func TestIPHeader(t *testing.T) {
	b := make([]byte, 20)
	putIP(b, addr("10.0.0.1"), addr("10.0.0.2"), 6, 0xb9, 0, 100)
	want := []byte{0x45, 0xb9, 0, 120, 0, 0, 0x40, 0, 64, 6, 0x25, 0xc5, 10, 0, 0, 1, 10, 0, 0, 2}
	if !slices.Equal(b, want) {
		t.Errorf("IPv4 % x\nwant  % x", b, want)
	}
	b = make([]byte, 40)
	putIP(b, addr("fd00::1"), addr("fd00::2"), 58, 0xb9, 3, 100)
	want = append([]byte{0x6b, 0x90, 0, 0, 0, 100, 58, 3, 0xfd}, make([]byte, 14)...)
	want = append(append(want, 1, 0xfd), append(make([]byte, 14), 2)...)
	if !slices.Equal(b, want) {
		t.Errorf("IPv6 % x\nwant  % x", b, want)
	}
}

func TestCounterNames(t *testing.T) {
	var c Counters
	c.BadChecksum.Add(3)
	got := map[string]uint64{}
	for name, n := range c.All() {
		got[name] = n
	}
	if got["bad_checksum"] != 3 || len(got) < 10 {
		t.Errorf("%v", got)
	}
}
