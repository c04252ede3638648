package stack

import (
	"container/heap"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// DefaultMaxTimeWait is how many connections are kept in TIME-WAIT.
const DefaultMaxTimeWait = 16384

// Remnants is a machine that can be reduced to what TIME-WAIT needs of its
// subflows, once the application is done with it and nothing else is left.
type Remnants interface {
	// Lingers reports whether TIME-WAIT is all there is.
	Lingers() bool
	// Remnant returns what is left of subflow sub; false: nothing.
	Remnant(sub int) (tcp.Remnant, bool)
}

var _ Remnants = (*tcp.Stream)(nil)

// timeWait is a connection in TIME-WAIT: a record in place of a machine.
type timeWait struct {
	envelope
	r    tcp.Remnant
	i    int // in the heap
	next *timeWait
}

func (w *timeWait) at() tuple        { return tuple{w.local, w.remote} }
func (w *timeWait) link() **timeWait { return &w.next }

// timeWaits are ordered by their end, the first one first.
type timeWaits []*timeWait

func (h timeWaits) Len() int           { return len(h) }
func (h timeWaits) Less(i, j int) bool { return h[i].r.Until() < h[j].r.Until() }
func (h timeWaits) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].i, h[j].i = i, j
}

// Push implements heap.Interface.
func (h *timeWaits) Push(x any) {
	w := x.(*timeWait)
	w.i = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *timeWaits) Pop() any {
	n := len(*h) - 1
	w := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	if n == 0 {
		*h = nil
	}
	return w
}

// linger replaces p by a record until 2 MSL are over. Where there are too many
// records, the oldest one goes: what it protects from, timestamps and clocked
// sequence numbers keep away mostly, too (RFC 6191 §2, RFC 6528 §3).
func (s *Stack) linger(p *Path, r tcp.Remnant) {
	t := &s.tcp
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.paths.remove(p) || s.closed.Load() {
		return
	}
	limit := s.opts.MaxTimeWait
	if limit == 0 {
		limit = DefaultMaxTimeWait
	}
	for len(t.waits) > 0 && len(t.waits) >= limit {
		t.unwait(t.waits[0])
		s.counters.TimeWaitsEvicted.Add(1)
	}
	if limit < 0 {
		return
	}
	w := &timeWait{envelope: p.envelope, r: r}
	t.waiting.put(w)
	heap.Push(&t.waits, w)
	s.armTimeWait()
}

func (t *table) unwait(w *timeWait) {
	if t.waiting.remove(w) {
		heap.Remove(&t.waits, w.i)
	}
}

// armTimeWait makes the one timer of all records fire when the first of them
// ends. The caller holds the table's lock.
func (s *Stack) armTimeWait() {
	t := &s.tcp
	if len(t.waits) == 0 || t.expiring {
		return
	}
	t.expiring = true
	d := t.waits[0].r.Until().Sub(s.now())
	if t.expiry == nil {
		t.expiry = s.clock.AfterFunc(max(d, notAgain), s.expireTimeWaits)
		return
	}
	t.expiry.Reset(max(d, notAgain))
}

func (s *Stack) expireTimeWaits() {
	t := &s.tcp
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expiring = false
	now := s.now()
	for len(t.waits) > 0 && t.waits[0].r.Until().Reached(now) {
		t.unwait(t.waits[0])
	}
	s.armTimeWait()
}

// dropTimeWaits forgets all records: the stack closes.
func (s *Stack) dropTimeWaits() {
	t := &s.tcp
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.waits) > 0 {
		t.unwait(t.waits[0])
	}
	if t.expiry != nil {
		t.expiry.Stop()
	}
}

// lingers handles a segment for a connection in TIME-WAIT; false: there is
// none, or the segment may begin a new one, which then is free to.
func (s *Stack) lingers(in *Incoming) bool {
	t := &s.tcp
	var out wire.Segment
	t.mu.Lock()
	w := t.waiting.get(tuple{in.Local, in.Remote})
	if w == nil {
		t.mu.Unlock()
		return false
	}
	now := s.now()
	if w.r.Until().Reached(now) {
		t.unwait(w)
		t.mu.Unlock()
		return false
	}
	if w.r.Reopens(in.Segment, !s.opts.Tuning.NoTimestamps) {
		t.unwait(w)
		t.mu.Unlock()
		s.counters.TimeWaitsReopened.Add(1)
		in.begin.after(w.r.Next())
		return false
	}
	reply := w.r.Receive(now, in.Segment, &out)
	heap.Fix(&t.waits, w.i)
	t.mu.Unlock()
	in.Drop()
	if reply {
		s.sendLoose(in.nic, in.Local, in.Remote, &out)
	}
	return true
}

// reusable reports whether a connection may be dialed from a 4-tuple, as far as
// TIME-WAIT goes, and frees it if so. The caller holds the table's lock.
func (t *table) reusable(k tuple, now mono.Time) (after *timeWait, ok bool) {
	w := t.waiting.get(k)
	if w == nil {
		return nil, true
	}
	if !w.r.Until().Reached(now) && !w.r.Reusable(now) {
		return nil, false
	}
	t.unwait(w)
	return w, true
}
