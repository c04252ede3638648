package sched

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/policy"
)

// pipe is a path with a constant window, as ACKs clock it: bytes are served at
// rate behind a queue and acknowledged one round trip later.
type pipe struct {
	rate   float64 // bytes per second
	rtt    time.Duration
	cwnd   int
	busy   time.Duration // when the link has sent what it has
	acks   []ackEvent
	srtt   time.Duration
	flight int
}

type ackEvent struct {
	at time.Duration
	n  int
	rt time.Duration
}

// send returns when the bytes arrive.
func (p *pipe) send(now time.Duration, n int) time.Duration {
	p.busy = max(p.busy, now) + time.Duration(float64(n)/p.rate*float64(time.Second))
	at := p.busy + p.rtt
	p.acks = append(p.acks, ackEvent{at, n, at - now})
	p.flight += n
	return p.busy + p.rtt/2
}

// transfer sends total bytes over the pipes, at most buffer of them waiting or
// in flight, and returns when the last byte arrived; negative: never.
func transfer(s policy.Scheduler, pipes []*pipe, total, buffer int) time.Duration {
	const mss = 1400
	var now, last time.Duration
	left := total
	subs := make([]policy.Snapshot, len(pipes))
	snap := func() (flight int) {
		for i, p := range pipes {
			f := p.flight
			flight += f
			subs[i] = policy.Snapshot{ID: policy.Subflow(i), SRTT: p.srtt, Window: p.cwnd, InFlight: f,
				Room: max(0, p.cwnd-f), MSS: mss}
			if subs[i].Room < mss {
				subs[i].Room = 0
			}
		}
		return flight
	}
	for {
		for again := true; again && left > 0; {
			again = false
			// The worst order to ask in: the last one first.
			for i := len(pipes) - 1; i >= 0; i-- {
				flight := snap()
				unsent := min(left, buffer-flight)
				n := min(s.Allow(policy.Request{Asker: policy.Subflow(i), Unsent: unsent, Subs: subs}), subs[i].Room, mss)
				if n > 0 {
					last = max(last, pipes[i].send(now, n))
					left -= n
					again = true
				}
			}
		}
		next := time.Duration(-1)
		for _, p := range pipes {
			if len(p.acks) > 0 && (next < 0 || p.acks[0].at < next) {
				next = p.acks[0].at
			}
		}
		if next < 0 {
			if left > 0 {
				return -1
			}
			return last
		}
		now = next
		for _, p := range pipes {
			for len(p.acks) > 0 && p.acks[0].at <= now {
				p.srtt += (p.acks[0].rt - p.srtt) / 8
				p.flight -= p.acks[0].n
				p.acks = p.acks[1:]
			}
		}
	}
}

// A bulk transfer gets the sum of two links, with windows that leave a queue,
// whichever is asked first.
func TestAggregateGetsTheSum(t *testing.T) {
	const mbit = 1e6 / 8
	for _, c := range []struct {
		rateA, rateB float64 // Mbit/s
		rttA, rttB   time.Duration
		queue        float64 // window in multiples of rate times round trip
	}{
		{50, 50, 20 * ms, 20 * ms, 1.5},
		{50, 50, 20 * ms, 60 * ms, 1.5},
		{50, 50, 10 * ms, 200 * ms, 1.5},
		{50, 10, 20 * ms, 80 * ms, 2},
		{10, 50, 20 * ms, 80 * ms, 2},
		{50, 50, 20 * ms, 40 * ms, 1.05},
	} {
		t.Run(fmt.Sprintf("%v+%v Mbit %v %v", c.rateA, c.rateB, c.rttA, c.rttB), func(t *testing.T) {
			a := &pipe{rate: c.rateA * mbit, rtt: c.rttA, srtt: c.rttA}
			b := &pipe{rate: c.rateB * mbit, rtt: c.rttB, srtt: c.rttB}
			a.cwnd = int(c.queue * a.rate * c.rttA.Seconds())
			b.cwnd = int(c.queue * b.rate * c.rttB.Seconds())
			total := 40 << 20
			took := transfer(MinRTT{}, []*pipe{a, b}, total, 4<<20)
			if took < 0 {
				t.Fatal("the transfer stopped")
			}
			got := float64(total) / took.Seconds() / mbit
			if got < 0.9*(c.rateA+c.rateB) {
				t.Errorf("%.1f Mbit/s of %v", got, c.rateA+c.rateB)
			}
		})
	}
}

// A short exchange is not slower than on the fast link alone.
func TestShortTransferTakesTheFastLink(t *testing.T) {
	for _, total := range []int{1000, 20000, 100000, 400000} {
		pair := func() []*pipe {
			return []*pipe{
				{rate: 6e6, rtt: 20 * ms, srtt: 20 * ms, cwnd: 30000},
				{rate: 6e6, rtt: 400 * ms, srtt: 400 * ms, cwnd: 30000}}
		}
		both := transfer(MinRTT{}, pair(), total, 4<<20)
		alone := transfer(MinRTT{}, pair()[:1], total, 4<<20)
		if both > alone+alone/10 {
			t.Errorf("%d bytes: %v on both links, %v on the fast one", total, both, alone)
		}
	}
}
