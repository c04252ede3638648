package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/uplink"
)

// parseLinks reads the values of --link: NAME[=CLASS].
func parseLinks(values []string) ([]uplink.LinkConfig, error) {
	var links []uplink.LinkConfig
	for _, v := range values {
		name, class, given := strings.Cut(v, "=")
		c := uplink.LinkConfig{Name: name, Class: uplink.Class(class)}
		switch {
		case name == "":
			return nil, fmt.Errorf("--link %q: the name of an interface is missing", v)
		case given && !slices.Contains([]uplink.Class{uplink.WiFi, uplink.Cellular, uplink.Wired}, c.Class):
			return nil, fmt.Errorf("--link %q: the class is wifi, cellular or wired", v)
		}
		links = append(links, c)
	}
	return links, nil
}

// uplinks is the outer side: a stack with one link for each interface, kept in
// step with the interfaces' state.
type uplinks struct {
	host  *uplink.Host
	stack *stack.Stack
	log   *eventLog

	mu    sync.Mutex
	ids   map[string]stack.LinkID
	state map[string]uplink.State
	local map[string][]netip.Prefix // networks of the physical interface
	watch func(v4, v6 bool)         // told which families some link has
}

// attachLinks makes the outer stack over what h set up. The stack owns the
// devices from then on.
func attachLinks(h *uplink.Host, log *eventLog, capture *capture) (*uplinks, error) {
	s, err := stack.New(stack.Options{})
	if err != nil {
		return nil, err
	}
	u := &uplinks{host: h, stack: s, log: log, ids: map[string]stack.LinkID{},
		state: map[string]uplink.State{}, local: map[string][]netip.Prefix{}}
	for n, l := range h.Links() {
		ep, err := link.New(l.Device, link.Options{Tap: capture.tap(l.Name, l.MTU), Failed: u.failed(l.Name)})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		id, err := s.AttachLink(stack.Link{Name: l.Name, Class: classes[string(l.Class)], Metric: n,
			Endpoint: ep, Addrs: addresses(l, l.State), Down: !l.State.Usable()})
		if err != nil {
			ep.Close()
			return nil, errors.Join(fmt.Errorf("link %s: %w", l.Name, err), s.Close())
		}
		u.ids[l.Name], u.state[l.Name], u.local[l.Name] = id, l.State, l.Addrs
		log.linkName(id, l.Name)
	}
	return u, nil
}

// addresses returns what the stack has on a link while it is in a state.
func addresses(l *uplink.Link, s uplink.State) []netip.Prefix {
	var a []netip.Prefix
	if s.IPv4 {
		a = append(a, netip.PrefixFrom(l.IPv4.Peer, l.IPv4.Bits))
	}
	if s.IPv6 && l.IPv6.IsValid() {
		a = append(a, netip.PrefixFrom(l.IPv6.Peer, l.IPv6.Bits))
	}
	return a
}

// follow starts to pass on what happens to the interfaces. watch hears of the
// families at once and after each change.
func (u *uplinks) follow(watch func(v4, v6 bool)) {
	u.mu.Lock()
	u.watch = watch
	u.tellFamilies()
	u.mu.Unlock()
	u.host.Watch(u.changed)
}

func (u *uplinks) changed(c uplink.Change) {
	u.mu.Lock()
	defer u.mu.Unlock()
	id, old := u.ids[c.Link], u.state[c.Link]
	u.state[c.Link], u.local[c.Link] = c.State, c.Addrs
	if old.Usable() && !c.State.Usable() {
		u.log.link("link_down", c.Link, c.Cause)
		u.check(u.stack.SetLinkState(id, false))
	}
	for _, l := range u.host.Links() {
		if l.Name == c.Link && c.State.Usable() {
			u.setAddresses(id, addresses(l, c.State))
		}
	}
	if !old.Usable() && c.State.Usable() {
		u.log.link("link_up", c.Link, c.Cause)
		u.check(u.stack.SetLinkState(id, true))
	}
	u.tellFamilies()
}

// failed returns what is called when the device of a link fails: somebody has
// taken it away. It does not come back.
func (u *uplinks) failed(name string) func(error) {
	return func(err error) {
		u.changed(uplink.Change{Link: name, Cause: "device failed: " + err.Error()})
	}
}

// setAddresses changes a link's addresses by what differs. A link that is down
// keeps what it had until it is up again.
func (u *uplinks) setAddresses(id stack.LinkID, want []netip.Prefix) {
	info, ok := u.stack.LinkByID(id)
	if !ok {
		return
	}
	for _, p := range info.Addrs {
		if !slices.Contains(want, p) {
			u.check(u.stack.RemoveAddr(id, p.Addr()))
		}
	}
	for _, p := range want {
		if !slices.Contains(info.Addrs, p) {
			u.check(u.stack.AddAddr(id, p))
		}
	}
}

// check reports what should not fail and does not end the run.
func (u *uplinks) check(err error) {
	if err != nil {
		u.log.trouble("link", err)
	}
}

func (u *uplinks) tellFamilies() {
	var v4, v6 bool
	for _, s := range u.state {
		v4 = v4 || s.Up && s.IPv4
		v6 = v6 || s.Up && s.IPv6
	}
	// With no link at all nothing is known: what comes back may have both.
	if v4 || v6 {
		u.watch(v4, v6)
	}
}

// best returns the link for an address: the first of those that fit.
func (u *uplinks) best(dst netip.Addr) (stack.LinkInfo, bool) {
	if links := u.fit(dst); len(links) > 0 {
		return links[0], true
	}
	return stack.LinkInfo{}, false
}

// fit returns the links an address may be had over, the preferred one first:
// the one in whose network it is, else those that have its family.
func (u *uplinks) fit(dst netip.Addr) []stack.LinkInfo {
	if id := u.direct(dst); id != 0 {
		if l, ok := u.stack.LinkByID(id); ok {
			return []stack.LinkInfo{l}
		}
	}
	return slices.DeleteFunc(u.stack.Links(), func(l stack.LinkInfo) bool {
		return !l.Up || !slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() == dst.Is4() })
	})
}

// direct returns the link whose interface is in the network of an address: a
// name server or a printer at home is not to be had over the others. 0 if there
// is none.
func (u *uplinks) direct(dst netip.Addr) stack.LinkID {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, networks := range u.local {
		if u.state[name].Usable() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(dst) }) {
			return u.ids[name]
		}
	}
	return 0
}
