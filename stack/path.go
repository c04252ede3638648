package stack

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Path is one 4-tuple of a Sock on one link: the way of a plain connection, or
// of one subflow.
type Path struct {
	s *Stack
	envelope
	sock    atomic.Pointer[Sock] // nil before Attach
	sub     int32                // which subflow of the machine; the Sock's lock guards it
	learned int32                // path MTU to be remembered; 0: no news. The Sock's lock guards it
	release atomic.Bool
	begin   beginning
	next    *Path // in the table
}

func (p *Path) at() tuple    { return tuple{p.local, p.remote} }
func (p *Path) link() **Path { return &p.next }

// Local returns the local end.
func (p *Path) Local() netip.AddrPort { return p.local }

// Remote returns the remote end.
func (p *Path) Remote() netip.AddrPort { return p.remote }

// Link returns the link the path leaves by.
func (p *Path) Link() LinkID { return p.nic.id }

// Class returns the class of that link.
func (p *Path) Class() Class { return p.nic.class }

// Config returns what a TCP machine on this path starts from, given the
// tuning of the application.
func (p *Path) Config(t tcp.Tuning) tcp.Config {
	p.ttl, p.dscp = t.TTL, t.DSCP
	cfg := tcp.Config{
		Local: p.local, Remote: p.remote,
		ISS:      p.s.issOf(p),
		TSOffset: p.s.tsOffset(p.local, p.remote),
		MTU:      p.s.pmtu.get(p.s.now(), p.remote.Addr(), p.nic.mtu()),
		MaxMTU:   p.nic.mtu(),
		Learned:  func(_ mono.Time, mtu int) { p.learned = int32(mtu) },
		MaxSuper: p.superLimit(),
		Recorder: p.s.opts.Recorder,
		Budget:   p.s.memory,
		Doubted:  p.s.doubted,
		Tuning:   t,
	}
	if p.begin.kind == answered {
		cfg.Cookie = &tcp.Cookie{Shift: tcp.WindowShift(p.s.opts.Tuning)}
	}
	return cfg
}

// superLimit is the most payload of a super-segment such that the packet's
// length still fits into its field.
func (p *Path) superLimit() int {
	if p.nic.maxSuper == 0 {
		return 0
	}
	return min(p.nic.maxSuper, 65535-20) - wire.MinHeader - wire.MaxOptions
}

// receive takes a segment. What follows from it may wait for the end of b.
func (p *Path) receive(seg *wire.Segment, b *pending) {
	k := p.sock.Load()
	if k == nil {
		chunk.ReleaseAll(seg.Payload)
		return
	}
	k.mu.Lock()
	if k.life.gone {
		k.mu.Unlock()
		chunk.ReleaseAll(seg.Payload)
		return
	}
	now := p.s.now()
	k.used = true
	k.machine.Receive(now, int(p.sub), seg)
	if b.defers(k, now) {
		k.mu.Unlock()
		return
	}
	k.settle(now)
}

func (p *Path) control(e tcp.PathError) {
	k := p.sock.Load()
	if k == nil {
		return
	}
	k.mu.Lock()
	if k.life.gone {
		k.mu.Unlock()
		return
	}
	now := p.s.now()
	k.machine.Control(now, int(p.sub), e)
	k.settle(now)
}

// Close takes the 4-tuple out of use. Only a path that is not attached may be
// closed by its maker; Detach sees to the others.
func (p *Path) Close() {
	if !p.release.Swap(true) {
		p.s.tcp.remove(p)
	}
}

// Errors of choosing a path.
var (
	errNoLink   = errors.New("stack: no link is up")
	errNoSource = errors.New("stack: no link that is up has an address of that family")
)

// choose returns the link and source address for a connection to remote. local
// may fix the address, link the link; zero values leave the choice to the
// stack: the first link that is up and has a fitting address.
func (s *Stack) choose(link LinkID, local, remote netip.Addr) (*nic, netip.Addr, error) {
	if s.unusable(remote) {
		return nil, local, syscall.ENETUNREACH
	}
	err := errNoLink
	for _, n := range s.links.Load().all {
		if (link != 0 && n.id != link) || !n.up.Load() {
			continue
		}
		if !local.IsValid() || local.IsUnspecified() {
			if a, ok := n.source(remote); ok {
				return n, a, nil
			}
			err = errNoSource
			continue
		}
		if local.Is4() != remote.Is4() {
			return nil, local, syscall.EAFNOSUPPORT
		}
		if n.has(local) || s.opts.AnyAddress {
			return n, local, nil
		}
		err = syscall.EADDRNOTAVAIL
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, local, err
	}
	return nil, local, &pathlessError{err}
}

// pathlessError says why there is no way to a destination and counts as
// ENETUNREACH.
type pathlessError struct{ why error }

func (e *pathlessError) Error() string        { return e.why.Error() }
func (e *pathlessError) Is(target error) bool { return target == syscall.ENETUNREACH }
func (e *pathlessError) Unwrap() error        { return e.why }
