package mptcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-net/sennit/stack"
)

// How long an attempt has before the next one starts besides it.
const (
	nextAddress = 250 * time.Millisecond // RFC 8305 §5
	nextLink    = time.Second
)

// candidate is one way to try: a link and an address of the peer.
type candidate struct {
	link   stack.LinkID
	remote netip.AddrPort
	delay  time.Duration // after the one before
}

// resolve turns host:port into the addresses to try, families alternating
// (RFC 8305 §4).
func (d *Dialer) resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if d.Stack == nil {
		return nil, errors.New("mptcp: Dialer without Stack")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		a, err := stack.ParseLiteral(network, address)
		return []netip.AddrPort{a}, err
	}
	if d.Resolver == nil {
		return nil, &net.DNSError{Err: "the dialer has no resolver", Name: host}
	}
	n, err := d.Resolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, err
	}
	ips, err := d.Resolver.LookupNetIP(ctx, "ip"+network[len("tcp"):], host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, &net.DNSError{Err: "no suitable address", Name: host, IsNotFound: true}
	}
	return interleave(ips, uint16(n)), nil
}

// interleave orders addresses: IPv6 first, then by turns.
func interleave(ips []netip.Addr, port uint16) []netip.AddrPort {
	var six, four, all []netip.AddrPort
	for _, a := range ips {
		if a = a.Unmap(); a.Is4() {
			four = append(four, netip.AddrPortFrom(a, port))
		} else {
			six = append(six, netip.AddrPortFrom(a, port))
		}
	}
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			all = append(all, six[i])
		}
		if i < len(four) {
			all = append(all, four[i])
		}
	}
	return all
}

// maxAttempts bounds the ways one dial tries.
const maxAttempts = 16

// candidates lists the ways to try: all addresses over the first link, then
// over the next.
func (d *Dialer) candidates(remotes []netip.AddrPort) []candidate {
	var all []candidate
	for _, l := range d.Stack.Links() {
		if !l.Up || (d.Link != 0 && l.ID != d.Link) {
			continue
		}
		delay := nextLink
		for _, r := range remotes {
			if d.reaches(l, r.Addr()) {
				all = append(all, candidate{l.ID, r, delay})
				delay = nextAddress
			}
		}
	}
	return all[:min(len(all), maxAttempts)]
}

// reaches reports whether l has a source address for a.
func (d *Dialer) reaches(l stack.LinkInfo, a netip.Addr) bool {
	if fixed := d.LocalAddr.Addr(); fixed.IsValid() && !fixed.IsUnspecified() {
		return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == fixed.Unmap() })
	}
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() })
}

type outcome struct {
	c   *Conn
	err error
}

// race tries the candidates one after the other, the next when the one before
// failed or is late, and returns the first connection. The losers are reset.
func (d *Dialer) race(ctx context.Context, remotes []netip.AddrPort) (*Conn, error) {
	all := d.candidates(remotes)
	if len(all) == 0 {
		return d.lastResort(ctx, remotes[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan outcome)
	running := 0
	defer func() {
		cancel()
		// An attempt that had won at the same moment is dropped here.
		for ; running > 0; running-- {
			if o := <-results; o.c != nil {
				o.c.Abort()
			}
		}
	}()
	start := func(c candidate) {
		running++
		go func() {
			c, err := d.attempt(ctx, c)
			results <- outcome{c, err}
		}()
	}
	var first error
	for next := 0; ; {
		if next < len(all) && running == 0 {
			start(all[next])
			next++
		}
		var late <-chan time.Time
		var timer *time.Timer
		if next < len(all) {
			timer = time.NewTimer(all[next].delay)
			late = timer.C
		}
		select {
		case o := <-results:
			running--
			if o.c != nil {
				return o.c, nil
			}
			if first == nil {
				first = o.err
			}
			if next == len(all) && running == 0 {
				return nil, first
			}
			// RFC 8305 §5: a failure starts the next at once.
			if next < len(all) {
				start(all[next])
				next++
			}
		case <-late:
			start(all[next])
			next++
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil && next < len(all) {
			next = len(all) // no new attempts; those running end by themselves
			if running == 0 {
				return nil, first
			}
		}
	}
}

// lastResort is the attempt that is made when no link fits: it says why.
func (d *Dialer) lastResort(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
	return d.attempt(ctx, candidate{link: d.Link, remote: remote})
}
