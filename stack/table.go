package stack

import (
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"syscall"
)

// tuple is what identifies a connection to the demultiplexer
// (RFC 9293 §3.3.1).
type tuple struct{ local, remote netip.AddrPort }

// Ephemeral ports are drawn from [firstEphemeral,65535] (RFC 6056 §3.2 wants
// as many as possible; below are those that servers are configured with).
const firstEphemeral = 16384

// table is the demultiplexer: the 4-tuples in use and the listeners. Its lock
// is never held together with a connection's.
type table struct {
	mu        sync.RWMutex
	paths     map[tuple]*Path
	listeners map[uint16][]*Listener
}

func (t *table) init() {
	t.paths = map[tuple]*Path{}
	t.listeners = map[uint16][]*Listener{}
}

func (t *table) find(k tuple) *Path {
	t.mu.RLock()
	p := t.paths[k]
	t.mu.RUnlock()
	return p
}

func (t *table) insert(k tuple, p *Path) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.paths[k]; taken {
		return false
	}
	t.paths[k] = p
	return true
}

func (t *table) remove(p *Path) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := tuple{p.local, p.remote}
	if t.paths[k] == p {
		delete(t.paths, k)
	}
}

// insertEphemeral registers p under a random free local port
// (RFC 6056 §3.3.1) and sets it in p.local.
func (t *table) insertEphemeral(p *Path, rand io.Reader) error {
	port, err := randomPort(rand)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	const n = 65536 - firstEphemeral
	for i := range n {
		q := uint16(firstEphemeral + (int(port)+i)%n)
		k := tuple{netip.AddrPortFrom(p.local.Addr(), q), p.remote}
		if _, taken := t.paths[k]; taken || t.listens(k.local) {
			continue
		}
		p.local = k.local
		t.paths[k] = p
		return nil
	}
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
