package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// The child is sennit once more, between fork and COMMAND: it enters the
// network namespace, gets a resolv.conf of its own, becomes the user and then
// COMMAND itself.

// childName is the program name by which sennit knows that it is the child.
const childName = "sennit-run-child"

// The files that the child is given.
const (
	childSpecFd = 3 // what to do, as JSON
	childNetFd  = 4 // the network namespace
)

// childSpec is what the child is to do.
type childSpec struct {
	Parent     int
	Args       []string
	Env        []string
	Identity   identity
	ResolvConf string
	Scratch    string // a directory that may be covered
}

func childRequested() bool { return len(os.Args) == 1 && os.Args[0] == childName }

// childMain does not return.
func childMain() {
	// Namespaces, and the signal for the parent's death, belong to a thread:
	// the one that becomes COMMAND.
	runtime.LockOSThread()
	os.Exit(report(child()))
}

func child() error {
	spec, err := readSpec()
	if err != nil {
		return &exitError{exitOwn, err}
	}
	if err := spec.enter(); err != nil {
		return &exitError{exitOwn, err}
	}
	if err := spec.become(); err != nil {
		return &exitError{exitOwn, err}
	}
	path, err := findCommand(spec.Args[0])
	if err != nil {
		return err
	}
	return execError(spec.Args[0], unix.Exec(path, spec.Args, spec.Env))
}

func readSpec() (*childSpec, error) {
	f := os.NewFile(childSpecFd, "spec")
	defer f.Close()
	spec := new(childSpec)
	if err := json.NewDecoder(f).Decode(spec); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return spec, nil
}

// enter goes into the namespaces.
func (s *childSpec) enter() error {
	if err := unix.Setns(childNetFd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	unix.Close(childNetFd)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	// Mounts that the host makes from now on show up here, not the other way.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separate the mount namespace: %w", err)
	}
	return s.coverResolvConf()
}

// coverResolvConf puts ours over what /etc/resolv.conf leads to.
func (s *childSpec) coverResolvConf() error {
	target, err := filepath.EvalSymlinks(hostResolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing to cover: programs then ask 127.0.0.1, where we listen too
	}
	if err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	if err := unix.Mount("tmpfs", s.Scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755,size=64k"); err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	ours := filepath.Join(s.Scratch, "resolv.conf")
	if err := os.WriteFile(ours, []byte(s.ResolvConf), 0o644); err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	if err := os.Chmod(ours, 0o644); err != nil { // whatever the umask is
		return fmt.Errorf("resolv.conf: %w", err)
	}
	if err := unix.Mount(ours, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	return unix.Unmount(s.Scratch, unix.MNT_DETACH)
}

// become takes the user's identity, and makes sure not to outlive the parent.
func (s *childSpec) become() error {
	if id := s.Identity; id.Change {
		if err := unix.Setgroups(id.Groups); err != nil {
			return fmt.Errorf("become the user: %w", err)
		}
		if err := unix.Setresgid(id.GID, id.GID, id.GID); err != nil {
			return fmt.Errorf("become the user: %w", err)
		}
		if err := unix.Setresuid(id.UID, id.UID, id.UID); err != nil {
			return fmt.Errorf("become the user: %w", err)
		}
	}
	// After the change of user, which clears it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	if os.Getppid() != s.Parent {
		return errors.New("run: sennit was killed")
	}
	return nil
}

// findCommand looks COMMAND up as a shell does, with its exit statuses: 127
// if there is none, 126 if it cannot be run.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || errors.Is(err, exec.ErrDot) {
		return path, nil
	}
	return "", execError(name, err)
}

func execError(name string, err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	switch {
	case errors.Is(err, exec.ErrNotFound) && !strings.Contains(name, "/"):
		return &exitError{127, fmt.Errorf("%s: command not found", name)}
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &exitError{127, fmt.Errorf("%s: no such file", name)}
	case errors.Is(err, fs.ErrPermission):
		return &exitError{126, fmt.Errorf("%s: permission denied", name)}
	}
	return &exitError{126, fmt.Errorf("%s: %w", name, err)}
}
