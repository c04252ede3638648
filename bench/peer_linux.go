package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerVariable in the environment makes a process the peer of a comparison.
const peerVariable = "SENNIT_BENCH_PEER"

// The first byte of a connection asks the peer to read until the end and to
// answer with the number of bytes, or to send until the connection breaks.
const (
	askSink   = 'S'
	askSource = 'R'
)

// chunk is how much one read or write of an application moves.
const chunk = 256 << 10

// RunPeer turns this process into the peer and does not return, if it was
// started as one. Programs and tests that call CompareOffload call it first.
func RunPeer() {
	if os.Getenv(peerVariable) == "" {
		return
	}
	if err := servePeer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench peer:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// servePeer listens, says its port, and serves until stdin ends.
func servePeer(stdin io.Reader, stdout io.Writer) error {
	lc := net.ListenConfig{Control: cubic}
	l, err := lc.Listen(context.Background(), "tcp", ":0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, l.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = l.Close()
	}()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go serveTransfer(c)
	}
}

func serveTransfer(c net.Conn) {
	defer c.Close()
	var ask [1]byte
	if _, err := io.ReadFull(c, ask[:]); err != nil {
		return
	}
	buf := make([]byte, chunk)
	switch ask[0] {
	case askSource:
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	case askSink:
		var total uint64
		for {
			n, err := c.Read(buf)
			total += uint64(n)
			if errors.Is(err, io.EOF) {
				_ = binary.Write(c, binary.BigEndian, total)
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// cubic makes the kernel's TCP use the controller that ours uses, where it has
// it: rates must not differ by the controller.
func cubic(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	})
}

// peer is a process with the kernel's TCP in a network namespace of its own.
type peer struct {
	cmd   *exec.Cmd
	stdin io.Closer
	port  uint16
}

// startPeer runs this program again as the peer.
func startPeer() (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &peer{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), peerVariable+"=1")
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start the peer in a network namespace: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("bench: the peer did not say its port: %w", err)
	}
	port, err := strconv.ParseUint(strings.TrimSpace(line), 10, 16)
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("bench: the peer's port: %w", err)
	}
	p.port = uint16(port)
	return p, nil
}

func (p *peer) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
