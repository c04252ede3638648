package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// demoLink is one emulated link; both directions are alike.
type demoLink struct {
	Name  string        `json:"name"`
	Class string        `json:"class"`
	Rate  int64         `json:"rate_bits_per_second"`
	Delay time.Duration `json:"-"`     // one way
	Bytes int64         `json:"bytes"` // payload that arrived over it
}

// demoLinks are the links of every scenario: the cellular one is slower and
// farther, as it is in life.
func demoLinks() []demoLink {
	return []demoLink{
		{Name: "wifi", Class: "wifi", Rate: 40e6, Delay: 10 * time.Millisecond},
		{Name: "cell", Class: "cellular", Rate: 25e6, Delay: 30 * time.Millisecond},
	}
}

// demoSample is how much payload had arrived at an instant, per link.
type demoSample struct {
	At    time.Duration
	Bytes []int64
}

// MarshalJSON gives seconds, as the rest of the file does.
func (s demoSample) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		At    float64 `json:"seconds"`
		Bytes []int64 `json:"bytes"`
	}{s.At.Seconds(), s.Bytes})
}

// demoMark is the loss of a link during the run.
type demoMark struct {
	At   time.Duration
	Link string
}

func (m demoMark) text() string { return m.Link + " lost" }

// MarshalJSON gives seconds.
func (m demoMark) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		At   float64 `json:"seconds"`
		Text string  `json:"text"`
	}{m.At.Seconds(), m.text()})
}

// demoResult is what a run gave.
type demoResult struct {
	Scenario string       `json:"scenario"`
	MPTCP    bool         `json:"mptcp"`
	Bytes    int64        `json:"bytes"` // that the application read
	SHA256   string       `json:"sha256"`
	Intact   bool         `json:"intact"` // count and hash are the server's
	Links    []demoLink   `json:"links"`
	Marks    []demoMark   `json:"events"`
	Samples  []demoSample `json:"samples"`

	Elapsed time.Duration `json:"-"`
	// Stall is the longest time in which the application read nothing after
	// its first byte, StallAt when that began.
	Stall, StallAt time.Duration `json:"-"`
}

// goodput returns bits per second of n bytes over the run.
func (r *demoResult) goodput(n int64) float64 { return rate(n, r.Elapsed) }

func rate(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) * 8 / d.Seconds()
}

func mbit(bitsPerSecond float64) string { return fmt.Sprintf("%.1f Mbit/s", bitsPerSecond/1e6) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// table prints the result for people.
func (r *demoResult) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "link\trate\tdelay\tcarried\tshare\tgoodput\t")
	var carried, capacity int64
	for _, l := range r.Links {
		carried += l.Bytes
		capacity += l.Rate
	}
	for _, l := range r.Links {
		share := 0.0
		if carried > 0 {
			share = 100 * float64(l.Bytes) / float64(carried)
		}
		fmt.Fprintf(t, "%s\t%.0f Mbit/s\t%v\t%s\t%.0f %%\t%s\t\n", l.Name, float64(l.Rate)/1e6, l.Delay,
			megabytes(l.Bytes), share, mbit(r.goodput(l.Bytes)))
	}
	fmt.Fprintf(t, "together\t%.0f Mbit/s\t\t%s\t\t%s\t\n", float64(capacity)/1e6, megabytes(r.Bytes), mbit(r.goodput(r.Bytes)))
	_ = t.Flush() // as little as a failed print
	verdict := "right: the bytes are the server's"
	if !r.Intact {
		verdict = "WRONG: these are not the server's bytes"
	}
	fmt.Fprintf(w, "\nSHA-256        %s (%s)\n", r.SHA256, verdict)
	fmt.Fprintf(w, "longest pause  %.0f ms, %.1f s into the download\n", float64(r.Stall.Microseconds())/1e3, r.StallAt.Seconds())
	if !r.MPTCP {
		fmt.Fprintln(w, "protocol       plain TCP: Multipath TCP was not negotiated")
	}
}

// writeJSON writes the whole result, samples included.
func (r *demoResult) writeJSON(name string) error {
	type plain demoResult
	b, err := json.MarshalIndent(struct {
		*plain
		Elapsed float64 `json:"seconds"`
		Goodput float64 `json:"goodput_bits_per_second"`
		Stall   float64 `json:"longest_pause_seconds"`
		StallAt float64 `json:"longest_pause_at_seconds"`
	}{(*plain)(r), r.Elapsed.Seconds(), r.goodput(r.Bytes), r.Stall.Seconds(), r.StallAt.Seconds()}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
