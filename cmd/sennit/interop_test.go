//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

// helperEnv makes the test binary a small program of its own inside `run`.
const helperEnv = "SENNIT_TEST_HELPER"

var buildDir string

func TestMain(m *testing.M) {
	if childRequested() {
		childMain()
	}
	if h := os.Getenv(helperEnv); h != "" {
		os.Exit(helper(h, os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "sennit-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// helper is what the test binary does inside `run`.
func helper(name string, args []string) int {
	switch name {
	case "udp": // sends its second argument to its first until it comes back
		c, err := net.Dial("udp", args[0])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer c.Close()
		buf := make([]byte, 2048)
		for range 5 {
			if _, err := c.Write([]byte(args[1])); err != nil {
				fmt.Println(err)
				return 1
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := c.Read(buf); err == nil {
				fmt.Println(string(buf[:n]))
				return 0
			}
		}
	case "interfaces":
		list, err := net.Interfaces()
		if err != nil {
			return 1
		}
		for _, i := range list {
			fmt.Println(i.Name)
		}
		return 0
	}
	return 1
}

// binary builds the command once, as users build it.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "sennit")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// rig is a lab with all servers, and the sennit binary for its client.
type rig struct {
	*lab.Lab
	t      *testing.T
	sennit string
	dir    string
	runs   int
}

func newRig(t *testing.T, opt lab.Options) *rig {
	t.Helper()
	lab.Need(t, "curl", "ping")
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Lab: lab.ForTest(t, opt), t: t, sennit: bin, dir: t.TempDir()}
	r.must(r.ServeHTTP(80), r.ServeDNS(), r.ServeUDPEcho(7))
	return r
}

func (r *rig) must(errs ...error) {
	r.t.Helper()
	for _, err := range errs {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) shape(rate string) { r.t.Helper(); r.must(r.Shape(r.WiFi, rate), r.Shape(r.Cell, rate)) }

// run is one `sennit run` under way.
type sennitRun struct {
	r      *rig
	cmd    *exec.Cmd
	ctx    context.Context
	events string // file
	Stdout io.ReadCloser
	Stdin  io.WriteCloser
	stderr strings.Builder
}

// start starts `sennit run FLAGS -- COMMAND` on the client over both links.
func (r *rig) start(flags []string, command ...string) *sennitRun {
	r.t.Helper()
	r.runs++
	s := &sennitRun{r: r, events: filepath.Join(r.dir, fmt.Sprintf("events-%d.jsonl", r.runs))}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	r.t.Cleanup(cancel)
	s.ctx = ctx
	args := append([]string{"run", "--link", "wifi0=wifi", "--link", "cell0=cellular", "--events", s.events}, flags...)
	s.cmd = r.Client.Command(ctx, r.sennit, append(append(args, "--"), command...)...)
	s.cmd.Stderr = &s.stderr
	var err error
	if s.Stdout, err = s.cmd.StdoutPipe(); err != nil {
		r.t.Fatal(err)
	}
	if s.Stdin, err = s.cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	r.must(s.cmd.Start())
	return s
}

// wait waits for the end and returns the exit status.
func (s *sennitRun) wait() int {
	s.r.t.Helper()
	s.Stdin.Close()
	err := s.cmd.Wait()
	if s.ctx.Err() != nil {
		s.r.t.Fatalf("sennit run did not end in time\n%s", s.stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.r.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// do runs to the end and wants status 0.
func (r *rig) do(flags []string, command ...string) (out string, s *sennitRun) {
	r.t.Helper()
	s = r.start(flags, command...)
	b, err := io.ReadAll(s.Stdout)
	r.must(err)
	if code := s.wait(); code != 0 {
		r.t.Fatalf("%v: status %d\nstdout: %s\nstderr: %s", command, code, b, s.stderr.String())
	}
	return string(b), s
}

// event is a line of the events file.
type event map[string]any

func (e event) text(key string) string { s, _ := e[key].(string); return s }

// all returns the events named name; all of them if it is empty.
func (s *sennitRun) all(name string) []event {
	s.r.t.Helper()
	f, err := os.Open(s.events)
	s.r.must(err)
	defer f.Close()
	var events []event
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			s.r.t.Fatalf("events: %v: %s", err, lines.Text())
		}
		if _, err := time.Parse(time.RFC3339Nano, e.text("time")); err != nil {
			s.r.t.Errorf("events: %v: %s", err, lines.Text())
		}
		if name == "" || e.text("event") == name {
			events = append(events, e)
		}
	}
	return events
}

// received adds up the bytes of connection_closed events per link.
func (s *sennitRun) bytes(direction string) map[string]int64 {
	s.r.t.Helper()
	sum := map[string]int64{}
	for _, e := range s.all("connection_closed") {
		perLink, _ := e["links"].(map[string]any)
		for link, v := range perLink {
			if m, ok := v.(map[string]any); ok {
				n, _ := m[direction].(float64)
				sum[link] += int64(n)
			}
		}
	}
	return sum
}

// joined returns the links over which MPTCP subflows were established.
func (s *sennitRun) joined() []string {
	var links []string
	for _, e := range s.all("subflow_established") {
		if e["mptcp"] == true && !slices.Contains(links, e.text("link")) {
			links = append(links, e.text("link"))
		}
	}
	slices.Sort(links)
	return links
}

// transfer is what became of a download.
type transfer struct {
	n       int64
	sum     string
	gap     time.Duration // longest time without a byte
	elapsed time.Duration // from the first byte to the last
}

// drain reads until the end, or for n bytes if n > 0.
func drain(in io.Reader, n int64) (transfer, error) {
	var t transfer
	h := sha256.New()
	g := lab.NewGapReader(in)
	if n > 0 {
		in = io.LimitReader(g, n)
	} else {
		in = g
	}
	start := time.Now()
	var err error
	t.n, err = io.CopyBuffer(struct{ io.Writer }{h}, in, make([]byte, 64<<10))
	t.elapsed, t.gap, t.sum = time.Since(start), g.Longest, hex.EncodeToString(h.Sum(nil))
	return t, err
}

func (t transfer) check(tb testing.TB, want int64) {
	tb.Helper()
	if t.n != want || t.sum != lab.Sum(want) {
		tb.Errorf("got %d bytes with SHA-256 %s, want %d with %s", t.n, t.sum, want, lab.Sum(want))
	}
}

// during returns how the server's MPTCP counters grew while f ran, and fails
// on those that tell of damage.
func (r *rig) during(f func()) lab.Counters {
	r.t.Helper()
	before, err := r.Server.Counters()
	r.must(err)
	f()
	after, err := r.Server.Counters()
	r.must(err)
	c := after.Since(before).MPTCP()
	for _, bad := range []string{"MPFailTx", "MPFailRx", "DataCsumErr", "DSSNotMatching", "DSSCorruptionFallback", "DSSCorruptionReset", "MPJoinAckHMacFailure"} {
		if c[bad] != 0 {
			r.t.Errorf("the server counted %s %d times", bad, c[bad])
		}
	}
	return c
}

// url is a URL of the lab's server by name.
func url(path string, args ...any) string { return "http://server.test" + fmt.Sprintf(path, args...) }
