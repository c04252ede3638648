//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/bench/lab"
)

// Exit statuses are those of a shell.
func TestRunExitStatus(t *testing.T) {
	r := newRig(t, lab.Options{})
	for _, c := range []struct {
		script string
		want   int
	}{
		{"exit 0", 0}, {"exit 7", 7}, {"exit 125", 125}, {"kill -TERM $$", 143}, {"kill -SEGV $$", 139}, {"kill -KILL $$", 137},
	} {
		s := r.start(nil, "sh", "-c", c.script)
		if got := s.wait(); got != c.want {
			t.Errorf("%q: status %d, want %d", c.script, got, c.want)
		}
		if s.stderr.String() != "" {
			t.Errorf("%q: stderr %q", c.script, s.stderr.String())
		}
	}
}

// A signal for sennit is a signal for the command, which may live on with it.
func TestRunPassesSignals(t *testing.T) {
	r := newRig(t, lab.Options{})
	before := r.state()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1} {
		s := r.start(nil, "sh", "-c", "echo ready; exec sleep 60")
		r.must(syscall.Kill(s.sennitPID(), sig))
		if got := s.wait(); got != 128+int(sig) {
			t.Errorf("%v: status %d, want %d", sig, got, 128+int(sig))
		}
	}
	s := r.start(nil, "sh", "-c", `trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.05; done`)
	r.must(syscall.Kill(s.sennitPID(), syscall.SIGUSR1))
	out, err := io.ReadAll(s.Stdout)
	r.must(err)
	if got := s.wait(); got != 3 || string(out) != "caught\n" {
		t.Errorf("status %d and %q, want 3 and the word of the trap", got, out)
	}
	r.unchanged(before, "signals")
}

// What a parent has sennit ignore, as nohup does, the command ignores, too.
func TestRunKeepsIgnoredSignals(t *testing.T) {
	r := newRig(t, lab.Options{})
	s := r.start(nil, "true")
	s.wait()
	out, err := r.Client.Run(t.Context(), "sh", "-c", "trap '' HUP; exec "+r.sennit+` run -- sh -c 'kill -HUP $$; echo alive'`)
	r.must(err)
	if strings.TrimSpace(out.Stdout) != "alive" {
		t.Errorf("a command under nohup: %+v", out)
	}
}

// The command dies with sennit, whatever kills that.
func TestRunCommandDiesWithSennit(t *testing.T) {
	r := newRig(t, lab.Options{})
	file := filepath.Join(r.dir, "pid")
	s := r.start(nil, "sh", "-c", "echo $$ > "+file+"; echo ready; exec sleep 60")
	pid := s.sennitPID()
	line, err := os.ReadFile(file)
	r.must(err)
	var child int
	if _, err := fmt.Sscan(string(line), &child); err != nil {
		t.Fatal(err)
	}
	r.must(syscall.Kill(pid, syscall.SIGKILL))
	s.cmd.Wait()
	for deadline := time.Now().Add(5 * time.Second); syscall.Kill(child, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the command outlives sennit")
		}
	}
}

// The command runs as the user who called sudo, with nothing of root left.
func TestRunBecomesTheUser(t *testing.T) {
	r := newRig(t, lab.Options{})
	// Others must be able to reach the files.
	r.must(os.Chmod(r.dir, 0o755))
	events := filepath.Join(r.dir, "of-the-user")
	script := `id -u; id -g; id -G; echo "$USER ${SUDO_UID-none}"; grep CapEff /proc/self/status; curl -sS http://server.test/peer >/dev/null && echo fetched; ping -c1 -W2 server.test >/dev/null && echo pinged`
	run := func(flags string) string {
		t.Helper()
		res, err := r.Client.Run(t.Context(), "sh", "-c", "SUDO_UID=65534 SUDO_GID=65534 exec "+r.sennit+" run "+flags+" --events "+events+" -- sh -c '"+script+"'")
		r.must(err)
		if res.Code != 0 {
			t.Fatalf("status %d: %s", res.Code, res.Stderr)
		}
		return res.Stdout
	}
	got := strings.Split(strings.TrimSpace(run("")), "\n")
	want := []string{"65534", "65534", "65534", "nobody none", "CapEff:\t0000000000000000", "fetched", "pinged"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("as the user: %q, want %q", got, want)
	}
	info, err := os.Stat(events)
	r.must(err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 {
		t.Errorf("the events belong to user %d", st.Uid)
	}
	if got := run("--root"); !strings.HasPrefix(got, "0\n0\n") {
		t.Errorf("with --root: %q", got)
	}
}

// terminal is a pseudo-terminal with a program on it.
type terminal struct {
	t      *testing.T
	fd     int // of master
	master *os.File
	cmd    *exec.Cmd
	out    bytes.Buffer
}

// newTerminal starts cmd as the leader of a session on a new terminal.
func newTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &terminal{t: t, fd: fd, master: master, cmd: cmd}
}

func (m *terminal) write(s string) {
	m.t.Helper()
	if _, err := m.master.WriteString(s); err != nil {
		m.t.Fatal(err)
	}
}

// expect reads until the output so far holds want.
func (m *terminal) expect(want string) {
	m.t.Helper()
	if err := m.master.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for !strings.Contains(m.out.String(), want) {
		n, err := m.master.Read(buf)
		m.out.Write(buf[:n])
		if err != nil {
			m.t.Fatalf("waiting for %q: %v; output %q", want, err, m.out.String())
		}
	}
	_, rest, _ := strings.Cut(m.out.String(), want)
	m.out.Reset()
	m.out.WriteString(rest)
}

func (m *terminal) status() int {
	m.t.Helper()
	_ = m.master.SetReadDeadline(time.Time{})
	go io.Copy(io.Discard, m.master)
	var exit *exec.ExitError
	if err := m.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return m.cmd.ProcessState.ExitCode()
}

// The terminal is the command's: interrupt, resize, stop and continue.
func TestRunOnATerminal(t *testing.T) {
	r := newRig(t, lab.Options{})
	start := func(command ...string) *terminal {
		return newTerminal(t, exec.Command("ip", append([]string{"netns", "exec", r.Client.NS, r.sennit, "run", "--"}, command...)...))
	}
	t.Run("interrupt", func(t *testing.T) {
		m := start("sh", "-c", `n=0; trap 'n=$((n+1))' INT; echo ready; read x; sleep 0.3; echo "$n interrupts"; exit 9`)
		m.expect("ready")
		m.write("\x03")
		m.write("\n")
		m.expect("1 interrupts") // not a second one from sennit
		if got := m.status(); got != 9 {
			t.Errorf("status %d, want 9", got)
		}
	})
	t.Run("killed by interrupt", func(t *testing.T) {
		m := start("sh", "-c", "echo ready; exec sleep 60")
		m.expect("ready")
		m.write("\x03")
		if got := m.status(); got != 130 {
			t.Errorf("status %d, want 130", got)
		}
	})
	t.Run("resize", func(t *testing.T) {
		m := start("sh", "-c", `trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done`)
		m.expect("ready")
		if err := unix.IoctlSetWinsize(m.fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 41, Col: 101}); err != nil {
			t.Fatal(err)
		}
		m.expect("41 101")
		m.status()
	})
	t.Run("stop and continue", func(t *testing.T) {
		m := newTerminal(t, exec.Command("sh", "-im"))
		m.write("PS1=; ip netns exec " + r.Client.NS + " " + r.sennit + " run -- sh -c 'echo rea''dy; cat'\n")
		m.expect("ready")
		m.write("\x1a")
		m.expect("Stopped")
		m.write("fg\n")
		m.expect("sennit run -- sh") // the shell says what it continues
		m.write("go on\n")
		m.expect("go on\r\n") // the terminal's echo
		m.expect("go on\r\n") // cat
		m.write("\x04")
		m.write("echo status=$?.\n")
		m.expect("status=0.")
	})
}

// Doctor agrees with run about what works, and says what to do.
func TestDoctor(t *testing.T) {
	r := newRig(t, lab.Options{})
	examine := func(prefix ...string) (findings map[string]finding, code int) {
		t.Helper()
		args := append(prefix, r.sennit, "doctor", "--json")
		res, err := r.Client.Run(t.Context(), args[0], args[1:]...)
		r.must(err)
		var report struct{ Findings []finding }
		if err := json.Unmarshal([]byte(res.Stdout), &report); err != nil {
			t.Fatalf("%v: %s%s", err, res.Stdout, res.Stderr)
		}
		findings = map[string]finding{}
		for _, f := range report.Findings {
			findings[f.Name] = f
			if f.Status != good && f.Status != note && f.Advice == "" {
				t.Errorf("no advice: %+v", f)
			}
		}
		return findings, res.Code
	}
	before := r.state()
	f, code := examine()
	if code != 0 || f["link wifi0"].Status != good || f["link cell0"].Status != good || f["TUN"].Status != good {
		t.Errorf("a good machine: status %d, %+v", code, f)
	}
	r.unchanged(before, "doctor")
	if f, code := examine("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"); code != 1 || f["capabilities"].Status != fail {
		t.Errorf("without CAP_NET_ADMIN: status %d, %+v", code, f["capabilities"])
	}
	r.must(r.Down(r.WiFi), r.Down(r.Cell))
	if f, code := examine(); code != 1 || f["links"].Status != fail {
		t.Errorf("without links: status %d, %+v", code, f["links"])
	}
}

// Doctor takes away what a killed run left, when told to.
func TestDoctorCleans(t *testing.T) {
	r := newRig(t, lab.Options{})
	before := r.state()
	s := r.start(nil, "sh", "-c", "echo ready; exec sleep 60")
	r.must(syscall.Kill(s.sennitPID(), syscall.SIGKILL))
	s.cmd.Wait()
	res, err := r.Client.Run(t.Context(), r.sennit, "doctor", "--clean")
	r.must(err)
	if res.Code != 0 || !strings.Contains(res.Stdout, "undone: nftables table sennit") {
		t.Errorf("doctor --clean: %+v", res)
	}
	r.unchanged(before, "a killed run and doctor --clean")
	if res, err = r.Client.Run(t.Context(), r.sennit, "doctor", "--clean"); err != nil || res.Stdout != "nothing was left behind\n" {
		t.Errorf("doctor --clean again: %+v, %v", res, err)
	}
}
