package stack

import (
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

// arm makes k's timer fire no later than deadline.
func (t *sockTimer) arm(k *Sock, now, deadline mono.Time) {
	if deadline.IsZero() || (t.armed != 0 && t.armed <= deadline) {
		return
	}
	t.armed = deadline
	d := max(deadline.Sub(now), 0)
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
	k.settle(k.s.now())
}
