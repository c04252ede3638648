// Package bench compares Sennit with the kernel's TCP and with others, by
// figures that a second run on the same machine reproduces.
//
// It owns scenarios, rounds and tables. What is measured lives elsewhere; a
// scenario of its own network namespaces needs root and Linux and leaves
// nothing behind, because its namespaces have no name and end with the process.
package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Direction of a bulk transfer, as the measured side sees it.
type Direction string

// The two directions.
const (
	Receive Direction = "receive"
	Send    Direction = "send"
)

// Sample is one measured transfer.
type Sample struct {
	Subject   string // what was measured: "kernel/veth", "sennit/tun", ...
	Direction Direction
	Round     int
	Bytes     int64
	Elapsed   time.Duration
	CPU       time.Duration // user and system time of the measured process alone
}

// Gbps returns the goodput in Gbit/s.
func (s Sample) Gbps() float64 { return float64(s.Bytes) * 8 / 1e9 / s.Elapsed.Seconds() }

// GbitPerCPUSecond returns how much one second of one core moved.
func (s Sample) GbitPerCPUSecond() float64 { return float64(s.Bytes) * 8 / 1e9 / s.CPU.Seconds() }

// SecondsPerGB returns the core seconds that 10^9 bytes cost.
func (s Sample) SecondsPerGB() float64 { return s.CPU.Seconds() / (float64(s.Bytes) / 1e9) }

// Spread is the least, the middle and the greatest of some figures.
type Spread struct{ Min, Median, Max float64 }

// SpreadOf returns the spread of v; the median of an even number is the mean of
// the two in the middle.
func SpreadOf(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	return Spread{s[0], (s[(n-1)/2] + s[n/2]) / 2, s[n-1]}
}

func (s Spread) String() string { return fmt.Sprintf("%.2f/%.2f/%.2f", s.Min, s.Median, s.Max) }

// Report is the result of a comparison in interleaved rounds.
type Report struct {
	Baseline string // the subject that ratios refer to
	Samples  []Sample
}

// of returns the samples of one subject and direction by round.
func (r *Report) of(subject string, d Direction) []Sample {
	var out []Sample
	for _, s := range r.Samples {
		if s.Subject == subject && s.Direction == d {
			out = append(out, s)
		}
	}
	return out
}

// subjects returns the subjects in the order of their first sample.
func (r *Report) subjects() []string {
	var out []string
	for _, s := range r.Samples {
		if !slices.Contains(out, s.Subject) {
			out = append(out, s.Subject)
		}
	}
	return out
}

// ratios returns the goodput of a subject over the baseline's of the same round.
func (r *Report) ratios(subject string, d Direction) []float64 {
	base := make(map[int]float64)
	for _, s := range r.of(r.Baseline, d) {
		base[s.Round] = s.Gbps()
	}
	var out []float64
	for _, s := range r.of(subject, d) {
		if b := base[s.Round]; b > 0 {
			out = append(out, s.Gbps()/b)
		}
	}
	return out
}

// WriteTable prints a line per direction and subject, each figure as
// min/median/max over the rounds.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "direction\tsubject\tGbit/s\tCPU s/GB\tGbit per CPU s\tratio to %s\n", r.Baseline)
	for _, d := range []Direction{Receive, Send} {
		for _, subject := range r.subjects() {
			samples := r.of(subject, d)
			if len(samples) == 0 {
				continue
			}
			figure := func(f func(Sample) float64) Spread {
				v := make([]float64, len(samples))
				for i, s := range samples {
					v[i] = f(s)
				}
				return SpreadOf(v)
			}
			ratio := "-"
			if v := r.ratios(subject, d); len(v) > 0 {
				ratio = SpreadOf(v).String()
			}
			fmt.Fprintf(t, "%s\t%s\t%v\t%v\t%v\t%v\n", d, subject, figure(Sample.Gbps),
				figure(Sample.SecondsPerGB), figure(Sample.GbitPerCPUSecond), ratio)
		}
	}
	return t.Flush()
}

// OffloadOptions of CompareOffload.
type OffloadOptions struct {
	Rounds   int           // 0: 5
	Duration time.Duration // of each transfer; 0: 2 s
	Plain    bool          // TUN devices without offload
	// Profile is a file for the CPU profile of Subject's transfers in Direction.
	Profile   string
	Subject   string
	Direction Direction
	// Only, if not empty, leaves out all subjects but this one.
	Only string
	// Progress, if not nil, is told every sample.
	Progress func(Sample)
}

// What Sennit has to move per second of one core, in Gbit: half of what a first
// link of this kind measured with gVisor's TCP on top.
const (
	LeastReceived = 2.5
	LeastSent     = 4.0
)

// Names of the subjects.
const (
	kernelVeth = "kernel/veth"
	gvisorTUN  = "gvisor/tun"
	sennitTUN  = "sennit/tun"
)
