package cc

import (
	"slices"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// bottleneck is one line with a queue, and a sender that obeys a BBR: enough of
// a network to see what the model makes of it.
type bottleneck struct {
	*BBR
	t     *testing.T
	now   mono.Time
	rate  float64 // of the line, bytes per second
	rtt   time.Duration
	queue int // bytes

	demand func() bool                 // more to send? nil: always
	drop   func(i int) bool            // lose packet i?
	hold   func(t mono.Time) mono.Time // when an ACK due at t arrives; nil: then
	watch  func(from, to bbrState)

	sent     int // packets ever
	flight   []parcel
	inFlight int
	total    uint64 // delivered
	lost     int
	at       mono.Time // C.delivered_time
	first    mono.Time // C.first_send_time
	bubble   uint64
	next     mono.Time // pacing
	free     mono.Time // when the line is
	repair   uint64    // recovery ends with this packet
	dry      bool
	trace    []bbrState
}

type parcel struct {
	i         uint64
	sentAt    mono.Time
	ackAt     mono.Time
	gone      bool
	total     uint64
	at, first mono.Time
	lost      int
	flight    int
	limited   bool
}

const parcelSize = 1000

func onPath(t *testing.T, mbit float64, rtt time.Duration, queue int) *bottleneck {
	return &bottleneck{BBR: NewBBR(Config{MSS: parcelSize, Seed: 1}).(*BBR), t: t, now: mono.Time(time.Second),
		rate: mbit * 1e6 / 8, rtt: rtt, queue: queue}
}

func (p *bottleneck) bdpBytes() int { return int(p.rate * p.rtt.Seconds()) }

// run lets d pass, or until done says so.
func (p *bottleneck) run(d time.Duration, done func() bool) bool {
	p.t.Helper()
	for end := p.now.Add(d); p.now <= end; {
		if done != nil && done() {
			return true
		}
		p.step(end)
	}
	return false
}

// until runs until the state is s.
func (p *bottleneck) until(s bbrState) {
	p.t.Helper()
	if !p.run(time.Minute, func() bool { return p.state == s }) {
		p.t.Fatalf("never in %v, but in %v", s, p.trace)
	}
}

func (p *bottleneck) step(end mono.Time) {
	before := p.state
	wants := p.demand == nil || p.demand()
	if !wants && p.inFlight < p.cwnd {
		p.dry = true
	}
	var ack mono.Time
	if len(p.flight) > 0 {
		ack = p.flight[0].ackAt
	}
	switch {
	case wants && p.inFlight+parcelSize <= max(p.cwnd, parcelSize) && (ack == 0 || max(p.next, p.now) <= ack):
		p.now = max(p.now, p.next)
		p.send()
	case ack != 0:
		p.now = max(p.now, ack)
		p.ack()
	default:
		p.now = min(p.now.Add(time.Millisecond), end+1)
	}
	if p.state != before {
		p.trace = append(p.trace, p.state)
		if p.watch != nil {
			p.watch(before, p.state)
		}
	}
}

func (p *bottleneck) send() {
	if p.inFlight == 0 {
		p.first, p.at = p.now, p.now
		if p.dry || p.sent == 0 {
			p.Start(p.now, p.rtt)
		}
	}
	if p.dry {
		p.bubble = max(p.total+uint64(p.inFlight), 1)
		p.dry = false
	}
	p.inFlight += parcelSize
	x := parcel{i: uint64(p.sent), sentAt: p.now, total: p.total, at: p.at, first: p.first, lost: p.lost,
		flight: p.inFlight, limited: p.bubble != 0}
	p.sent++
	start := max(p.free, p.now)
	x.gone = start.Sub(p.now).Seconds()*p.rate > float64(p.queue) || p.drop != nil && p.drop(p.sent)
	if !x.gone {
		p.free = start.Add(time.Duration(parcelSize / p.rate * 1e9))
		start = p.free
	}
	x.ackAt = start.Add(p.rtt)
	if p.hold != nil {
		x.ackAt = p.hold(x.ackAt)
	}
	p.flight = append(p.flight, x)
	p.next = max(p.next, p.now).Add(time.Duration(parcelSize / p.Pacing() * 1e9))
}

// ack is the ACK of the oldest packet, or, if that is lost, its loss becoming
// known.
func (p *bottleneck) ack() {
	x := p.flight[0]
	p.flight = p.flight[1:]
	before := p.inFlight
	p.inFlight -= parcelSize
	if x.gone {
		p.lost += parcelSize
		p.Lost(Lost{Off: x.i * parcelSize, Bytes: parcelSize, Total: p.total, Since: p.lost - x.lost, InFlight: x.flight,
			AppLimited: x.limited})
		if x.i >= p.repair {
			p.Congested(Event{Now: p.now, Kind: Loss, InFlight: before, Lost: parcelSize})
			p.repair = uint64(p.sent)
		}
		return
	}
	p.total += parcelSize
	p.at = p.now
	if p.bubble != 0 && p.total > p.bubble {
		p.bubble = 0
	}
	s := Sample{Total: p.total, Prior: x.total, Lost: p.lost - x.lost, InFlight: x.flight, AppLimited: x.limited}
	if took := max(x.sentAt.Sub(x.first), p.at.Sub(x.at)); took >= p.rtt {
		s.Interval = took
	}
	p.first = x.sentAt
	p.Acked(Ack{Now: p.now, Bytes: parcelSize, InFlight: before, RTT: p.now.Sub(x.sentAt), SRTT: p.rtt, MinRTT: p.rtt,
		Repairing: x.i < p.repair, Recovery: x.i < p.repair, Sample: s})
	if p.Draining() {
		p.bubble = max(p.total+uint64(p.inFlight), 1)
	}
}

// goodput is what arrives in d, of what the line carries.
func (p *bottleneck) goodput(d time.Duration) float64 {
	before := p.total
	p.run(d, nil)
	return float64(p.total-before) / d.Seconds() / p.rate
}

// every returns a drop that loses each n-th packet.
func every(n int) func(int) bool { return func(i int) bool { return i%n == 0 } }

func wantTrace(t *testing.T, got []bbrState, want ...bbrState) {
	t.Helper()
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Fatalf("states %v, want %v", got, want)
	}
}
