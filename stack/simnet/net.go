package simnet

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// start is the time of a new network. A clock never hands out zero.
const start = mono.Time(time.Second)

// Net is a network and its clock. It is not safe for concurrent use.
type Net struct {
	now    mono.Time
	events eventHeap
	order  uint64
	rng    *rand.Rand
	err    error

	links  []*Link
	routes map[routeKey]*Link

	// Trace, if set, is shown what becomes of every packet.
	Trace func(now mono.Time, where, what string, p *Packet)
}

// New returns an empty network whose randomness comes from seed alone.
func New(seed uint64) *Net {
	return &Net{now: start, rng: rand.New(rand.NewPCG(seed, 0x5e2217)), routes: map[routeKey]*Link{}}
}

// Now returns the virtual time.
func (n *Net) Now() mono.Time { return n.now }

// Elapsed returns how much virtual time has passed since New.
func (n *Net) Elapsed() time.Duration { return n.now.Sub(start) }

// Rand returns the network's generator, for tests that want their own choices
// to be replayed with it.
func (n *Net) Rand() *rand.Rand { return n.rng }

// Err returns the first violation of a rule that the network itself checks: a
// deadline that stays in the past, a machine that never stops emitting, an
// undeliverable segment.
func (n *Net) Err() error { return n.err }

func (n *Net) fail(format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf("simnet: after %v: %s", n.Elapsed(), fmt.Sprintf(format, args...))
	}
}

// At calls f at time t, or now if t is past.
func (n *Net) At(t mono.Time, f func()) {
	n.order++
	heap.Push(&n.events, event{at: max(t, n.now), order: n.order, f: f})
}

// After calls f after d.
func (n *Net) After(d time.Duration, f func()) { n.At(n.now.Add(d), f) }

// Step runs the next event. It reports false when there is none.
func (n *Net) Step() bool {
	if len(n.events) == 0 {
		return false
	}
	e := heap.Pop(&n.events).(event)
	n.now = e.at
	e.f()
	return true
}

// Run steps until done reports true, nothing is left to happen, or d has
// passed. It returns what done reports then, or false after a violation.
func (n *Net) Run(d time.Duration, done func() bool) bool {
	end := n.now.Add(d)
	for n.err == nil && !done() {
		if len(n.events) == 0 {
			return false
		}
		if n.events[0].at > end {
			n.now = end
			return false
		}
		n.Step()
	}
	return n.err == nil
}

// Sleep runs everything that happens within d.
func (n *Net) Sleep(d time.Duration) {
	end := n.now.Add(d)
	n.Run(d, func() bool { return false })
	n.now = max(n.now, end) // Run stops early when nothing is left
}

// chance draws whether something of probability p happens. It draws nothing
// where the answer is known, so that a feature left out changes no other draw.
func (n *Net) chance(p float64) bool { return p > 0 && (p >= 1 || n.rng.Float64() < p) }

// upTo draws a duration below d.
func (n *Net) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.rng.Int64N(int64(d)))
}

func (n *Net) trace(where, what string, p *Packet) {
	if n.Trace != nil {
		n.Trace(n.now, where, what, p)
	}
}

type event struct {
	at    mono.Time
	order uint64
	f     func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// node is an end of a link.
type node interface {
	name() string
	// arrive takes over p, which came over l.
	arrive(l *Link, p *Packet)
}

type routeKey struct {
	from node
	dst  netip.Addr
}

// route returns the link on which a packet at from is nearest to dst, nil if
// dst is nowhere. Ties go to the link made first.
func (n *Net) route(from node, dst netip.Addr) *Link {
	key := routeKey{from, dst}
	if l, ok := n.routes[key]; ok {
		return l
	}
	l := n.search(from, dst)
	n.routes[key] = l
	return l
}

// search is a breadth-first search for the link that dst is bound to.
func (n *Net) search(from node, dst netip.Addr) *Link {
	type step struct {
		at    node
		first *Link
	}
	seen := map[node]bool{from: true}
	queue := []step{{at: from}}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, l := range n.links {
			if l.a != s.at && l.b != s.at {
				continue
			}
			first, next := s.first, l.other(s.at)
			if first == nil {
				first = l
			}
			if l.leadsTo(next, dst) {
				return first
			}
			// Only routers forward.
			if _, ok := next.(*Router); ok && !seen[next] {
				seen[next] = true
				queue = append(queue, step{next, first})
			}
		}
	}
	return nil
}

// Router forwards packets on the shortest way to where their destination is
// bound.
type Router struct {
	net   *Net
	label string
}

// Router adds a router.
func (n *Net) Router(name string) *Router { return &Router{n, name} }

func (r *Router) name() string { return r.label }

func (r *Router) arrive(from *Link, p *Packet) {
	l := r.net.route(r, p.Dst)
	if l == nil || l == from {
		r.net.trace(r.label, "no route", p)
		return
	}
	l.send(r, p)
}
