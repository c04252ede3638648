package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// command is COMMAND while it runs.
type command struct {
	process *os.Process
	ended   chan struct{}
	status  syscall.WaitStatus
	err     error // it could not be waited for
}

// startCommand starts the child in the namespace ns.
func startCommand(spec *childSpec, ns *os.File) (*command, error) {
	spec.Parent = os.Getpid()
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	c := &command{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The child is to die with us, but the kernel takes the death of the
		// thread that started it for ours: so this one waits.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{childName},
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{r, ns},
			SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
		err := cmd.Start()
		r.Close()
		c.process = cmd.Process
		started <- err
		if err == nil {
			c.wait(cmd)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the command: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		// It is gone already; its end tells why.
		return c, nil
	}
	return c, nil
}

func (c *command) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.err = err
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		c.status = s
	}
	close(c.ended)
}

// exitStatus is what a shell would make of the end.
func (c *command) exitStatus() error {
	<-c.ended
	switch {
	case c.err != nil:
		return &exitError{exitOwn, c.err}
	case c.status.Signaled():
		return &exitError{128 + int(c.status.Signal()), nil}
	case c.status.ExitStatus() != 0:
		return &exitError{c.status.ExitStatus(), nil}
	}
	return nil
}

// passed are the signals that COMMAND gets when sennit does.
var passed = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT}

// catchSignals takes the signals over, before anything is set up that would
// have to be taken away.
func catchSignals() chan os.Signal {
	c := make(chan os.Signal, 32)
	for _, s := range passed {
		// What nohup or a shell had us ignore, COMMAND shall ignore, too.
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	return c
}

// passSignals hands signals to COMMAND until it has ended.
func (c *command) passSignals(signals <-chan os.Signal) {
	for {
		select {
		case <-c.ended:
			return
		case s := <-signals:
			if fromTerminal(s) {
				continue
			}
			_ = c.process.Signal(s) // it may just have ended
		}
	}
}

// fromTerminal reports whether a signal was for the whole foreground of our
// terminal, so that COMMAND, which shares our process group, has it already.
func fromTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT && s != syscall.SIGCONT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
