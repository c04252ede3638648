package stack

import (
	"net/netip"
	"sync"
)

// LinkChangeKind is what happened to a link.
type LinkChangeKind uint8

// Changes of links.
const (
	LinkAttached LinkChangeKind = iota
	LinkDetached
	LinkUp
	LinkDown
	AddrAdded   // LinkChange.Addr
	AddrRemoved // LinkChange.Addr
)

var linkChangeNames = [...]string{"link_attached", "link_detached", "link_up", "link_down",
	"address_added", "address_removed"}

func (k LinkChangeKind) String() string { return linkChangeNames[k] }

// LinkChange is a change of a link. Link is its state after the change.
type LinkChange struct {
	Kind LinkChangeKind
	Link LinkInfo
	Addr netip.Addr
}

// watchers hands changes to subscribers in the order they happened, without a
// lock held, so that a subscriber may call the stack.
type watchers struct {
	mu      sync.Mutex
	subs    []*watch
	queue   []LinkChange
	flushes bool // someone is delivering
}

type watch struct{ f func(LinkChange) }

// OnLinkChange calls f after every change of a link, in order, one at a time.
// f may call the stack, but a change it makes is told only after it returned.
// The returned function ends the subscription; f may still be running then.
func (s *Stack) OnLinkChange(f func(LinkChange)) (cancel func()) {
	w := &watch{f}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	s.watches.subs = append(s.watches.subs, w)
	return func() { s.watches.remove(w) }
}

func (ws *watchers) remove(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i, o := range ws.subs {
		if o == w {
			// A copy: flush may be walking the old list.
			ws.subs = append(append([]*watch(nil), ws.subs[:i]...), ws.subs[i+1:]...)
			return
		}
	}
}

func (ws *watchers) post(c LinkChange) {
	ws.mu.Lock()
	ws.queue = append(ws.queue, c)
	ws.mu.Unlock()
}

// flush delivers what was posted, unless another goroutine is at it.
func (ws *watchers) flush() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.flushes {
		return
	}
	ws.flushes = true
	for len(ws.queue) > 0 {
		c, subs := ws.queue[0], ws.subs
		ws.queue = ws.queue[1:]
		ws.mu.Unlock()
		for _, w := range subs {
			w.f(c)
		}
		ws.mu.Lock()
	}
	ws.flushes = false
}
