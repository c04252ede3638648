package stack

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// waiting is who waits for a Sock, and until when. The Sock's lock guards it.
type waiting struct {
	read, write *gate // nil: nobody has waited, and there is no deadline
	writing     bool  // a Write is going on: Writes are not mixed
	reset       bool  // Close resets
	lingering   time.Duration
}

// linger notes what Close is to do, see Conn.SetLinger.
func (w *waiting) linger(seconds int) {
	w.reset = seconds == 0
	w.lingering = time.Duration(max(seconds, 0)) * time.Second
}

// gate returns one of the two, made when it is first needed: most connections
// of a busy host rest with nobody waiting.
func (k *Sock) gate(g **gate) *gate {
	if *g == nil {
		*g = new(gate)
		(*g).init(&k.mu, k.s.clock)
	}
	return *g
}

// wake wakes those for whom there is something to do.
func (w *waiting) wake(r tcp.Readiness) {
	if r.Has(tcp.Readable) {
		w.read.wake()
	}
	if r.Has(tcp.Writable) {
		w.write.wake()
	}
}

func (w *waiting) wakeAll() {
	w.read.wake()
	w.write.wake()
}

// gate is one direction: a condition and a deadline. mu guards it. A nil gate
// has nobody to wake and no deadline.
type gate struct {
	mu      *sync.Mutex
	clock   tcpip.Clock
	cond    sync.Cond
	waiting bool // somebody waits and was not woken yet
	passed  bool // the deadline has passed
	timer   tcpip.Timer
	gen     uint64 // of the deadline: a timer of an older one has no say
}

func (w *gate) init(mu *sync.Mutex, c tcpip.Clock) {
	w.mu, w.clock, w.cond.L = mu, c, mu
}

// wait blocks until wake; the caller holds mu and looks again afterwards.
func (w *gate) wait() {
	w.waiting = true
	w.cond.Wait()
}

func (w *gate) wake() {
	if w != nil && w.waiting {
		w.waiting = false
		w.cond.Broadcast()
	}
}

// setDeadline sets the deadline; the zero time is none. The caller holds mu.
func (w *gate) setDeadline(t time.Time) {
	w.gen++
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.passed = false
	if t.IsZero() {
		return
	}
	d := t.Sub(w.clock.Now())
	if d <= 0 {
		w.passed = true
		w.wake()
		return
	}
	gen := w.gen
	w.timer = w.clock.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.gen == gen {
			w.passed = true
			w.wake()
		}
	})
}

// stop ends the deadline's timer. The caller holds mu.
func (w *gate) stop() {
	if w == nil {
		return
	}
	w.gen++
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// blocked returns why an operation may not go on, or nil.
func (w *gate) blocked(closed bool) error {
	switch {
	case closed:
		return net.ErrClosed
	case w != nil && w.passed:
		return os.ErrDeadlineExceeded
	}
	return nil
}
