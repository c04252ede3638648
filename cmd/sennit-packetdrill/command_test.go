//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/cmd/sennit-packetdrill/drill"
)

// answer is what a command gave.
type answer struct {
	result int64
	errno  unix.Errno
	data   []byte
}

// subject is a stack under test. Commands are lines, the same for one in this
// process and one behind the shared object: see testdata/driver.c.
type subject interface{ run(line string) answer }

// direct is a host in this process.
type direct struct {
	h     *drill.Host
	apart chan answer
}

func newDirect(t *testing.T, flags string) subject {
	// The host tells threads apart.
	runtime.LockOSThread()
	f, err := drill.ParseFlags(flags)
	if err != nil {
		t.Fatal(err)
	}
	d := &direct{h: drill.New(f), apart: make(chan answer, 1)}
	t.Cleanup(d.h.Free)
	return d
}

func (d *direct) run(line string) answer {
	if line == "join" {
		return <-d.apart
	}
	c, apart := strings.CutPrefix(line, "async ")
	if !apart {
		return d.do(c)
	}
	tid := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		tid <- unix.Gettid()
		a := d.do(c)
		d.h.Micros()
		d.apart <- a
	}()
	d.settle(<-tid)
	return answer{}
}

// settle returns when a thread has been waiting for a while, as the kernel sees
// it, or its command is done.
func (d *direct) settle(tid int) {
	stat := fmt.Sprintf("/proc/self/task/%d/stat", tid)
	for calm := 0; calm < 10 && len(d.apart) == 0; time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(stat)
		if err != nil {
			return // the thread is gone: the command is done
		}
		if _, state, _ := strings.Cut(string(b), ") "); strings.HasPrefix(state, "S") {
			calm++
		} else {
			calm = 0
		}
	}
}

// words are the arguments of a command.
type words []string

func (w words) n(i int) int {
	if i >= len(w) {
		return 0
	}
	n, _ := strconv.ParseInt(w[i], 0, 64)
	return int(n)
}

func (w words) hex(i int) []byte {
	if i >= len(w) {
		return nil
	}
	b, _ := hex.DecodeString(w[i])
	return b
}

func (d *direct) do(line string) (a answer) {
	w := words(strings.Fields(line))
	h := d.h
	give := func(n int, e unix.Errno) answer { return answer{result: int64(n), errno: e} }
	none := func(e unix.Errno) answer { return give(0, e) }
	switch w[0] {
	case "socket":
		a = give(h.Socket(w.n(1), w.n(2), w.n(3)))
	case "bind":
		a = none(h.Bind(w.n(1), w.hex(2)))
	case "connect":
		a = none(h.Connect(w.n(1), w.hex(2)))
	case "listen":
		a = none(h.Listen(w.n(1), w.n(2)))
	case "accept":
		fd, peer, e := h.Accept(w.n(1), 0)
		a = answer{int64(fd), e, peer}
	case "recv", "read", "readv":
		b := make([]byte, w.n(2))
		n, _, e := h.Recv(w.n(1), b, w.n(3))
		a = answer{int64(n), e, b[:max(n, 0)]}
	case "recvmsg":
		b := make([]byte, w.n(2))
		n, _, e := h.Recv(w.n(1), b, 0)
		a = answer{int64(n), e, b[:max(n, 0)]}
		if inq, ok := h.Hint(w.n(1)); e == 0 && ok {
			a.data = binary.NativeEndian.AppendUint32(a.data, uint32(inq))
		}
	case "epoll_create":
		a = give(h.EpollCreate())
	case "epoll_ctl":
		a = none(h.EpollCtl(w.n(1), w.n(2), w.n(3), unix.EpollEvent{Events: uint32(w.n(4)), Fd: int32(w.n(3))}))
	case "epoll_wait":
		found, e := h.EpollWait(w.n(1), 4, w.n(2))
		a = give(len(found), e)
		if len(found) > 0 {
			a.data = binary.NativeEndian.AppendUint32(nil, found[0].Events)
		}
	case "send":
		a = give(h.Send(w.n(1), w.hex(3), w.n(2), nil))
	case "sendto":
		a = give(h.Send(w.n(1), w.hex(4), w.n(2), w.hex(3)))
	case "writev":
		a = give(h.Send(w.n(1), w.hex(2), 0, nil))
	case "fcntl":
		a = give(h.Fcntl(w.n(1), w.n(2), w.n(3)))
	case "ioctl":
		a = give(h.Ioctl(w.n(1), uint(w.n(2))))
	case "close":
		a = none(h.Close(w.n(1)))
	case "shutdown":
		a = none(h.Shutdown(w.n(1), w.n(2)))
	case "getsockopt":
		b := make([]byte, w.n(4))
		n, e := h.GetOption(w.n(1), w.n(2), w.n(3), b)
		a = answer{0, e, b[:n]}
	case "setsockopt":
		a = none(h.SetOption(w.n(1), w.n(2), w.n(3), w.hex(4)))
	case "poll":
		p := []unix.PollFd{{Fd: int32(w.n(1)), Events: int16(w.n(2))}}
		n, e := h.Poll(p, w.n(3))
		a = answer{int64(n), e, binary.NativeEndian.AppendUint16(nil, uint16(p[0].Revents))}
	case "inject":
		h.Inject(w.hex(1))
	case "next":
		if p, ok := h.Next(); ok {
			a = answer{result: p.Micros(), data: p.Bytes}
		}
	case "sleep":
		h.SleepMicros(int64(w.n(1)))
	case "time":
		a.result = h.Micros()
	default:
		panic("no command " + w[0])
	}
	if a.errno != 0 {
		a.result = -1
	}
	return a
}

// object is a host behind the shared object, in a process of its own.
type object struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

var build struct {
	sync.Once
	dir string
	err error
}

// built builds the shared object and the program that opens it, once.
func built(t *testing.T) string {
	build.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "sennit-packetdrill"); build.err != nil {
			return
		}
		for _, args := range [][]string{
			{"go", "build", "-buildmode=c-shared", "-o", filepath.Join(build.dir, "sennit.so"), "."},
			{"cc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", filepath.Join(build.dir, "driver"),
				filepath.Join("testdata", "driver.c"), "-ldl", "-lpthread"},
		} {
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				build.err = fmt.Errorf("%v: %w\n%s", args, err, out)
				return
			}
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

// fixed are the settings of the tests: not those of the machine they run on.
const fixed = `
net.core.somaxconn = 4096
net.ipv4.ip_default_ttl = 64
net.ipv4.tcp_congestion_control = cubic
net.ipv4.tcp_fin_timeout = 60
net.ipv4.tcp_notsent_lowat = 4294967295
net.ipv4.tcp_recovery = 1
net.ipv4.tcp_rmem = 4096 131072 15728640
net.ipv4.tcp_sack = 1
net.ipv4.tcp_syn_retries = 6
net.ipv4.tcp_timestamps = 1
net.ipv4.tcp_window_scaling = 1
net.ipv4.tcp_wmem = 4096 16384 4194304
net.ipv6.bindv6only = 0
net.mptcp.allow_join_initial_addr_port = 1
net.mptcp.checksum_enabled = 0
net.mptcp.enabled = 1
`

// configure lets hosts that are made from now on have further settings.
func configure(t *testing.T, more string) {
	name := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(name, []byte(fixed+more), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(drill.Override, name)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
	os.Exit(code)
}

// needCompiler skips where no C compiler is, unless nothing may skip.
func needCompiler(t *testing.T) {
	if _, err := exec.LookPath("cc"); err == nil {
		return
	}
	if os.Getenv("SENNIT_NOSKIP") == "1" {
		t.Fatal("no C compiler (cc): the shared object cannot be built")
	}
	t.Skip("no C compiler (cc)")
}

func newObject(t *testing.T, flags string) subject {
	needCompiler(t)
	dir := built(t)
	cmd := exec.Command(filepath.Join(dir, "driver"), filepath.Join(dir, "sennit.so"), flags)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("driver: %v", err)
		}
	})
	return &object{t, in, bufio.NewReader(out)}
}

func (o *object) run(line string) (a answer) {
	if _, err := fmt.Fprintln(o.in, line); err != nil {
		o.t.Fatal(err)
	}
	text, err := o.out.ReadString('\n')
	var data string
	var errno int
	if err == nil {
		_, err = fmt.Sscan(text, &a.result, &errno, &data)
	}
	if err != nil {
		o.t.Fatalf("driver answers %q to %.60q: %v", text, line, err)
	}
	a.errno = unix.Errno(errno)
	if data != "-" {
		a.data, _ = hex.DecodeString(data)
	}
	return a
}

// both runs a script on a host in this process and on one behind the shared
// object.
func both(t *testing.T, flags string, f func(s *script)) {
	t.Helper()
	if os.Getenv(drill.Override) == "" {
		configure(t, "")
	}
	t.Run("direct", func(t *testing.T) { f(newScript(t, newDirect(t, flags), flags)) })
	t.Run("object", func(t *testing.T) { f(newScript(t, newObject(t, flags), flags)) })
}
