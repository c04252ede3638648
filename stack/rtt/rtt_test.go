package rtt

import (
	"math"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

func near(got time.Duration, want float64) bool {
	return math.Abs(got.Seconds()-want) < 0.000002
}

// TestSamples runs the series worked out by hand from RFC 6298 §2.2 and
// RFC 6298 §2.3.
func TestSamples(t *testing.T) {
	var e Estimator
	if e.RTO() != time.Second {
		t.Fatalf("RTO before a sample is %v, want 1s (RFC 6298 §2.1)", e.RTO())
	}
	for i, s := range []struct{ r, srtt, rttvar, rto float64 }{
		{0.100, 0.100000, 0.050000, 0.300000},
		{0.100, 0.100000, 0.037500, 0.300000}, // variance term floored at 0.2
		{0.120, 0.102500, 0.033125, 0.302500},
		{0.500, 0.152188, 0.124219, 0.649062},
		{0.100, 0.145664, 0.106211, 0.570508},
	} {
		e.Sample(mono.Time(i+1), time.Duration(s.r*1e9), 1)
		if !near(e.SRTT(), s.srtt) || !near(e.Var(), s.rttvar) || !near(e.RTO(), s.rto) {
			t.Errorf("sample %d: srtt %v rttvar %v rto %v, want %v %v %v",
				i, e.SRTT(), e.Var(), e.RTO(), s.srtt, s.rttvar, s.rto)
		}
	}
}

// TestConstantRTT: the variance dies out, the floor stays (RFC 6298 §4,
// RFC 6298 §2.4).
func TestConstantRTT(t *testing.T) {
	var e Estimator
	for i := range 200 {
		e.Sample(mono.Time(i+1), 30*time.Millisecond, 1)
	}
	if got := e.RTO(); got != 230*time.Millisecond {
		t.Fatalf("RTO %v, want 230ms", got)
	}
}

// TestBackOff doubles up to the cap (RFC 6298 §5.5, RFC 6298 §2.5) and is taken away by
// progress.
func TestBackOff(t *testing.T) {
	var e Estimator
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
	for i, w := range want {
		if got := e.RTO(); got != w*time.Second {
			t.Fatalf("RTO %d is %v, want %vs", i, got, w)
		}
		e.BackOff()
	}
	for range 1000 {
		e.BackOff()
	}
	if e.RTO() != Max {
		t.Fatalf("RTO %v after a thousand back-offs", e.RTO())
	}
	e.Progress()
	if e.RTO() != time.Second {
		t.Fatalf("RTO %v after progress", e.RTO())
	}
}

// TestSYNLost: RFC 6298 §5.7.
func TestSYNLost(t *testing.T) {
	var e Estimator
	e.BackOff()
	e.SYNLost()
	if e.RTO() != 3*time.Second {
		t.Fatalf("RTO %v, want 3s", e.RTO())
	}
	e.Sample(1, 10*time.Millisecond, 1)
	if e.RTO() != 210*time.Millisecond {
		t.Fatalf("RTO %v after a sample, want 210ms", e.RTO())
	}
}

// TestManySamples: with n samples a round trip the memory is n times longer
// (RFC 7323 §4.2, appendix G).
func TestManySamples(t *testing.T) {
	var one, many Estimator
	one.Sample(1, 100*time.Millisecond, 1)
	many.Sample(1, 100*time.Millisecond, 10)
	one.Sample(2, 180*time.Millisecond, 1)
	many.Sample(2, 180*time.Millisecond, 10)
	if one.SRTT() != 110*time.Millisecond || many.SRTT() != 101*time.Millisecond {
		t.Fatalf("SRTT %v and %v, want 110ms and 101ms", one.SRTT(), many.SRTT())
	}
}

// RFC 8985 §6.2 step 1: the minimum is that of a window, and follows a path that
// became longer.
func TestMinForgets(t *testing.T) {
	var e Estimator
	at := func(s float64) mono.Time { return mono.Time(s*1e9) + 1 }
	e.Sample(at(0), 20*time.Millisecond, 1)
	e.Sample(at(1), 50*time.Millisecond, 1)
	if e.Min() != 20*time.Millisecond {
		t.Fatalf("Min %v", e.Min())
	}
	e.Sample(at(6), 60*time.Millisecond, 1)
	if e.Min() != 20*time.Millisecond {
		t.Fatalf("Min %v: the last window still counts", e.Min())
	}
	e.Sample(at(12), 70*time.Millisecond, 1)
	if e.Min() != 60*time.Millisecond {
		t.Fatalf("Min %v: the first window should be forgotten", e.Min())
	}
	e.Sample(at(60), 200*time.Millisecond, 1)
	if e.Min() != 200*time.Millisecond {
		t.Fatalf("Min %v after a long pause", e.Min())
	}
}
