package cc

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/mono"
)

// RFC 6928 §2.
func TestInitialWindow(t *testing.T) {
	for mss, want := range map[int]int{536: 5360, 1460: 14600, 2000: 14600, 9000: 18000, 65000: 130000} {
		for _, name := range windowed {
			c, err := New(name, Config{MSS: mss})
			if err != nil {
				t.Fatal(err)
			}
			if w, _ := c.Window(); w != want {
				t.Errorf("%s, MSS %d: initial window %d, want %d", name, mss, w, want)
			}
		}
	}
	// RFC 6928 §2: the connection may ask for one segment after a lost SYN.
	if w, _ := NewReno(Config{MSS: 1460, Window: 1460}).Window(); w != 1460 {
		t.Errorf("initial window %d, want the one asked for", w)
	}
}

func TestNames(t *testing.T) {
	if !slices.IsSorted(Names()) || !slices.Contains(Names(), "cubic") || !slices.Contains(Names(), "newreno") {
		t.Errorf("names %q", Names())
	}
	if _, err := New("cubix", Config{MSS: 1}); err == nil {
		t.Error("an unknown name gave a controller")
	}
}

// RFC 1191 §6.5: the window keeps its number of segments when they get smaller,
// and its bytes when they get larger.
func TestResize(t *testing.T) {
	w := newWindow(Config{MSS: 1400})
	w.ssthresh = 28000
	w.Resize(1000)
	if w.cwnd != 10000 || w.ssthresh != 20000 || w.initial != 10000 {
		t.Errorf("cwnd %d, ssthresh %d, initial %d after shrinking", w.cwnd, w.ssthresh, w.initial)
	}
	w.Resize(2000)
	if w.cwnd != 10000 || w.ssthresh != 20000 {
		t.Errorf("cwnd %d, ssthresh %d after growing", w.cwnd, w.ssthresh)
	}
}

// windowed are the controllers that a window alone describes.
var windowed = []string{"cubic", "newreno"}

// Whatever happens in whatever order, every such controller keeps its window within
// bounds, and only acknowledgements and Undo let it grow.
func TestControllersStayInBounds(t *testing.T) {
	for _, name := range windowed {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				mss := rapid.IntRange(1, 65000).Draw(t, "mss")
				c, _ := New(name, Config{MSS: mss})
				now := mono.Time(1)
				before, _ := c.Window()
				check := func(t *rapid.T, mayGrow bool) {
					cwnd, ssthresh := c.Window()
					if cwnd < min(mss, before) || cwnd > maxWindow || ssthresh < 2*mss {
						t.Fatalf("cwnd %d, ssthresh %d, MSS %d", cwnd, ssthresh, mss)
					}
					if !mayGrow && cwnd > max(before, mss) {
						t.Fatalf("cwnd grew from %d to %d", before, cwnd)
					}
					before = cwnd
				}
				pass := func(t *rapid.T) {
					now += mono.Time(rapid.Int64Range(0, int64(30*24*time.Hour)).Draw(t, "dt"))
				}
				t.Repeat(map[string]func(*rapid.T){
					"acked": func(t *rapid.T) {
						pass(t)
						n := rapid.IntRange(0, 1<<20).Draw(t, "bytes")
						app, rec := rapid.Bool().Draw(t, "app"), rapid.Bool().Draw(t, "rec")
						c.Acked(Ack{Now: now, Bytes: n, InFlight: n + before, AppLimited: app, Recovery: rec,
							SRTT: time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(t, "srtt"))})
						was := before
						check(t, !rec)
						if before > was+n+mss+1 && before > was+was/2+1 {
							t.Fatalf("%d acknowledged bytes grew cwnd from %d to %d", n, was, before)
						}
					},
					"congested": func(t *rapid.T) {
						pass(t)
						e := Event{Now: now, Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")),
							InFlight: rapid.IntRange(0, before).Draw(t, "flight"), First: rapid.Bool().Draw(t, "first")}
						c.Congested(e)
						// Two segments is the floor of a loss, even from below it.
						before = max(before, 2*mss)
						check(t, false)
					},
					"undo": func(t *rapid.T) { pass(t); c.Undo(now); check(t, true) },
					"idle": func(t *rapid.T) { pass(t); c.Idle(now, time.Second); check(t, false) },
				})
			})
		})
	}
}

// FlightSize (RFC 5681 §3.1) can exceed the window while SACKed bytes wait for
// a hole to be filled. A reduction starts from the window then.
func TestReductionStartsFromTheWindow(t *testing.T) {
	for _, kind := range []Kind{Loss, Timeout, ECN} {
		for _, name := range windowed {
			c, _ := New(name, Config{MSS: 1000, Window: 20000})
			c.Congested(Event{Now: 1, Kind: kind, InFlight: 200000, First: true})
			if _, s := c.Window(); s > 14000 {
				t.Errorf("%s: ssthresh %d after a window of 20000", name, s)
			}
		}
	}
}
