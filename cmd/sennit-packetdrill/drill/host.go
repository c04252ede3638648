//go:build linux

package drill

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Host is one end of the network, with its sockets and its clock. All methods
// may be called from several threads.
type Host struct {
	flags    Flags
	settings *settings // read at the first socket

	mu    sync.Mutex
	cond  *sync.Cond // something happened: a step, a wait that began or ended
	clock clock

	sockets map[int]*socket
	polls   map[int]*epoll
	flows   []*flow           // every machine that is not finished, oldest first
	tuples  map[tuple]binding // who gets a segment
	tokens  map[uint32]*flow  // Multipath TCP connections
	cookies map[netip.Addr]remembered
	ports   uint16   // the last ephemeral port
	drawn   uint64   // how many numbers random gave
	out     []Packet // emitted, not collected
	scratch wire.Segment

	waiting   map[*waiter]struct{}
	returning map[int]struct{} // threads whose blocking call has just come back
	closed    bool

	// thread tells calls from several threads apart.
	thread func() int
}

// tuple is the 4-tuple of a connection, or subflow, as this host sees it.
type tuple struct{ local, remote netip.AddrPort }

type binding struct {
	f   *flow
	sub int
}

// Packet is an IP packet that left.
type Packet struct {
	Bytes []byte
	At    mono.Time
}

// New makes a host. The calling thread drives time.
func New(f Flags) *Host {
	h := &Host{
		flags: f, clock: clock{now: origin},
		sockets: map[int]*socket{}, polls: map[int]*epoll{},
		tuples: map[tuple]binding{}, tokens: map[uint32]*flow{}, ports: firstPort,
		cookies: map[netip.Addr]remembered{},
		waiting: map[*waiter]struct{}{}, returning: map[int]struct{}{},
		thread: unix.Gettid,
	}
	h.cond = sync.NewCond(&h.mu)
	h.clock.driver = h.thread()
	return h
}

// Free closes what is left and ends all waiting.
func (h *Host) Free() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for fd := range h.sockets {
		unix.Close(fd)
	}
	for fd := range h.polls {
		unix.Close(fd)
	}
	clear(h.sockets)
	clear(h.polls)
	h.cond.Broadcast()
}

// socket returns the socket of a descriptor. The caller holds mu.
func (h *Host) socket(fd int) (*socket, unix.Errno) {
	if s := h.sockets[fd]; s != nil {
		return s, 0
	}
	return nil, unix.EBADF
}

// do runs a step of f's machine and everything that follows from it. The
// caller holds mu.
func (h *Host) do(f *flow, step func(now mono.Time)) {
	step(h.clock.now)
	h.settle(f)
}

// settle takes out what f's machine has to say and answers what it asks.
func (h *Host) settle(f *flow) {
	seg := &h.scratch
	for {
		for range maxEmits {
			sub, ok := f.m.Emit(h.clock.now, seg)
			if !ok {
				break
			}
			if t, known := f.paths[sub]; known {
				h.transmit(t, seg, f.tos(), f.ttl())
			}
			chunk.ReleaseAll(seg.Payload)
		}
		if !f.serveWants() {
			break
		}
	}
	f.noteState()
	if f.ended() {
		h.drop(f)
	}
	h.cond.Broadcast()
}

// maxEmits bounds what a machine may send at one instant: beyond it, it spins.
const maxEmits = 1 << 16

// drop forgets a flow whose machine is finished.
func (h *Host) drop(f *flow) {
	for _, t := range f.paths {
		if h.tuples[t].f == f {
			delete(h.tuples, t)
		}
	}
	if f.mp != nil {
		delete(h.tokens, f.mp.Token())
	}
	if i := slices.Index(h.flows, f); i >= 0 {
		h.flows = slices.Delete(h.flows, i, i+1)
	}
}

// add makes a flow known under a 4-tuple.
func (h *Host) add(f *flow, sub int, t tuple) {
	if len(f.paths) == 0 {
		h.flows = append(h.flows, f)
	}
	f.paths[sub] = t
	h.tuples[t] = binding{f, sub}
}

// waiter is a call that blocks on a thread that does not drive time.
type waiter struct {
	ready func() bool
	until mono.Time // 0: for ever
}

func (w *waiter) over(now mono.Time) bool { return w.ready() || w.until.Reached(now) }

// wait blocks until ready says so, or for d (0: for ever) at most; it reports
// whether ready. The caller holds mu.
func (h *Host) wait(d time.Duration, ready func() bool) bool {
	if ready() {
		return true
	}
	w := &waiter{ready: ready}
	if d > 0 {
		w.until = h.clock.now.Add(d)
	}
	me := h.thread()
	if me == h.clock.driver {
		return h.driveUntil(w)
	}
	h.waiting[w] = struct{}{}
	h.cond.Broadcast()
	for !w.over(h.clock.now) && !h.closed {
		h.cond.Wait()
	}
	delete(h.waiting, w)
	h.returning[me] = struct{}{}
	h.cond.Broadcast()
	return ready()
}

// longest is how far a blocking call on the driving thread lets time pass when
// it names no limit: nobody else could end it.
const longest = 10 * time.Minute

// driveUntil lets time pass until w is over.
func (h *Host) driveUntil(w *waiter) bool {
	limit := w.until
	if limit == 0 {
		limit = h.clock.now.Add(longest)
	}
	for !w.ready() && h.clock.now < limit {
		h.advance(min(limit, max(h.nextDeadline(limit), h.clock.now+1)))
		h.quiesce()
	}
	return w.ready()
}

// quiesce waits until no blocked call could go on: those that can are let
// finish, or block again. The caller holds mu.
func (h *Host) quiesce() {
	for h.anyReady() && !h.closed {
		h.cond.Broadcast()
		h.cond.Wait()
	}
}

func (h *Host) anyReady() bool {
	for w := range h.waiting {
		if w.over(h.clock.now) {
			return true
		}
	}
	return false
}
