package cc

import (
	"testing"
	"time"
)

func reno(c Config) *Reno { return NewReno(c).(*Reno) }

func wantWindow(t *testing.T, c Controller, cwnd, ssthresh int) {
	t.Helper()
	if w, s := c.Window(); w != cwnd || s != ssthresh {
		t.Fatalf("window %d, ssthresh %d; want %d, %d", w, s, cwnd, ssthresh)
	}
}

// RFC 5681 §3.1: slow start by bytes, then one segment for each window.
func TestRenoGrowth(t *testing.T) {
	r := reno(Config{MSS: 1000})
	wantWindow(t, r, 10000, maxWindow)
	r.Acked(Ack{Now: 1, Bytes: 4000, InFlight: 10000})
	wantWindow(t, r, 14000, maxWindow)

	r.ssthresh = 15000
	// Part of this ACK ends slow start, the rest counts for avoidance.
	r.Acked(Ack{Now: 2, Bytes: 3000, InFlight: 14000})
	wantWindow(t, r, 15000, 15000)
	r.Acked(Ack{Now: 3, Bytes: 12999, InFlight: 15000})
	wantWindow(t, r, 15000, 15000)
	r.Acked(Ack{Now: 4, Bytes: 1, InFlight: 15000})
	wantWindow(t, r, 16000, 15000)
}

// RFC 5681 §3.1: an ACK divided into single bytes grows the window no faster.
func TestRenoACKDivision(t *testing.T) {
	r := reno(Config{MSS: 1000})
	for range 10000 {
		r.Acked(Ack{Now: 1, Bytes: 1, InFlight: 10000})
	}
	wantWindow(t, r, 20000, maxWindow)
	r.ssthresh = 20000
	for range 20000 {
		r.Acked(Ack{Now: 1, Bytes: 1, InFlight: 20000})
	}
	wantWindow(t, r, 21000, 20000)
}

// RFC 3465 §2.1: a stretched ACK adds one segment, and no credit piles up.
func TestRenoStretchACK(t *testing.T) {
	r := reno(Config{MSS: 1000})
	r.ssthresh = 10000
	r.Acked(Ack{Now: 1, Bytes: 60000, InFlight: 60000})
	wantWindow(t, r, 11000, 10000)
	r.Acked(Ack{Now: 1, Bytes: 1, InFlight: 10000})
	wantWindow(t, r, 12000, 10000)
	r.Acked(Ack{Now: 1, Bytes: 1, InFlight: 10000})
	wantWindow(t, r, 12000, 10000)
}

// RFC 5681 §3.1 equation 4, and §3.1 for timeouts.
func TestRenoReduction(t *testing.T) {
	for _, c := range []struct {
		name           string
		e              Event
		cwnd, ssthresh int
	}{
		{"loss", Event{Kind: Loss, InFlight: 10000}, 5000, 5000},
		{"loss with little in flight", Event{Kind: Loss, InFlight: 3000}, 2000, 2000},
		{"mark", Event{Kind: ECN, InFlight: 10000}, 5000, 5000},
		{"mark with little in flight", Event{Kind: ECN, InFlight: 2000}, 1000, 2000},
		{"timeout", Event{Kind: Timeout, InFlight: 10000, First: true}, 1000, 5000},
		{"timeout again", Event{Kind: Timeout, InFlight: 10000}, 1000, maxWindow},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := reno(Config{MSS: 1000})
			r.Congested(c.e)
			wantWindow(t, r, c.cwnd, c.ssthresh)
		})
	}
}

// RFC 6582 §3.2: the window stays during recovery and grows after it.
func TestRenoRecovery(t *testing.T) {
	r := reno(Config{MSS: 1000})
	r.Congested(Event{Kind: Loss, InFlight: 10000})
	r.Acked(Ack{Now: 1, Bytes: 9000, InFlight: 10000, Recovery: true})
	wantWindow(t, r, 5000, 5000)
	r.Acked(Ack{Now: 1, Bytes: 5000, InFlight: 5000})
	wantWindow(t, r, 6000, 5000)
}

// RFC 5682 §3, RFC 4015 §3.2: a spurious event is taken back, once.
func TestRenoUndo(t *testing.T) {
	r := reno(Config{MSS: 1000})
	r.Undo(1)
	wantWindow(t, r, 10000, maxWindow)
	r.Congested(Event{Kind: Timeout, InFlight: 10000, First: true})
	r.Congested(Event{Kind: Timeout, InFlight: 10000})
	r.Acked(Ack{Now: 2, Bytes: 1000, InFlight: 1000})
	r.Undo(3)
	wantWindow(t, r, 10000, maxWindow)
	r.Congested(Event{Kind: Loss, InFlight: 10000})
	r.ssthresh, r.cwnd = 5000, 12000
	r.Undo(4)
	wantWindow(t, r, 12000, maxWindow)
	r.cwnd = 3000
	r.Undo(5)
	wantWindow(t, r, 3000, maxWindow)
}

// RFC 7661 §4.4: a window that is not used does not grow, but slow start goes on
// when half of it is used.
func TestRenoApplicationLimited(t *testing.T) {
	r := reno(Config{MSS: 1000})
	r.Acked(Ack{Now: 1, Bytes: 4000, InFlight: 4000, AppLimited: true})
	wantWindow(t, r, 10000, maxWindow)
	r.Acked(Ack{Now: 1, Bytes: 4000, InFlight: 5000, AppLimited: true})
	wantWindow(t, r, 14000, maxWindow)
	r.ssthresh = 14000
	for range 10 {
		r.Acked(Ack{Now: 1, Bytes: 10000, InFlight: 13000, AppLimited: true})
	}
	wantWindow(t, r, 14000, 14000)
}

// RFC 5681 §4.1: after idleness the restart window is at most the initial one.
func TestRenoIdle(t *testing.T) {
	r := reno(Config{MSS: 1000})
	r.Acked(Ack{Now: 1, Bytes: 10000, InFlight: 10000})
	r.Idle(2, time.Minute)
	wantWindow(t, r, 10000, maxWindow)
	r.Congested(Event{Kind: Loss, InFlight: 10000})
	r.Idle(3, time.Minute)
	wantWindow(t, r, 5000, 5000)
}
