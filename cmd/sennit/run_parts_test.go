//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/tun/uplink"
)

func TestParseLinks(t *testing.T) {
	got, err := parseLinks([]string{"wifi0=wifi", "cell0=cellular", "eth0=wired", "x"})
	want := []uplink.LinkConfig{{Name: "wifi0", Class: uplink.WiFi}, {Name: "cell0", Class: uplink.Cellular}, {Name: "eth0", Class: uplink.Wired}, {Name: "x"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "=wifi", "wifi0=", "wifi0=5g", "wifi0=wifi=wifi"} {
		if _, err := parseLinks([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestExecError(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
	}{
		{"x", &exec.Error{Name: "x", Err: exec.ErrNotFound}, 127},
		{"./x", &exec.Error{Name: "./x", Err: fs.ErrNotExist}, 127},
		{"./x", &exec.Error{Name: "./x", Err: fs.ErrPermission}, 126},
		{"./x", syscall.EACCES, 126},
		{"./x", syscall.ENOENT, 127}, // its interpreter
		{"./x", syscall.ENOEXEC, 126},
	} {
		var e *exitError
		if err := execError(c.name, c.err); !errors.As(err, &e) || e.code != c.code {
			t.Errorf("%s, %v: %v, want status %d", c.name, c.err, err, c.code)
		}
	}
}

func TestIdentity(t *testing.T) {
	if os.Geteuid() != 0 {
		// Not root: nobody to become.
		t.Setenv("SUDO_UID", "65534")
		if id, err := callerIdentity(false); err != nil || id.Change {
			t.Errorf("%+v, %v", id, err)
		}
		return
	}
	t.Setenv("SUDO_UID", "65534")
	t.Setenv("SUDO_GID", "65533")
	id, err := callerIdentity(false)
	if err != nil || !id.Change || id.UID != 65534 || id.GID != 65533 || !slices.Contains(id.Groups, 65533) {
		t.Errorf("%+v, %v", id, err)
	}
	if env := id.env(); slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "SUDO_") }) {
		t.Errorf("the command could think it runs under sudo: %q", env)
	}
	if id, err := callerIdentity(true); err != nil || id.Change {
		t.Errorf("--root: %+v, %v", id, err)
	}
	t.Setenv("SUDO_UID", "me")
	if _, err := callerIdentity(false); err == nil {
		t.Error("SUDO_UID=me was accepted")
	}
}

// fakeStream is one end of a connection that reads in and keeps what is
// written.
type fakeStream struct {
	net.Conn
	in       io.Reader
	writeErr error

	mu               sync.Mutex
	out              []byte
	finished, killed bool
}

func (f *fakeStream) Read(p []byte) (int, error) { return f.in.Read(p) }
func (f *fakeStream) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writeErr != nil {
		return 0, f.writeErr
	}
	f.out = append(f.out, p...)
	return len(p), nil
}
func (f *fakeStream) CloseWrite() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finished = true
	return nil
}
func (f *fakeStream) Abort() { f.mu.Lock(); defer f.mu.Unlock(); f.killed = true }

func TestRelayCopy(t *testing.T) {
	text := strings.Repeat("sennit", 200_000) // small and large buffers
	broken := errors.New("broken")
	for _, c := range []struct {
		name                 string
		in                   io.Reader
		writeErr             error
		n                    int
		finished             bool // the destination got a FIN
		dstKilled, srcKilled bool
	}{
		{name: "to the end", in: strings.NewReader(text), n: len(text), finished: true},
		{name: "in drops", in: iotest.OneByteReader(strings.NewReader(text[:5000])), n: 5000, finished: true},
		{name: "data with the end", in: iotest.DataErrReader(strings.NewReader(text)), n: len(text), finished: true},
		{name: "reset", in: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), n: 4, dstKilled: true},
		{name: "destination gone", in: strings.NewReader(text), writeErr: broken, srcKilled: true},
	} {
		src, dst := &fakeStream{in: c.in}, &fakeStream{writeErr: c.writeErr}
		n, _ := new(relay).copy(dst, src)
		if int(n) != c.n || string(dst.out) != text[:c.n] && c.name != "reset" {
			t.Errorf("%s: %d bytes, want %d", c.name, n, c.n)
		}
		if dst.finished != c.finished || dst.killed != c.dstKilled || src.killed != c.srcKilled {
			t.Errorf("%s: destination finished %v killed %v, source killed %v", c.name, dst.finished, dst.killed, src.killed)
		}
	}
}

// Only the attempt that won the race is told, and what it said before it won.
func TestEventsOfTheWinner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	log, err := newEventLog(path, &identity{})
	if err != nil {
		t.Fatal(err)
	}
	log.linkName(1, "wifi0")
	log.linkName(2, "cell0")
	c := log.connection(netip.MustParseAddrPort("10.0.0.2:1"), netip.MustParseAddrPort("192.0.2.1:80"))
	loser, winner := c.recorder(), c.recorder()
	loser.Record(0, conn.Fallback{Cause: conn.SYNACKWithout})
	winner.Record(0, conn.Fallback{Cause: conn.KeyMismatch})
	winner.Record(0, conn.ConnectionOpened{})
	winner.Record(0, conn.SubflowEstablished{Link: 2, MPTCP: true})
	loser.Record(0, conn.SubflowClosed{Link: 1, Reason: tcp.ErrAborted})
	c.closed(conn.Info{Subflows: []conn.SubflowInfo{{Address: policy.Address{Link: 2}, Sent: 5, Received: 7}},
		Past: []conn.SubflowInfo{{Address: policy.Address{Link: 1}, Sent: 1}, {Address: policy.Address{Link: 2}, Sent: 2}}}, 6, 7, nil)
	winner.Record(0, conn.SubflowClosed{Link: 2, Reason: tcp.ErrAborted})
	if err := log.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	for s := bufio.NewScanner(f); s.Scan(); {
		var e entry
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(e.Event+" "+e.Link+e.Cause+e.Reason))
		if e.Event == "connection_closed" && (e.Links["cell0"] != linkBytes{7, 7} || e.Links["wifi0"] != linkBytes{1, 0} || *e.Sent != 6) {
			t.Errorf("%s", s.Bytes())
		}
	}
	want := []string{"fallback " + conn.KeyMismatch.String(), "connection_opened", "subflow_established cell0", "connection_closed", "subflow_closed cell0closed"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// A log that cannot be written says so at the end, once.
func TestEventsOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		if os.Getenv("SENNIT_NOSKIP") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	log, err := newEventLog("/dev/full", &identity{})
	if err != nil {
		t.Fatal(err)
	}
	log.link("link_up", "wifi0", "")
	if err := log.close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close: %v", err)
	}
}

func TestWithoutEventsAndCapture(t *testing.T) {
	var log *eventLog
	log.link("link_up", "x", "")
	c := log.connection(netip.AddrPort{}, netip.AddrPort{})
	if c.recorder() != nil {
		t.Error("a recorder without a log")
	}
	c.failed(io.EOF)
	c.closed(conn.Info{}, 0, 0, nil)
	var p *capture
	if p.tap("x", 1500) != nil || log.close() != nil || p.close() != nil {
		t.Error("nothing should be nothing")
	}
}

func TestAdvise(t *testing.T) {
	got := advise(errors.Join(uplink.ErrPermission, errors.New("second line")))
	if strings.Contains(got, "\n") || !strings.Contains(got, "sudo") {
		t.Errorf("%q: want one line that names the command to use", got)
	}
}
