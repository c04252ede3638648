package cc

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// RFC 6937 §3.1, figure (RFC 9937 §6.2): 20 segments in flight, the first lost, ssthresh 10,
// limited transmit for the first two ACKs. The segments that each ACK of 1 to
// 19 lets out.
func TestPRRFigure(t *testing.T) {
	const mss = 1000
	var p PRR
	pipe := 20 * mss
	var got []int
	for ack := 1; ack <= 19; ack++ {
		pipe -= mss // one more is SACKed
		if ack <= 2 {
			pipe += mss // limited transmit (RFC 3042)
			got = append(got, 1)
			continue
		}
		if ack == 3 {
			pipe -= mss // the hole is taken for lost
			// SACKed before this ACK: two segments, and two were added.
			p.Begin(10*mss, 20*mss, pipe)
		}
		p.Delivered(mss, pipe, mss, false)
		n := 0
		for p.Window()-pipe >= mss {
			pipe += mss
			p.Sent(mss)
			n++
		}
		got = append(got, n)
	}
	// The figure rounds to segments at every ACK; counting bytes is at most one
	// segment behind or ahead of it.
	want := []int{1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1}
	ahead := 0
	for i := range want {
		if ahead += got[i] - want[i]; ahead < -1 || ahead > 1 {
			t.Fatalf("segments per ACK\n%v, want\n%v", got, want)
		}
	}
	if !slices.Equal(got[:3], want[:3]) {
		t.Errorf("begins with %v", got[:3])
	}
}

// RFC 9937 §6.2: with more lost than the reduction asks for, each delivered
// segment lets one out, and one more where the ACK is safe; what was sent counts
// against it (RFC 9937 §6.3).
func TestPRRBelowTarget(t *testing.T) {
	var p PRR
	p.Begin(10000, 20000, 4000)
	p.Delivered(1000, 4000, 1000, false)
	if p.Window() != 5000 {
		t.Errorf("window %d, want 5000", p.Window())
	}
	p.Sent(1000)
	p.Delivered(1000, 4000, 1000, true)
	if p.Window() != 6000 {
		t.Errorf("window %d after a safe ACK, want 6000", p.Window())
	}
	p.Sent(2000)
	p.Delivered(20000, 9500, 1000, true)
	if p.Window() != 10000 {
		t.Errorf("window %d, want not more than ssthresh", p.Window())
	}
}

// RFC 9937 §6.2: the first retransmission leaves even if there is no room.
func TestPRRFirstAlwaysLeaves(t *testing.T) {
	var p PRR
	p.Begin(1000, 100000, 50000)
	p.Delivered(10, 50000, 1000, false)
	if p.Window() < 50000+1 {
		t.Errorf("window %d with 50000 in flight", p.Window())
	}
	var q PRR
	q.Begin(10000, 10000, 10000)
	q.Delivered(0, 10000, 1000, true)
	if q.Window() != 10000 {
		t.Error("an ACK that delivers nothing does nothing")
	}
}

// RFC 9937 §13: in bytes, up to the largest windows: whatever is delivered, no
// more leaves than that and one segment, plus one for
// each safe ACK.
func TestPRRNeverBursts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mss := rapid.IntRange(1, 9000).Draw(t, "mss")
		flight := rapid.IntRange(1, 1<<30).Draw(t, "flight")
		target := rapid.IntRange(2*mss, 1<<30).Draw(t, "target")
		inFlight := rapid.IntRange(0, flight).Draw(t, "in flight")
		var p PRR
		p.Begin(min(target, flight), flight, inFlight)
		delivered, sent, safes := 0, 0, 0
		for range rapid.IntRange(1, 50).Draw(t, "ACKs") {
			n := rapid.IntRange(1, max(flight/10, 1)).Draw(t, "n")
			safe := rapid.Bool().Draw(t, "safe")
			inFlight = max(inFlight-n, 0)
			delivered += n
			if safe {
				safes++
			}
			p.Delivered(n, inFlight, mss, safe)
			if out := p.Window() - inFlight; out > 0 {
				p.Sent(out)
				sent += out
				inFlight += out
			}
			if sent > delivered+mss*(safes+1) {
				t.Fatalf("sent %d for %d delivered", sent, delivered)
			}
		}
	})
}

// RFC 9937 §6.1: a response begins with nothing delivered and nothing sent, and
// with a RecoverFS that stays: the share that leaves is that of ssthresh in it.
func TestPRRBegin(t *testing.T) {
	var p PRR
	p.Begin(30000, 90000, 88000)
	p.Delivered(50000, 40000, 1000, true)
	p.Sent(10000)
	p.Begin(6000, 10000, 9000)
	if p.Window() != 9000 {
		t.Errorf("window %d before any ACK, want what is in flight", p.Window())
	}
	p.Delivered(5000, 8000, 1000, false)
	if got := p.Window() - 8000; got != 3000 {
		t.Errorf("%d may leave for half of the flight, want half of ssthresh", got)
	}
	p.Sent(3000)
	p.Delivered(5000, 7000, 1000, false)
	if got := p.Window() - 7000; got != 3000 {
		t.Errorf("%d may leave for the other half, want the other half", got)
	}
}
