//go:build !race

// The race detector's own memory would be counted.

package bench

import "testing"

// TestIdleConnections holds the bound that many connections need: 3 KiB of heap
// for each end, and no growth by those that come and go.
func TestIdleConnections(t *testing.T) {
	for _, used := range []bool{false, true} {
		r, err := MeasureIdle(t.Context(), IdleOptions{Conns: 4000, Used: used, Rounds: 3, Churn: 2000})
		if err != nil {
			t.Fatal(err)
		}
		bytes, objects := r.PerEnd()
		t.Logf("used %v: %.0f bytes in %.1f objects", used, bytes, objects)
		if bytes > 3<<10 || objects > 10 {
			t.Errorf("used %v: one end takes %.0f bytes in %.1f objects, want at most 3072 in 10", used, bytes, objects)
		}
		// Tables and pools grow with the first round; what connections left
		// behind would show from the second on.
		grown := float64(r.After[2].HeapBytes) - float64(r.After[0].HeapBytes)
		if grown > 512*float64(r.Churn) {
			t.Errorf("used %v: %d connections left %.0f bytes behind", used, 2*r.Churn, grown)
		}
	}
}
