package stack

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// sockTimer is the one real timer of a Sock. A deadline that moves later
// leaves it alone: it fires early once and is armed again then. So the
// retransmission timer, restarted by every ACK, costs nothing.
type sockTimer struct {
	t     tcpip.Timer
	armed mono.Time // when it fires; 0: it does not run
}

// notAgain is the least time until a machine is advanced again. A deadline
// that stays due, which would be a mistake of the machine, then costs little
// instead of a processor.
const notAgain = time.Millisecond

// Rester is a machine that holds memory for reuse, which it can give back when
// nothing has happened for a while.
type Rester interface {
	Rest()
}

// restAfter is how long a connection has to be silent to be idle.
const restAfter = time.Second

// arm makes k's timer fire no later than the machine's deadline. A connection
// that was used and has no deadline gets one all the same, to rest.
func (t *sockTimer) arm(k *Sock, now mono.Time) {
	deadline := k.machine.Deadline()
	if k.life.gone {
		return
	}
	if deadline.IsZero() {
		if !k.used {
			return
		}
		deadline = now.Add(restAfter)
	}
	if deadline <= now {
		deadline = now.Add(notAgain)
	}
	if t.armed != 0 && t.armed <= deadline {
		return
	}
	t.armed = deadline
	d := deadline.Sub(now)
	if t.t == nil {
		t.t = k.s.clock.AfterFunc(d, k.fire)
		return
	}
	t.t.Reset(d)
}

func (t *sockTimer) stop() {
	if t.t != nil {
		t.t.Stop()
	}
	t.armed = 0
}

// fire is the timer's function.
func (k *Sock) fire() {
	k.mu.Lock()
	if k.life.gone {
		k.mu.Unlock()
		return
	}
	k.timer.armed = 0
	now := k.s.now()
	if k.used && !k.busy && now.Sub(k.last) >= restAfter {
		k.used = false
		if r, ok := k.machine.(Rester); ok {
			r.Rest()
		}
	}
	if !k.used && k.machine.Deadline().IsZero() {
		// An idle connection has no timer.
		k.timer.t = nil
	}
	k.settle(now)
}
