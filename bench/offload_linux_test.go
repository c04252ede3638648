package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	RunPeer()
	os.Exit(m.Run())
}

// Bulk data crosses the offload path complete, in both directions, and costs no
// more than it may; how fast it is depends on what else the machine does.
func TestCompareOffload(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("SENNIT_NOSKIP") == "1" {
			t.Fatal("this test needs root, and SENNIT_NOSKIP forbids skipping")
		}
		t.Skip("this test needs root: it makes network namespaces and TUN devices")
	}
	r, err := CompareOffload(OffloadOptions{Rounds: 2, Duration: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", b.String())
	if raceEnabled {
		return // the detector's cost is not ours
	}
	for dir, least := range map[Direction]float64{Receive: LeastReceived, Send: LeastSent} {
		best := 0.0
		for _, s := range r.of(sennitTUN, dir) {
			best = max(best, s.GbitPerCPUSecond())
		}
		if best < least {
			t.Errorf("%s: %.2f Gbit per CPU second, want at least %.1f", dir, best, least)
		}
	}
}
