package stack

import (
	"sync"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Machine is what runs under a Sock: a plain tcp.Stream, or a Multipath TCP
// connection. sub tells its subflows apart; a plain stream has only 0.
type Machine interface {
	// Receive takes a segment and the references of its payload.
	Receive(now mono.Time, sub int, seg *wire.Segment)
	// Control takes an ICMP error about a subflow.
	Control(now mono.Time, sub int, e tcp.PathError)
	// Advance tells that the deadline came.
	Advance(now mono.Time)
	// Emit fills seg with the next segment to send on subflow sub and hands
	// over the references of its payload; false: there is none.
	Emit(now mono.Time, seg *wire.Segment) (sub int, ok bool)
	// Deadline is when Advance wants to be called; 0: never.
	Deadline() mono.Time
	// App is the side of the application.
	App() tcp.App
}

var _ Machine = (*tcp.Stream)(nil)

// Hooks are how the owner of a Sock follows it. Any may be nil.
type Hooks struct {
	// Step runs under the lock after each step of the machine. When it reports
	// true, Outside runs soon, without the lock. Step must not call the Sock.
	Step    func(now mono.Time) bool
	Outside func()
	// Opened runs once, without the lock, when the handshake is done.
	Opened func()
	// Ended runs once, without the lock, when the machine is finished and its
	// 4-tuples are free again.
	Ended func()
}

// Sock is a machine under its lock, with its 4-tuples, its timer, and those
// who wait for it. All subflows of a connection share one Sock, so one lock.
//
// Every step has the same form: lock, let the machine do it, settle. Settling
// takes what the machine emits, in batches, and writes it after unlocking; the
// goroutine that finds nobody writing does so until nothing is left, others
// leave it the work.
type Sock struct {
	s       *Stack
	machine Machine
	app     tcp.App
	hooks   Hooks

	mu     sync.Mutex // guards the machine and what follows
	paths  []*Path    // by subflow; nil: gone
	only   [1]*Path   // their memory while there is one
	dead   []*Path    // to be closed once nothing is left to emit
	busy   bool       // a goroutine is writing
	used   bool       // bytes moved since the machine last rested
	last   mono.Time  // the latest instant the machine has settled at
	timer  sockTimer
	io     waiting
	life   life
	tuning *tcp.Tuning // shared with others as long as it is the default
}

// life is how far a Sock has come.
type life struct {
	opened  bool          // handshake done
	ended   bool          // the machine is finished
	gone    bool          // and its 4-tuples are free
	closed  bool          // the application closed it
	settled chan struct{} // closed when opened or ended; nil: nobody asked, or it was
}

// NewSock puts m under a lock. It has no path yet: see NewPath, AcceptPath and
// Attach. tuning is what SetNoDelay and its like start from.
func (s *Stack) NewSock(m Machine, tuning tcp.Tuning, h Hooks) (*Sock, error) {
	k := &Sock{s: s, machine: m, app: m.App(), hooks: h, tuning: s.tuned(tuning)}
	if !s.adopt(k) {
		return nil, ErrClosed
	}
	return k, nil
}

// tuned returns where t is kept.
func (s *Stack) tuned(t tcp.Tuning) *tcp.Tuning {
	if t == s.opts.Tuning {
		return &s.opts.Tuning
	}
	own := t
	return &own
}

// Do runs f under the lock, as a step of the machine. f must not block.
func (k *Sock) Do(f func(now mono.Time)) {
	k.mu.Lock()
	now := k.s.now()
	f(now)
	k.settle(now)
}

// Look runs f under the lock, for a look at the machine that does not change
// it.
func (k *Sock) Look(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// Attach makes p the path of subflow sub. Call it from a function given to Do.
func (k *Sock) Attach(sub int, p *Path) {
	if k.paths == nil {
		k.paths = k.only[:0]
	}
	for len(k.paths) <= sub {
		k.paths = append(k.paths, nil)
	}
	k.paths[sub] = p
	p.sub = int32(sub)
	p.sock.Store(k)
}

// Detach frees the path of subflow sub, after what the machine still emits for
// it. Call it from a function given to Do, or from Step.
func (k *Sock) Detach(sub int) {
	if p := k.path(sub); p != nil {
		k.dead = append(k.dead, p)
	}
}

func (k *Sock) path(sub int) *Path {
	if sub < 0 || sub >= len(k.paths) {
		return nil
	}
	return k.paths[sub]
}

// Path returns the path of subflow sub, or nil. Call it from a function given
// to Do, Look or Step.
func (k *Sock) Path(sub int) *Path { return k.path(sub) }

// Tuning returns what the application set last. Call it from a function given
// to Do, Look or Step.
func (k *Sock) Tuning() tcp.Tuning { return *k.tuning }

// settled is the channel of every Sock that has settled.
var settled = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Settled is closed when the handshake is done or the machine has ended.
func (k *Sock) Settled() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life.opened || k.life.ended {
		return settled
	}
	if k.life.settled == nil {
		k.life.settled = make(chan struct{})
	}
	return k.life.settled
}

// hasSettled tells those who wait for it.
func (l *life) hasSettled() {
	if l.settled != nil {
		close(l.settled)
		l.settled = nil
	}
}

// Opened reports whether the handshake was done.
func (k *Sock) Opened() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.life.opened
}

// Abort resets the connection.
func (k *Sock) Abort() {
	k.Do(func(now mono.Time) { k.app.Abort(now) })
}

// stackClosed ends k with its stack.
func (k *Sock) stackClosed() {
	k.mu.Lock()
	k.life.closed = true
	k.io.wakeAll()
	now := k.s.now()
	k.app.Abort(now)
	k.settle(now)
}

// batchSize is how many segments are emitted in one go under the lock.
const batchSize = 16

// batch is the memory of one goroutine that writes for a Sock.
type batch struct {
	segs    [batchSize]wire.Segment
	ways    [batchSize]envelope // as they were under the lock
	n       int
	scratch scratch
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// settle ends a step: it is entered with the lock held and leaves without.
func (k *Sock) settle(now mono.Time) {
	// The end of a batch settles at the time of receipt; somebody else may have
	// been here since, and time must not go back.
	now = max(now, k.last)
	k.last = now
	if k.busy {
		// Whoever writes arms the timer afterwards.
		k.run(k.update(now))
		return
	}
	k.busy = true
	var b *batch
	for {
		k.advance(now)
		b = k.emit(now, b)
		e := k.update(now)
		k.timer.arm(k, now)
		if b == nil || b.n == 0 {
			k.busy = false
			e.freed, e.over = k.retire()
			k.run(e)
			break
		}
		k.run(e)
		k.s.write(b)
		k.mu.Lock()
		now = k.s.now()
		k.last = now
	}
	if b != nil {
		batches.Put(b)
	}
}

// advance lets the machine do what is due.
func (k *Sock) advance(now mono.Time) {
	for range 4 {
		if !k.machine.Deadline().Reached(now) {
			return
		}
		k.machine.Advance(now)
	}
}

// emit fills b, which it makes when there is something to put into it.
func (k *Sock) emit(now mono.Time, b *batch) *batch {
	if b != nil {
		b.n = 0
	} else {
		b = batches.Get().(*batch)
		b.n = 0
	}
	for b.n < batchSize {
		seg := &b.segs[b.n]
		sub, ok := k.machine.Emit(now, seg)
		if !ok {
			break
		}
		p := k.path(sub)
		if p == nil {
			chunk.ReleaseAll(seg.Payload)
			continue
		}
		b.ways[b.n] = p.envelope
		b.n++
	}
	return b
}

// write sends a batch and gives its payload back.
func (s *Stack) write(b *batch) {
	for i := range b.n {
		seg := &b.segs[i]
		// A failed write is a lost segment: the machine finds out as it does
		// for any other.
		_ = s.send(&b.ways[i], seg, &b.scratch)
		chunk.ReleaseAll(seg.Payload)
		b.ways[i].nic = nil
	}
}

// effects are what a step asks for outside of the lock.
type effects struct {
	outside, opened bool
	freed           []parting
	learned         []news
	over            bool
}

// parting is a path that is not needed any more, and what TIME-WAIT is to keep
// of it.
type parting struct {
	path    *Path
	remnant tcp.Remnant
	lingers bool
}

// update notes what changed with a step: readiness, and what hooks say.
func (k *Sock) update(now mono.Time) (e effects) {
	if k.life.gone {
		return e
	}
	r := k.app.Ready()
	if !k.life.opened && r.Has(tcp.Opened) {
		k.life.opened = true
		k.life.hasSettled()
		e.opened = true
	}
	if !k.life.ended && r.Has(tcp.Ended) {
		k.life.ended = true
		k.life.hasSettled()
		k.io.wakeAll()
	}
	k.io.wake(r)
	e.learned = k.learned()
	if k.hooks.Step != nil {
		e.outside = k.hooks.Step(now)
	}
	return e
}

// retire frees paths that are not needed any more. It runs when nothing is
// left to emit.
func (k *Sock) retire() (freed []parting, over bool) {
	var rest Remnants
	if k.life.closed && !k.life.ended {
		if r, ok := k.machine.(Remnants); ok && r.Lingers() {
			rest, k.life.ended = r, true
		}
	}
	if k.life.ended && !k.life.gone {
		k.life.gone = true
		k.timer.stop()
		for i := range k.paths {
			k.Detach(i)
		}
		over = true
	}
	for _, p := range k.dead {
		q := parting{path: p}
		if rest != nil {
			q.remnant, q.lingers = rest.Remnant(int(p.sub))
		}
		freed = append(freed, q)
		if k.path(int(p.sub)) == p {
			k.paths[p.sub] = nil
		}
	}
	k.dead = nil
	return freed, over
}

// run unlocks and carries e out.
func (k *Sock) run(e effects) {
	k.mu.Unlock()
	for _, l := range e.learned {
		k.s.pmtu.put(k.s.now(), l.dst, l.mtu)
	}
	for _, q := range e.freed {
		if q.lingers {
			k.s.linger(q.path, q.remnant)
		}
		q.path.Close()
	}
	if e.opened && k.hooks.Opened != nil {
		k.hooks.Opened()
	}
	if e.outside && k.hooks.Outside != nil {
		k.hooks.Outside()
	}
	if e.over {
		k.s.disown(k)
		if k.hooks.Ended != nil {
			k.hooks.Ended()
		}
	}
}
