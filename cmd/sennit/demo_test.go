package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demo itself, short: both scenarios end with the right bytes, and both
// links carried some.
func TestDemo(t *testing.T) {
	for _, scenario := range []string{"handover", "aggregate"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := demoOptions{scenario: scenario, seconds: 2, json: filepath.Join(dir, "x.json"), plot: filepath.Join(dir, "x.svg")}
			if err := runDemo(context.Background(), o); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Intact, MPTCP bool
				Bytes         int64
				Links         []struct{ Bytes int64 }
				Events        []struct{ Text string }
				Samples       []struct{ Bytes []int64 }
			}
			b, err := os.ReadFile(o.json)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if !got.Intact || !got.MPTCP || got.Bytes == 0 {
				t.Errorf("result %s", b)
			}
			if len(got.Links) != 2 || got.Links[0].Bytes == 0 || got.Links[1].Bytes == 0 {
				t.Errorf("links %+v, want bytes on both", got.Links)
			}
			if lost := len(got.Events) == 1; lost != (scenario == "handover") {
				t.Errorf("events %+v", got.Events)
			}
			if len(got.Samples) == 0 {
				t.Error("no samples")
			}
			svg, err := os.ReadFile(o.plot)
			if err != nil || !bytes.Contains(svg, []byte("<svg")) {
				t.Errorf("no SVG in %s: %v", o.plot, err)
			}
		})
	}
}

func TestDemoRefusesBadFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown scenario": {"--scenario", "lunch"},
		"too short":        {"--seconds", "1"},
		"too long":         {"--seconds", "601"},
		"kind of plot":     {"--plot", "x.bmp"},
		"no such folder":   {"--json", "/nowhere/x.json"},
		"stray argument":   {"now"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newRootCommand()
			cmd.SetArgs(append([]string{"demo"}, args...))
			if err := cmd.Execute(); err == nil {
				t.Errorf("demo %v started", args)
			}
		})
	}
}

// sampled is a made-up run: steady rates, the first link lost half-way.
func sampled() *demoResult {
	r := &demoResult{Scenario: "handover", MPTCP: true, Intact: true, SHA256: "abc", Links: demoLinks(),
		Elapsed: 4 * time.Second, Bytes: 22_500_000, Stall: 40 * time.Millisecond, StallAt: 2 * time.Second,
		Marks: []demoMark{{At: 2 * time.Second, Link: "wifi"}}}
	sum := []int64{0, 0}
	for at := sampleEvery; at <= r.Elapsed; at += sampleEvery {
		if at <= 2*time.Second {
			sum[0] += 500_000
		}
		sum[1] += 312_500
		r.Samples = append(r.Samples, demoSample{At: at, Bytes: []int64{sum[0], sum[1]}})
	}
	r.Links[0].Bytes, r.Links[1].Bytes = sum[0], sum[1]
	return r
}

func TestDemoTable(t *testing.T) {
	var b strings.Builder
	sampled().table(&b)
	for _, want := range []string{"wifi", "10.0 MB", "20.0 Mbit/s", "44 %", "cell", "12.5 MB", "25.0 Mbit/s", "56 %",
		"together", "22.5 MB", "45.0 Mbit/s", "right", "40 ms"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	r := sampled()
	r.Intact, r.MPTCP = false, false
	b.Reset()
	r.table(&b)
	for _, want := range []string{"WRONG", "plain TCP"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestDemoPlainLines(t *testing.T) {
	var b strings.Builder
	r := sampled()
	p := &demoProgress{w: &b, links: r.Links, total: r.Elapsed, next: time.Second}
	for _, s := range r.Samples {
		var marks []demoMark
		if s.At >= 2*time.Second {
			marks = r.Marks
		}
		p.update(s, marks)
	}
	want := `   1.0 s  wifi  40.0 Mbit/s  cell  25.0 Mbit/s
   2.0 s  wifi lost
   2.0 s  wifi  40.0 Mbit/s  cell  25.0 Mbit/s
   3.0 s  wifi   0.0 Mbit/s  cell  25.0 Mbit/s
   4.0 s  wifi   0.0 Mbit/s  cell  25.0 Mbit/s
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestDemoPlot(t *testing.T) {
	r := sampled()
	edges, rates := r.series()
	if len(edges) != len(rates[0])+1 || rates[0][0] != 40 || rates[1][0] != 25 || rates[0][len(rates[0])-1] != 0 {
		t.Errorf("series %v %v", edges, rates)
	}
	name := filepath.Join(t.TempDir(), "x.png")
	if err := r.draw(name); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() < 600 || b.Dy() < 250 {
		t.Errorf("the plot is %v", b)
	}
	r.Samples = nil
	if err := r.draw(name); err == nil {
		t.Error("a run without samples was plotted")
	}
}
