//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

// state is all of a host that `run` might change, as text.
func (r *rig) state() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for name, command := range map[string]string{
		"links":      `ip -o link | sed 's/ qlen [0-9]*//'`,
		"addresses":  "ip -o addr | sed 's/valid_lft.*//'",
		"rules":      "ip rule; ip -6 rule",
		"routes":     "ip route show table all | sort; ip -6 route show table all | sed 's/expires [^ ]*//' | sort",
		"nftables":   "nft list ruleset",
		"sysctls":    `sysctl -a --pattern '^net\.(ipv4|ipv6|core)' 2>/dev/null | grep -vE 'dad_transmits_seen|\.stable_secret|mtu_probe_'`,
		"namespaces": "ls /run/netns | grep -v ^snt; ls /etc/netns 2>/dev/null | grep -v ^snt",
	} {
		res, err := r.Client.Run(context.Background(), "sh", "-c", command)
		r.must(err)
		all[name] = res.Stdout
	}
	return all
}

// unchanged fails for every part of the state that is not as it was.
func (r *rig) unchanged(before map[string]string, when string) {
	r.t.Helper()
	after := r.state()
	for name, text := range before {
		if d := difference(text, after[name]); d != "" {
			r.t.Errorf("%s changed %s:\n%s", when, name, d)
		}
	}
}

// difference lists the lines that one text has more often than the other.
func difference(before, after string) string {
	count := map[string]int{}
	for _, l := range strings.Split(before, "\n") {
		count[l]--
	}
	for _, l := range strings.Split(after, "\n") {
		count[l]++
	}
	var d []string
	for l, n := range count {
		if n != 0 {
			d = append(d, fmt.Sprintf("%+d %s", n, l))
		}
	}
	slices.Sort(d)
	return strings.Join(d, "\n")
}

// sennitPID waits until the command runs and returns the process id of the
// outermost sennit. (`ip netns exec` has become it.)
func (s *sennitRun) sennitPID() int {
	s.r.t.Helper()
	line := make([]byte, 64)
	if n, err := s.Stdout.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "ready") {
		s.r.t.Fatalf("the command did not start: %q, %v: %s", line[:n], err, s.stderr.String())
	}
	return s.cmd.Process.Pid
}

// However `run` ends, the host is as it was before.
func TestRunLeavesNothing(t *testing.T) {
	r := newRig(t, lab.Options{})
	before := r.state()

	r.do(aggregate, "curl", "-sS", "-o", "/dev/null", url("/bytes/%d", 100_000))
	r.unchanged(before, "a run to the end")

	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		s := r.start(aggregate, "sh", "-c", "echo ready; exec sleep 60")
		pid := s.sennitPID()
		r.must(syscall.Kill(pid, sig))
		if code := s.wait(); code != 128+int(sig) {
			t.Errorf("%v: status %d, want %d", sig, code, 128+int(sig))
		}
		r.unchanged(before, "a run ended by "+sig.String())
	}

	s := r.start(aggregate, "sh", "-c", "echo ready; exec sleep 60")
	pid := s.sennitPID()
	r.must(syscall.Kill(pid, syscall.SIGKILL))
	s.cmd.Wait()
	r.do(aggregate, "curl", "-sS", "-o", "/dev/null", url("/bytes/%d", 100_000))
	r.unchanged(before, "a killed run and the next one")
}

// Two runs at once do not disturb each other, nor each other's cleaning up.
func TestRunTwice(t *testing.T) {
	r := newRig(t, lab.Options{})
	before := r.state()
	first := r.start(aggregate, "sh", "-c", "echo ready; read line; curl -sSN "+url("/bytes/%d", 1_000_000))
	first.sennitPID()
	r.do(aggregate, "curl", "-sS", "-o", "/dev/null", url("/bytes/%d", 100_000))
	fmt.Fprintln(first.Stdin)
	got, err := drain(first.Stdout, 0)
	r.must(err)
	if code := first.wait(); code != 0 {
		t.Fatalf("status %d: %s", code, first.stderr.String())
	}
	got.check(t, 1_000_000)
	r.unchanged(before, "two runs at once")
}

// 200 fetches inside one run: none fails, nothing grows.
func TestRunManyFetches(t *testing.T) {
	r := newRig(t, lab.Options{})
	const script = `
fetch() { for i in $(seq $1); do curl -sS -o /dev/null -w '%{http_code} %{size_download}\n' ` + "http://server.test/bytes/20000" + ` || echo failed; done; }
fetch 100; echo ready; read line; fetch 100; echo ready; read line`
	s := r.start(aggregate, "sh", "-c", script)
	defer s.cmd.Process.Kill()
	lines := bufio.NewScanner(s.Stdout)
	good := 0
	until := func() {
		t.Helper()
		for lines.Scan() {
			switch line := lines.Text(); line {
			case "ready":
				return
			case "200 20000":
				good++
			default:
				t.Errorf("a fetch gave %q", line)
			}
		}
		t.Fatalf("ended early: %s", s.stderr.String())
	}
	until()
	pid := s.cmd.Process.Pid
	time.Sleep(3 * time.Second) // the longest that an answered question keeps anything
	rss := memory(t, pid)
	fmt.Fprintln(s.Stdin)
	until()
	time.Sleep(3 * time.Second) // the longest that an answered question keeps anything
	grown := memory(t, pid) - rss
	t.Logf("%d good fetches, resident memory %d kB, grown by %d kB", good, rss, grown)
	if good != 200 {
		t.Errorf("%d good fetches, want 200", good)
	}
	if grown > 10<<10 {
		t.Errorf("100 fetches grew the process by %d kB", grown)
	}
	// A Go program that gets SIGABRT lists its goroutines and ends.
	r.must(syscall.Kill(pid, syscall.SIGABRT))
	_, _ = io.Copy(io.Discard, s.Stdout)
	s.cmd.Wait()
	n := strings.Count(s.stderr.String(), "\ngoroutine ")
	t.Logf("%d goroutines after 200 fetches", n)
	if n == 0 || n > 60 {
		t.Errorf("%d goroutines after 200 fetches, want a few:\n%s", n, s.stderr.String())
	}
}

var vmRSS = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// memory returns a process's resident memory in kB.
func memory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := vmRSS.FindSubmatch(b)
	if m == nil {
		t.Fatal("no VmRSS")
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// Each mistake gives one clear line, the right status, and leaves nothing.
func TestRunBadInput(t *testing.T) {
	r := newRig(t, lab.Options{})
	r.must(r.Client.IP("link", "add", "bare0", "type", "veth", "peer", "name", "bare1"),
		r.Client.IP("link", "add", "off0", "type", "veth", "peer", "name", "off1"))
	for _, up := range []string{"bare0", "bare1"} {
		// No address of its own accord, later than the first look at the state.
		r.must(r.Client.IP("link", "set", up, "addrgenmode", "none"), r.Client.IP("link", "set", up, "up"))
	}
	notExecutable := filepath.Join(r.dir, "data")
	r.must(os.WriteFile(notExecutable, []byte("no program"), 0o644))
	// Readable by anybody, for the case without capabilities.
	r.must(os.Chmod(buildDir, 0o755))
	before := r.state()
	for _, c := range []struct {
		name string
		args []string
		pre  []string // what runs sennit
		code int
		say  string
	}{
		{name: "unknown link", args: []string{"--link", "nope0", "--", "true"}, code: 125, say: "nope0"},
		{name: "link without address", args: []string{"--link", "bare0", "--", "true"}, code: 125, say: "bare0"},
		{name: "link that is down", args: []string{"--link", "off0", "--", "true"}, code: 125, say: "off0"},
		{name: "unknown class", args: []string{"--link", "wifi0=smoke", "--", "true"}, code: 125, say: "smoke"},
		{name: "link twice", args: []string{"--link", "wifi0", "--link", "wifi0", "--", "true"}, code: 125, say: "wifi0"},
		{name: "unknown service", args: []string{"--service", "fast", "--", "true"}, code: 125, say: "fast"},
		{name: "unknown flag", args: []string{"--nope", "--", "true"}, code: 125, say: "nope"},
		{name: "no command", args: []string{"--link", "wifi0"}, code: 125, say: "--"},
		{name: "events into nowhere", args: []string{"--events", "/nowhere/x", "--", "true"}, code: 125, say: "/nowhere/x"},
		{name: "pcap into nowhere", args: []string{"--pcap", "/nowhere/x", "--", "true"}, code: 125, say: "/nowhere/x"},
		{name: "command that does not exist", args: []string{"--", "no-such-command"}, code: 127, say: "no-such-command"},
		{name: "command that cannot run", args: []string{"--", notExecutable}, code: 126, say: notExecutable},
		{name: "no TUN", pre: []string{"unshare", "-m", "sh", "-c", `mount -t tmpfs none /dev/net && exec "$0" "$@"`},
			args: []string{"--", "true"}, code: 125, say: "/dev/net/tun"},
		{name: "no capability", pre: []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"},
			args: []string{"--", "true"}, code: 125, say: "sudo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			full := append(append(slices.Clone(c.pre), r.sennit, "run"), c.args...)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			res, err := r.Client.Run(ctx, full[0], full[1:]...)
			r.must(err)
			if res.Code != c.code {
				t.Errorf("status %d, want %d", res.Code, c.code)
			}
			if lines := strings.Count(res.Stderr, "\n"); lines != 1 || !strings.Contains(res.Stderr, c.say) {
				t.Errorf("want one line with %q, have %q", c.say, res.Stderr)
			}
			t.Log(strings.TrimSpace(res.Stderr))
			r.unchanged(before, c.name)
		})
	}
}

// Servers that refuse or cannot be reached look to the program as on any host.
func TestRunReportsUnreachableServers(t *testing.T) {
	r := newRig(t, lab.Options{})
	r.must(r.Router.IP("route", "add", "prohibit", "10.99.0.0/24"))
	for _, c := range []struct {
		name, url string
		code      int
		say       string
	}{
		{"refused", "http://10.77.10.2:9/", 7, "Connection refused"},
		{"refused, IPv6", "http://[fd77:10::2]:9/", 7, "Connection refused"},
		{"unknown name", "http://nowhere.test/", 6, "resolve"},
		{"unreachable", "http://10.99.0.1/", 7, "unreachable|No route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			s := r.start(aggregate, "curl", "-sSv", "--max-time", "20", c.url)
			_, err := io.Copy(io.Discard, s.Stdout)
			r.must(err)
			code := s.wait()
			t.Logf("status %d after %v", code, time.Since(start))
			if code != c.code || !regexp.MustCompile(c.say).MatchString(s.stderr.String()) {
				t.Errorf("curl's status %d, want %d with %q: %s", code, c.code, c.say, s.stderr.String())
			}
		})
	}
}

// pcapng files are readable by others, with one interface a link.
func TestRunWritesCaptures(t *testing.T) {
	lab.Need(t, "tshark")
	r := newRig(t, lab.Options{})
	file := filepath.Join(r.dir, "x.pcapng")
	r.do([]string{"--service", "aggregate", "--pcap", file}, "curl", "-sS", "-o", "/dev/null", url("/bytes/%d", 2_000_000))
	out, err := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.interface_name", "-e", "tcp.options.mptcp.subtype").Output()
	r.must(err)
	for _, want := range []string{"wifi0", "cell0"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no packet of %s in the capture", want)
		}
	}
}
