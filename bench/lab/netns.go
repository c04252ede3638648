//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	prefix   = "snt"
	netnsDir = "/run/netns"
	etcDir   = "/etc/netns"
)

// Host is one namespace: a machine of the lab.
type Host struct {
	Role string // client, router or server
	NS   string // name of the namespace, as ip-netns(8) knows it
}

// newHost makes a namespace for role. The name carries our process id, so that
// a later run can tell whether the owner still lives.
func newHost(id, role string) (*Host, error) {
	h := &Host{Role: role, NS: fmt.Sprintf("%s-%d-%s-%s", prefix, os.Getpid(), id, role)}
	if err := ip("netns", "add", h.NS); err != nil {
		return nil, err
	}
	return h, h.ip("link", "set", "lo", "up")
}

// remove ends what runs in the namespace and takes it away.
func (h *Host) remove() error { return removeNamespace(h.NS) }

func removeNamespace(name string) error {
	err := os.RemoveAll(filepath.Join(etcDir, name))
	out, perr := exec.Command("ip", "netns", "pids", name).Output()
	if perr == nil {
		for _, field := range strings.Fields(string(out)) {
			// Only processes inside a namespace that we made; ourselves never,
			// even if one of our threads has not left it yet.
			if pid, e := strconv.Atoi(field); e == nil && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	return errors.Join(err, ip("netns", "del", name))
}

// sweep removes the namespaces of processes that no longer live.
func sweep() {
	entries, _ := os.ReadDir(netnsDir)
	for _, e := range entries {
		part := strings.Split(e.Name(), "-")
		if len(part) != 4 || part[0] != prefix {
			continue
		}
		pid, err := strconv.Atoi(part[1])
		if err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		_ = removeNamespace(e.Name())
	}
}

// Do runs f on a thread inside the namespace. Sockets that f makes belong to
// the namespace for as long as they live; files of /proc/thread-self and
// /proc/sys/net that f opens are the namespace's. f must not start goroutines
// that rely on it (a dialer that races addresses does).
func (h *Host) Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			result <- err
			return
		}
		defer home.Close()
		there, err := os.Open(filepath.Join(netnsDir, h.NS))
		if err != nil {
			result <- err
			return
		}
		defer there.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter %s: %w", h.NS, err)
			return
		}
		err = f()
		// A thread that cannot go home stays locked and dies with this goroutine.
		if e := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); e == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// Command prepares a program to run inside the namespace, with the namespace's
// own resolv.conf. It is killed when ctx ends or when this process dies.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	full := append([]string{"netns", "exec", h.NS, name}, args...)
	cmd := exec.CommandContext(ctx, "ip", full...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Result is what a program left behind.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status; -1 if a signal ended it
}

// Run runs a program inside the namespace to its end. A program that fails is
// not an error: its status is in the result.
func (h *Host) Run(ctx context.Context, name string, args ...string) (Result, error) {
	return run(h.Command(ctx, name, args...))
}

func run(cmd *exec.Cmd) (Result, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code, err = exit.ExitCode(), nil
	}
	return r, err
}

// must runs a program inside the namespace and makes its failure an error.
func (h *Host) must(name string, args ...string) error {
	out, err := h.Command(context.Background(), name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w: %s", h.Role, name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (h *Host) ip(args ...string) error {
	return ip(append([]string{"-n", h.NS}, args...)...)
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// IP runs the ip command on the namespace: h.IP("addr", "add", ...).
func (h *Host) IP(args ...string) error { return h.ip(args...) }

// NFT loads a ruleset into the namespace.
func (h *Host) NFT(ruleset string) error {
	cmd := h.Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: nft: %w: %s", h.Role, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Sysctl sets a value below net, such as Sysctl("net.mptcp.enabled", "0").
func (h *Host) Sysctl(key, value string) error {
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	return h.Do(func() error { return os.WriteFile(path, []byte(value), 0) })
}
