//go:build linux

package lab

import (
	"errors"
	"fmt"
	"strings"
)

// Shape limits both directions of a segment to rate (of tc, such as 50mbit).
func (l *Lab) Shape(s *Segment, rate string) error {
	tbf := []string{"root", "tbf", "rate", rate, "burst", "32k", "latency", "40ms"}
	return errors.Join(
		s.Host.must("tc", append([]string{"qdisc", "replace", "dev", s.Name}, tbf...)...),
		l.Router.must("tc", append([]string{"qdisc", "replace", "dev", s.peer()}, tbf...)...))
}

// Down takes a segment's device down on its host, as pulling the plug does.
func (l *Lab) Down(s *Segment) error { return s.Host.ip("link", "set", s.Name, "down") }

// Up brings it back with the addresses and routes it had.
func (l *Lab) Up(s *Segment) error {
	return errors.Join(
		s.Host.ip("link", "set", s.Name, "up"),
		l.addresses(s.Host, s.Name, s.Addr4, s.Addr6),
		l.defaultRoutes(s))
}

// filters are what the router's nftables does at the moment.
type filters struct {
	silent   map[string]bool // devices of the router whose packets vanish
	stripSYN bool
	stripAll bool
}

// Silence makes the router drop everything from and to a segment, with no
// sign to either side: the device stays up.
func (l *Lab) Silence(s *Segment, on bool) error {
	return l.refilter(func(f *filters) {
		if f.silent == nil {
			f.silent = map[string]bool{}
		}
		f.silent[s.peer()] = on
	})
}

// StripSYN makes the router remove option kind 30 from segments with SYN.
func (l *Lab) StripSYN(on bool) error {
	return l.refilter(func(f *filters) { f.stripSYN = on })
}

// StripAfterSYN makes the router remove option kind 30 from segments without
// SYN, so that a handshake succeeds and everything after it is bare.
func (l *Lab) StripAfterSYN(on bool) error {
	return l.refilter(func(f *filters) { f.stripAll = on })
}

func (l *Lab) refilter(change func(*filters)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.filter)
	return l.Router.NFT(l.filter.ruleset())
}

func (f *filters) ruleset() string {
	var b strings.Builder
	b.WriteString("table inet lab\ndelete table inet lab\ntable inet lab {\n chain forward {\n  type filter hook forward priority 0;\n")
	for device, on := range f.silent {
		if on {
			fmt.Fprintf(&b, "  iifname %q drop\n  oifname %q drop\n", device, device)
		}
	}
	if f.stripSYN {
		b.WriteString("  tcp flags & syn == syn tcp option mptcp exists reset tcp option mptcp\n")
	}
	if f.stripAll {
		b.WriteString("  tcp flags & syn == 0 tcp option mptcp exists reset tcp option mptcp\n")
	}
	b.WriteString(" }\n}\n")
	return b.String()
}
