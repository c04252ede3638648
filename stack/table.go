package stack

import (
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"syscall"

	"github.com/sennit-net/sennit/stack/mono"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// tuple is what identifies a connection to the demultiplexer
// (RFC 9293 §3.3.1).
type tuple struct{ local, remote netip.AddrPort }

// firstEphemeral is the lowest local port chosen at random (RFC 6056 §3.2: the
// range is to be as large as possible). Ports that are listened on are left out.
const firstEphemeral = 1024

// table is the demultiplexer: the 4-tuples in use, those in TIME-WAIT, and the
// listeners. Its lock is never held together with a connection's.
type table struct {
	mu        sync.RWMutex
	paths     tupleMap[Path, *Path]
	listeners map[uint16][]*Listener

	waiting  tupleMap[timeWait, *timeWait]
	waits    timeWaits
	expiry   tcpip.Timer
	expiring bool // it runs
}

func (t *table) init() {
	t.paths.init()
	t.waiting.init()
	t.listeners = map[uint16][]*Listener{}
}

func (t *table) find(k tuple) *Path {
	t.mu.RLock()
	p := t.paths.get(k)
	t.mu.RUnlock()
	return p
}

// insert takes p's 4-tuple into use; false: it is taken.
func (t *table) insert(p *Path, now mono.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(p, now)
}

// take is insert with the lock held.
func (t *table) take(p *Path, now mono.Time) bool {
	if t.paths.get(p.at()) != nil {
		return false
	}
	w, ok := t.reusable(p.at(), now)
	if !ok {
		return false
	}
	if w != nil {
		p.begin.after(w.r.Next())
	}
	t.paths.put(p)
	return true
}

func (t *table) remove(p *Path) {
	t.mu.Lock()
	t.paths.remove(p)
	t.mu.Unlock()
}

// insertEphemeral registers p under a random free local port
// (RFC 6056 §3.3.1) and sets it in p.local. Ports in use are passed over in
// steps of random size, so that they do not cluster; ports in TIME-WAIT are the
// last resort.
func (t *table) insertEphemeral(p *Path, rand io.Reader, now mono.Time) error {
	port, err := randomPort(rand)
	if err != nil {
		return err
	}
	step, err := randomPort(rand)
	if err != nil {
		return err
	}
	const n = 65536 - firstEphemeral
	stride := 42*(int(step)%(n/42)) + 1 // has no factor in common with n = 2^10*3^2*7: all are reached
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, fresh := range [...]bool{true, false} {
		for i := range n {
			p.local = netip.AddrPortFrom(p.local.Addr(), uint16(firstEphemeral+(int(port)+i*stride)%n))
			if t.listens(p.local) || fresh && t.waiting.get(p.at()) != nil {
				continue
			}
			if t.take(p, now) {
				return nil
			}
		}
	}
	p.local = netip.AddrPortFrom(p.local.Addr(), 0)
	return syscall.EADDRNOTAVAIL
}

func randomPort(rand io.Reader) (uint16, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, err
	}
	return uint16(binary.BigEndian.Uint32(b[:]) % (65536 - firstEphemeral)), nil
}

func (t *table) listens(local netip.AddrPort) bool {
	for _, l := range t.listeners[local.Port()] {
		if l.covers(local.Addr()) {
			return true
		}
	}
	return false
}

// listener returns the one that wants connections to local, the most specific
// first (RFC 9293 §3.10.1).
func (t *table) listener(local netip.AddrPort) *Listener {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var best *Listener
	for _, l := range t.listeners[local.Port()] {
		if l.covers(local.Addr()) && (best == nil || l.local.Addr() == local.Addr()) {
			best = l
		}
	}
	return best
}

// listen registers l; port 0 chooses one.
func (t *table) listen(l *Listener, rand io.Reader) error {
	first, tries := l.local.Port(), 1
	if first == 0 {
		p, err := randomPort(rand)
		if err != nil {
			return err
		}
		first, tries = p, 65536-firstEphemeral
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range tries {
		port := first
		if tries > 1 {
			port = uint16(firstEphemeral + (int(first)+i)%tries)
		}
		at := netip.AddrPortFrom(l.local.Addr(), port)
		if t.conflicts(at) {
			continue
		}
		l.local = at
		t.listeners[port] = append(t.listeners[port], l)
		return nil
	}
	return syscall.EADDRINUSE
}

func (t *table) conflicts(at netip.AddrPort) bool {
	for _, l := range t.listeners[at.Port()] {
		if overlap(l.local.Addr(), at.Addr()) {
			return true
		}
	}
	return false
}

func (t *table) unlisten(l *Listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.listeners[l.local.Port()]
	for i, o := range all {
		if o == l {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(all) == 0 {
		delete(t.listeners, l.local.Port())
		return
	}
	t.listeners[l.local.Port()] = all
}

// covers reports whether a listener bound to bound takes connections to a. The
// zero bound takes both families, an unspecified one its own.
func covers(bound, a netip.Addr) bool {
	switch {
	case !bound.IsValid():
		return true
	case bound.IsUnspecified():
		return bound.Is4() == a.Is4()
	}
	return bound == a
}

func overlap(a, b netip.Addr) bool {
	return !a.IsValid() || !b.IsValid() || covers(a, b) || covers(b, a)
}
