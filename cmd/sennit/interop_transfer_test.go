//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

var aggregate = []string{"--service", "aggregate"}

// The main job: an unmodified curl, a stock kernel as the server, two links.
func TestRunDownloadsOverBothLinks(t *testing.T) {
	r := newRig(t, lab.Options{})
	r.shape("300mbit")
	const size = 200_000_000
	c := r.during(func() {
		s := r.start(aggregate, "curl", "-sSN", url("/bytes/%d", size))
		got, err := drain(s.Stdout, 0)
		r.must(err)
		if code := s.wait(); code != 0 {
			t.Fatalf("status %d: %s", code, s.stderr.String())
		}
		got.check(t, size)
		t.Logf("%.1f Mbit/s, longest pause %v", float64(size)*8/got.elapsed.Seconds()/1e6, got.gap)
		if links := s.joined(); !slices.Equal(links, []string{"cell0", "wifi0"}) {
			t.Errorf("MPTCP subflows over %v, want both links", links)
		}
		if len(s.all("connection_opened")) == 0 {
			t.Error("no connection_opened event")
		}
		bytes := s.bytes("received")
		t.Logf("bytes per link: %v", bytes)
		if bytes["wifi0"] < size/10 || bytes["cell0"] < size/10 {
			t.Errorf("bytes per link %v, want a fair part on each", bytes)
		}
		if len(s.all("fallback")) != 0 {
			t.Errorf("fallback: %v", s.all("fallback"))
		}
	})
	t.Logf("server's counters: %v", c)
	if c["MPCapableSYNRX"] < 1 || c["MPJoinSynRx"] < 1 || c["MPJoinAckRx"] < 1 {
		t.Errorf("counters %v, want MPCapableSYNRX and MPJoinSynRx", c)
	}
}

// Two links of 50 Mbit/s give at least 85 % of their sum, both ways.
func TestRunAggregatesTwoLinks(t *testing.T) {
	r := newRig(t, lab.Options{})
	r.shape("50mbit")
	const size, want = 100_000_000, 0.85 * 100e6
	rate := func(out string) float64 {
		t.Helper()
		seconds, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
		r.must(err)
		return size * 8 / seconds
	}
	t.Run("download", func(t *testing.T) {
		file := filepath.Join(r.dir, "down")
		out, s := r.do(aggregate, "curl", "-sS", "-o", file, "-w", "%{time_total}", url("/bytes/%d", size))
		f, err := os.Open(file)
		r.must(err)
		defer f.Close()
		got, err := drain(f, 0)
		r.must(err)
		got.check(t, size)
		t.Logf("%.1f Mbit/s of 100, per link %v", rate(out)/1e6, s.bytes("received"))
		if rate(out) < want {
			t.Errorf("download at %.1f Mbit/s, want %.1f", rate(out)/1e6, want/1e6)
		}
	})
	t.Run("upload", func(t *testing.T) {
		file := filepath.Join(r.dir, "up")
		f, err := os.Create(file)
		r.must(err)
		_, err = io.Copy(f, lab.Content(size))
		r.must(err, f.Close())
		out, s := r.do(aggregate, "curl", "-sS", "-T", file, "-w", "%{time_total}", url("/upload"))
		answer, seconds, _ := strings.Cut(out, "\n")
		if want := fmt.Sprintf("%d %s", size, lab.Sum(size)); answer != want {
			t.Errorf("server got %q, want %q", answer, want)
		}
		t.Logf("%.1f Mbit/s of 100, per link %v", rate(seconds)/1e6, s.bytes("sent"))
		if rate(seconds) < want {
			t.Errorf("upload at %.1f Mbit/s, want %.1f", rate(seconds)/1e6, want/1e6)
		}
	})
}

// loseAfter is how much of a transfer has happened when its link is lost.
const loseAfter = 4_000_000

// trigger is a reader that does something once, after n bytes.
type trigger struct {
	io.Reader
	n  int
	do func() error
	tb testing.TB
}

func (r *trigger) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.n -= n; r.n <= 0 && r.do != nil {
		if err := r.do(); err != nil {
			r.tb.Error(err)
		}
		r.do = nil
	}
	return n, err
}

// loss is a way in which wifi0 dies and comes back.
type loss struct {
	name       string
	lose, back func(r *rig) error
	limit      time.Duration // of the pause that a program may notice
}

var losses = []loss{
	{"link down",
		func(r *rig) error { return r.Down(r.WiFi) },
		func(r *rig) error { return r.Up(r.WiFi) }, time.Second},
	{"silent drop",
		func(r *rig) error { return r.Silence(r.WiFi, true) },
		func(r *rig) error { return r.Silence(r.WiFi, false) }, 3 * time.Second},
}

// wifi0 dies in the middle of a download; the program must not notice, and the
// link is used again once it is back.
func TestRunDownloadSurvivesLossOfALink(t *testing.T) {
	for _, c := range losses {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, lab.Options{})
			r.shape("40mbit")
			const size = 20_000_000
			script := fmt.Sprintf("curl -sSN %[1]s && read line && curl -sSN %[1]s", url("/bytes/%d", size))
			s := r.start(aggregate, "sh", "-c", script)
			in := &trigger{Reader: s.Stdout, n: loseAfter, do: func() error { return c.lose(r) }, tb: t}
			got, err := drain(in, size)
			r.must(err)
			got.check(t, size)
			t.Logf("longest pause %v, %.1f Mbit/s", got.gap, size*8/got.elapsed.Seconds()/1e6)
			if got.gap > c.limit {
				t.Errorf("longest pause %v, want less than %v", got.gap, c.limit)
			}
			before := len(s.all("subflow_established"))
			r.must(c.back(r))
			time.Sleep(time.Second) // the link's way back through the kernel; nothing is measured
			fmt.Fprintln(s.Stdin, "go on")
			again, err := drain(s.Stdout, 0)
			r.must(err)
			if code := s.wait(); code != 0 {
				t.Errorf("status %d: %s", code, s.stderr.String())
			}
			again.check(t, size)
			t.Logf("after its return %.1f Mbit/s", size*8/again.elapsed.Seconds()/1e6)
			var links []string
			for _, e := range s.all("subflow_established")[before:] {
				links = append(links, e.text("link"))
			}
			if !slices.Contains(links, "wifi0") {
				t.Errorf("the next connection used %v, want wifi0 again", links)
			}
			if c.name == "link down" && (len(s.all("link_down")) == 0 || len(s.all("link_up")) == 0) {
				t.Error("no link_down or no link_up event")
			}
		})
	}
}

func TestRunUploadSurvivesLossOfALink(t *testing.T) {
	for _, c := range losses {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, lab.Options{})
			r.shape("40mbit")
			const size = 20_000_000
			s := r.start(aggregate, "curl", "-sS", "-i", "-H", "Expect:", "-T", "-", url("/upload"))
			go func() {
				source := &trigger{Reader: lab.Content(size), n: loseAfter, do: func() error { return c.lose(r) }, tb: t}
				_, _ = io.Copy(s.Stdin, source) // curl's failure shows in its status
				s.Stdin.Close()
			}()
			out, err := io.ReadAll(s.Stdout)
			r.must(err)
			if code := s.wait(); code != 0 {
				t.Fatalf("status %d: %s", code, s.stderr.String())
			}
			if want := fmt.Sprintf("%d %s", size, lab.Sum(size)); !strings.Contains(string(out), want) {
				t.Errorf("server got %q, want %q", out, want)
			}
			_, gap, _ := strings.Cut(string(out), lab.GapHeader+": ")
			gap, _, _ = strings.Cut(gap, "\r\n")
			pause, err := time.ParseDuration(gap)
			r.must(err)
			t.Logf("longest pause %v", pause)
			if pause > c.limit {
				t.Errorf("longest pause %v, want less than %v", pause, c.limit)
			}
		})
	}
}

// wifi0 is up but dead from the start: names resolve and connections open over
// the other link.
func TestRunStartsOnADeadLink(t *testing.T) {
	r := newRig(t, lab.Options{})
	r.must(r.Silence(r.WiFi, true))
	const size = 1_000_000
	start := time.Now()
	s := r.start(nil, "curl", "-sSN", url("/bytes/%d", size))
	got, err := drain(s.Stdout, 0)
	r.must(err)
	if code := s.wait(); code != 0 {
		t.Fatalf("status %d: %s", code, s.stderr.String())
	}
	got.check(t, size)
	t.Logf("%v from start to end", time.Since(start))
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%v from start to end", d)
	}
}
