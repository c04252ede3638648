package stack

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Path MTU limits. Values are bytes of an IP packet.
const (
	minMTU4     = 552              // less is not believed: RFC 5927 §7, and what Linux holds to
	minMTU6     = 1280             // RFC 8201 §4
	pmtuExpiry  = 10 * time.Minute // RFC 1191 §6.3, RFC 8201 §4
	pmtuEntries = 4096
)

// pmtuCache remembers the path MTU by destination.
type pmtuCache struct {
	mu sync.Mutex
	m  map[netip.Addr]pmtuEntry
}

type pmtuEntry struct {
	mtu     int
	expires mono.Time
}

func (c *pmtuCache) init() { c.m = map[netip.Addr]pmtuEntry{} }

// get returns the MTU to dst over a link of MTU link.
func (c *pmtuCache) get(now mono.Time, dst netip.Addr, link int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[dst]
	if !ok {
		return link
	}
	if e.expires.Reached(now) {
		delete(c.m, dst)
		return link
	}
	return min(link, e.mtu)
}

// put notes what a router said.
func (c *pmtuCache) put(now mono.Time, dst netip.Addr, mtu int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= pmtuEntries {
		for a, e := range c.m {
			if e.expires.Reached(now) || len(c.m) >= pmtuEntries {
				delete(c.m, a)
			}
		}
	}
	c.m[dst] = pmtuEntry{mtu: mtu, expires: now.Add(pmtuExpiry)}
}

// news is a path MTU that a connection found out.
type news struct {
	dst netip.Addr
	mtu int
}

// learned collects what the machine found out about its paths: only what a
// connection believes is remembered for others, too (RFC 5927 §7).
func (k *Sock) learned() (l []news) {
	for _, p := range k.paths {
		if p != nil && p.learned != 0 {
			l = append(l, news{p.remote.Addr(), int(p.learned)})
			p.learned = 0
		}
	}
	return l
}

// plateaus are the MTUs in use when a router does not say which it has
// (RFC 1191 §7).
var plateaus = [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1006, minMTU4}

// believed turns the MTU of an ICMP message about a packet of size bytes into
// the one to use. reported 0 is a router older than RFC 1191.
func believed(reported, size int, v4 bool) int {
	if !v4 {
		return max(reported, minMTU6)
	}
	if reported == 0 {
		for _, p := range plateaus {
			if p < size {
				return p
			}
		}
	}
	return max(reported, minMTU4)
}
