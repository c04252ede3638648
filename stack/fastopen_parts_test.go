package stack

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// RFC 7413 §4.1.2: a cookie is the client's alone, changes with time and key,
// and is good for one rotation longer than it is issued.
func TestFastCookie(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	var s, other Stack
	other.isn[0] = 1
	c := s.fastCookie(7, a)
	if n := len(c); n < 4 || n > 16 || n%2 != 0 {
		t.Errorf("a cookie of %d bytes", n)
	}
	for name, d := range map[string][]byte{"client": s.fastCookie(7, b), "age": s.fastCookie(8, a), "key": other.fastCookie(7, a)} {
		if bytes.Equal(c, d) {
			t.Errorf("the cookie does not depend on the %s", name)
		}
	}
	if !bytes.Equal(c, s.fastCookie(7, a)) {
		t.Error("two cookies for one client")
	}
}

// RFC 7413 §4.1.3, RFC 7413 §4.1.3.1: cookies, servers without, and networks that
// swallow such SYNs are remembered, the latter for longer each time.
func TestFastMemory(t *testing.T) {
	var f fastMemory
	server := netip.MustParseAddr("192.0.2.1")
	now := mono.Time(time.Hour)
	want := func(cookie string, mss int, ok bool) {
		t.Helper()
		c, m, o := f.get(now, server)
		if string(c) != cookie || m != mss || o != ok {
			t.Errorf("%q %d %v, want %q %d %v", c, m, o, cookie, mss, ok)
		}
	}
	want("", 0, true) // ask
	f.learned(now, server, []byte("cake"), 1400)
	want("cake", 1400, true)
	f.learned(now, server, nil, 1400)
	want("", 0, false)
	now = now.Add(fastRefused)
	want("", 1400, true) // ask again
	f.learned(now, server, []byte("cake"), 1400)

	for _, off := range []time.Duration{fastOff, 2 * fastOff, 4 * fastOff} {
		for !f.failed(now) {
			want("cake", 1400, true)
		}
		want("", 0, false)
		now = now.Add(off - 1)
		want("", 0, false)
		now = now.Add(1)
		want("cake", 1400, true)
	}
	f.learned(now, server, []byte("cake"), 1400)
	for i := range fastFailures {
		if off := f.failed(now); off != (i == fastFailures-1) {
			t.Errorf("after %d failures since the last answer: off %v", i+1, off)
		}
	}
	now = now.Add(fastOff)
	want("cake", 1400, true)
	for i := range 2 * fastEntries {
		f.learned(now, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), []byte("cake"), 0)
	}
	if len(f.m) > fastEntries {
		t.Errorf("%d entries", len(f.m))
	}
}
