package uplink

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// monitor follows the physical interfaces. A link that goes down is told as
// soon as its message is read; everything else by looking at the interface
// anew, after its table was brought into step.
type monitor struct {
	host *Host
	ns   netns.NsHandle
	done chan struct{}
	wait sync.WaitGroup
	feed *feed

	mu     sync.Mutex
	states map[*Link]State
	addrs  map[*Link][]netip.Prefix
	watch  func(Change)
	missed []Change
}

// startMonitor subscribes on the calling thread, so that nothing that changes
// afterwards is missed.
func startMonitor(h *Host, ns netns.NsHandle) (*monitor, error) {
	m := &monitor{host: h, ns: ns, done: make(chan struct{}), states: map[*Link]State{}, addrs: map[*Link][]netip.Prefix{}}
	for _, l := range h.links {
		m.states[l], m.addrs[l] = l.State, l.Addrs
	}
	var err error
	if m.feed, err = subscribe(ns); err != nil {
		ns.Close()
		return nil, err
	}
	m.wait.Add(1)
	go m.run()
	return m, nil
}

// feed is what the kernel tells. It ends, by closing a channel, when the kernel
// had more to tell than a socket held.
type feed struct {
	done   chan struct{}
	links  chan netlink.LinkUpdate
	addrs  chan netlink.AddrUpdate
	routes chan netlink.RouteUpdate
}

const feedBuffer = 1 << 20 // bytes of netlink messages

func subscribe(ns netns.NsHandle) (*feed, error) {
	f := &feed{done: make(chan struct{}), links: make(chan netlink.LinkUpdate, 16),
		addrs: make(chan netlink.AddrUpdate, 16), routes: make(chan netlink.RouteUpdate, 64)}
	if err := netlink.LinkSubscribeWithOptions(f.links, f.done, netlink.LinkSubscribeOptions{Namespace: &ns,
		ReceiveBufferSize: feedBuffer, ReceiveBufferForceSize: true}); err != nil {
		return nil, f.fail(err)
	}
	if err := netlink.AddrSubscribeWithOptions(f.addrs, f.done, netlink.AddrSubscribeOptions{Namespace: &ns,
		ReceiveBufferSize: feedBuffer, ReceiveBufferForceSize: true}); err != nil {
		return nil, f.fail(err)
	}
	if err := netlink.RouteSubscribeWithOptions(f.routes, f.done, netlink.RouteSubscribeOptions{Namespace: &ns,
		ReceiveBufferSize: feedBuffer, ReceiveBufferForceSize: true}); err != nil {
		return nil, f.fail(err)
	}
	return f, nil
}

func (f *feed) fail(err error) error {
	close(f.done)
	return fmt.Errorf("follow interfaces: %w", err)
}

// close ends the subscriptions, and lets those that wait to tell us something
// finish.
func (f *feed) close() {
	close(f.done)
	go drain(f.links)
	go drain(f.addrs)
	go drain(f.routes)
}

func drain[T any](c <-chan T) {
	for c != nil {
		if _, ok := <-c; !ok {
			return
		}
	}
}

// run is the monitor's goroutine. It stays on one thread in the namespace of
// Setup; the thread ends with it.
func (m *monitor) run() {
	defer m.wait.Done()
	defer m.ns.Close()
	runtime.LockOSThread()
	if err := netns.Set(m.ns); err != nil {
		return
	}
	var pending map[*Link]bool // links to look at again
	var timer <-chan time.Time
	again := func(l *Link) {
		if pending == nil {
			pending, timer = map[*Link]bool{}, time.After(settle)
		}
		pending[l] = true
	}
	all := func() {
		for _, l := range m.host.links {
			again(l)
		}
	}
	all() // what changed between Setup's look and the subscription shows now
	defer func() { m.feed.close() }()
	for {
		more := true
		select {
		case <-m.done:
			return
		case u, ok := <-m.feed.links:
			if more = ok; ok {
				m.linkChanged(u, again)
			}
		case u, ok := <-m.feed.addrs:
			if more = ok; ok {
				m.changed(u.LinkIndex, again)
			}
		case u, ok := <-m.feed.routes:
			if more = ok; ok {
				m.routeChanged(u, again)
			}
		case <-timer:
			for l := range pending {
				m.refresh(l)
			}
			pending, timer = nil, nil
		}
		if !more {
			m.resubscribe()
			all()
		}
	}
}

// resubscribe replaces a feed that ended; it tries until it can.
func (m *monitor) resubscribe() {
	m.feed.close()
	for {
		f, err := subscribe(m.ns)
		if err == nil {
			m.feed = f
			return
		}
		select {
		case <-m.done:
			m.feed = &feed{done: make(chan struct{})}
			return
		case <-time.After(time.Second):
		}
	}
}

// settle is how long changes are collected before a link is looked at.
const settle = 2 * time.Millisecond

// linkChanged handles a message about an interface. Interfaces are known by
// name: one that was unplugged and comes back has another index.
func (m *monitor) linkChanged(u netlink.LinkUpdate, again func(*Link)) {
	a := u.Attrs()
	for _, l := range m.host.links {
		if a.Name != l.Name && a.Index != l.Index {
			continue
		}
		gone := u.Header.Type == unix.RTM_DELLINK && u.IfInfomsg.Family == unix.AF_UNSPEC
		switch {
		case gone && a.Index == l.Index:
			m.tell(l, Interface{}, "interface removed")
		case a.Name != l.Name: // renamed
			m.tell(l, Interface{}, "interface renamed")
		case a.RawFlags&unix.IFF_UP == 0:
			m.tell(l, Interface{}, "interface down")
		case !running(a):
			m.tell(l, Interface{}, "no carrier")
		}
		again(l)
	}
}

func (m *monitor) changed(index int, again func(*Link)) {
	for _, l := range m.host.links {
		if l.Index == index {
			again(l)
		}
	}
}

// routeChanged follows the main table, and our own where somebody else takes
// routes away: network managers do that to what they do not know.
func (m *monitor) routeChanged(u netlink.RouteUpdate, again func(*Link)) {
	for _, l := range m.host.links {
		if u.Table == l.table && u.Type == unix.RTM_DELROUTE {
			again(l)
		}
	}
	if u.Protocol == routeProtocol {
		return
	}
	m.changed(u.LinkIndex, again)
	for _, hop := range u.MultiPath {
		m.changed(hop.LinkIndex, again)
	}
}

// refresh looks at a link, brings its table into step, and tells.
func (m *monitor) refresh(l *Link) {
	i, routes, err := l.look()
	if err != nil {
		m.tell(l, Interface{}, "interface removed")
		return
	}
	if i.Index != l.Index {
		// It is another device of the same name: forwarding is off again.
		l.Index = i.Index
		m.host.reopen(l)
	}
	for _, f := range l.families() {
		if err := l.syncTable(f, routes[f]); err != nil && !i.State.Up {
			break // routes cannot be had on a device that is down
		}
		l.restoreRules(f)
	}
	m.tell(l, i, reason(i.State))
}

func reason(s State) string {
	switch {
	case !s.Up:
		return "interface down"
	case !s.Usable():
		return "no address or no route"
	}
	return "interface up"
}

// look inspects the physical interface as it is now.
func (l *Link) look() (Interface, seen, error) {
	dev, err := netlink.LinkByName(l.Name)
	if err != nil {
		return Interface{}, nil, err
	}
	i, routes, err := inspect(dev, l.named)
	if l.Default4 || l.Default6 {
		// It had a default route: without one it is only half way up.
		i.State.IPv4 = i.State.IPv4 && i.Default4
		i.State.IPv6 = i.State.IPv6 && i.Default6
	}
	return i, routes, err
}

// reopen switches forwarding on for an interface that came back. The journal
// has its names already.
func (h *Host) reopen(l *Link) {
	for _, s := range h.journal.steps {
		if s.Kind == stepSysctl && (s.Path == conf("ipv4", l.Name, "forwarding") || s.Path == conf("ipv6", l.Name, "force_forwarding")) {
			// If the interface has gone again, the next change of it tells.
			_ = writeIfOther(s.Path, s.Set)
		}
	}
}

// tell passes a change on, once.
func (m *monitor) tell(l *Link, i Interface, cause string) {
	s := i.State
	if !l.IPv6.IsValid() {
		s.IPv6 = false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states[l] == s && slices.Equal(m.addrs[l], i.Addrs) {
		return
	}
	m.states[l], m.addrs[l] = s, i.Addrs
	c := Change{Link: l.Name, State: s, Addrs: i.Addrs, Cause: cause}
	if m.watch == nil {
		m.missed = append(m.missed, c)
		return
	}
	m.watch(c)
}

// Watch has f called for each change from now on, and for those since Setup
// that nobody has heard of. f is called from one goroutine at a time and must
// not call Close.
func (h *Host) Watch(f func(Change)) {
	m := h.monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = f
	for _, c := range m.missed {
		f(c)
	}
	m.missed = nil
}

func (m *monitor) stop() {
	close(m.done)
	m.wait.Wait()
}
