//go:build linux

package drill

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// clock is virtual time.
type clock struct {
	now    mono.Time
	driver int // the thread that injects and sleeps
}

// origin is when a host begins; epoch is what its calendar shows at time 0, in
// microseconds.
const (
	origin = mono.Time(time.Hour)
	epoch  = int64(1_700_000_000_000_000)
)

// Silence is how long Next waits for a packet, in virtual time.
const Silence = 10 * time.Second

// Patience in real time for a thread to come back from its blocking call: it
// will ask for the time at once, and the driver must not move it before.
const (
	sleepPatience = 20 * time.Millisecond
	askPatience   = time.Millisecond
)

func wall(t mono.Time) int64 { return epoch + int64(t)/1000 }

// nextDeadline returns the earliest deadline of machines and blocked calls, or
// limit.
func (h *Host) nextDeadline(limit mono.Time) mono.Time {
	at := limit
	for _, f := range h.flows {
		if d := f.deadline(); d != 0 {
			at = min(at, d)
		}
	}
	for w := range h.waiting {
		if w.until != 0 {
			at = min(at, w.until)
		}
	}
	return at
}

// advance moves the clock to t and has everything due done on the way, in
// order. The caller holds mu.
func (h *Host) advance(t mono.Time) {
	for {
		at := h.nextDeadline(t + 1)
		if at > t {
			break
		}
		h.clock.now = max(h.clock.now, at)
		for _, f := range append([]*flow(nil), h.flows...) {
			if f.deadline().Reached(h.clock.now) {
				f.advance()
			}
		}
		if h.anyReady() {
			// Calls that time out now see this instant.
			h.quiesce()
		}
	}
	h.clock.now = max(h.clock.now, t)
}

// SleepMicros lets time pass.
func (h *Host) SleepMicros(us int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drive()
	h.letReturn(sleepPatience)
	clear(h.returning)
	h.advance(h.clock.now.Add(time.Duration(us) * time.Microsecond))
	h.quiesce()
}

// Micros returns the time of day in microseconds. Each question takes one: the
// tool asks again and again until it is late enough.
func (h *Host) Micros() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	me := h.thread()
	delete(h.returning, me)
	h.cond.Broadcast()
	if me == h.clock.driver {
		h.letReturn(askPatience)
	}
	h.advance(h.clock.now.Add(time.Microsecond))
	h.quiesce()
	return wall(h.clock.now)
}

// drive notes that the calling thread drives time.
func (h *Host) drive() { h.clock.driver = h.thread() }

// letReturn gives threads that are coming back from a blocking call real time
// to ask for the virtual one.
func (h *Host) letReturn(patience time.Duration) {
	if len(h.returning) == 0 {
		return
	}
	over := false
	t := time.AfterFunc(patience, func() {
		h.mu.Lock()
		over = true
		h.cond.Broadcast()
		h.mu.Unlock()
	})
	defer t.Stop()
	for len(h.returning) > 0 && !over {
		h.cond.Wait()
	}
}

// Next returns the next packet that left, running timers until there is one;
// false after Silence without any.
func (h *Host) Next() (Packet, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drive()
	h.quiesce()
	limit := h.clock.now.Add(Silence)
	for len(h.out) == 0 && h.clock.now < limit {
		h.advance(h.nextDeadline(limit))
		h.quiesce()
	}
	if len(h.out) == 0 {
		return Packet{}, false
	}
	p := h.out[0]
	h.out = h.out[1:]
	return p, true
}

// Micros returns when the packet left, as the host's time of day.
func (p Packet) Micros() int64 { return wall(p.At) }
