package tcp

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/sennit-net/sennit/stack/wire"
)

// TestFootprint keeps an idle connection small: there may be many.
func TestFootprint(t *testing.T) {
	const n = 1000
	ends := make([]*Stream, 0, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		l := pair(t, nil)
		for range 6 {
			l.step()
		}
		if l.ends[0].Conn.State() != Estab {
			t.Fatal(l.ends[0].Conn.State())
		}
		ends = append(ends, l.ends[0], l.ends[1])
		l.line = nil
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := float64(after.HeapAlloc-before.HeapAlloc) / (2 * n)
	objects := float64(after.HeapObjects-before.HeapObjects) / (2 * n)
	t.Logf("%.0f bytes in %.1f objects, of them Stream %d, Conn %d", bytes, objects,
		unsafe.Sizeof(Stream{}), unsafe.Sizeof(Conn{}))
	if bytes > 2500 || objects > 10 {
		t.Errorf("an idle connection takes %.0f bytes in %.1f objects, want at most 2500 in 10", bytes, objects)
	}
	runtime.KeepAlive(ends)
}

// TestSteadyStateAllocation: no allocation per segment in bulk transfer, with
// and without loss.
func TestSteadyStateAllocation(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		l := pair(t, nil)
		segs := make([]wire.Segment, 0, 4096)
		buf := make([]byte, 64<<10)
		n := 0
		round := func() {
			l.ends[0].Write(l.now, buf)
			for range 8 {
				l.now = l.now.Add(l.delay)
				for i, e := range l.ends {
					segs = segs[:0]
					for {
						segs = append(segs, wire.Segment{Payload: segs[:cap(segs)][len(segs)].Payload})
						if _, ok := e.Emit(l.now, &segs[len(segs)-1]); !ok {
							break
						}
					}
					for k := range segs[:len(segs)-1] {
						if n++; lossy && i == 0 && n%50 == 0 {
							for _, r := range segs[k].Payload {
								r.Release()
							}
							continue
						}
						l.ends[1-i].Receive(l.now, 0, &segs[k])
					}
					if e.Deadline().Reached(l.now) {
						e.Advance(l.now)
					}
				}
				for {
					if k, _ := l.ends[1].Read(l.now, buf); k == 0 {
						break
					}
				}
			}
		}
		for range 200 {
			round()
		}
		start := n
		allocs := testing.AllocsPerRun(100, round)
		per := allocs / (float64(n-start) / 101)
		t.Logf("lossy %v: %.1f allocations a round of %.0f segments", lossy, allocs, float64(n-start)/101)
		if per > 0.02 {
			t.Errorf("lossy %v: %.3f allocations per segment", lossy, per)
		}
	}
}
