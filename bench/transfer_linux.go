package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// dialer connects to the peer.
type dialer func(ctx context.Context) (net.Conn, error)

// transfer moves bytes in one direction for d and returns what it cost this
// process. The first 100 ms (slow start) are not counted when receiving.
func transfer(dial dialer, dir Direction, d time.Duration) (Sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		return Sample{}, fmt.Errorf("dial: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(d + 20*time.Second)); err != nil {
		return Sample{}, err
	}
	if dir == Receive {
		return receive(c, d)
	}
	return send(c, d)
}

const warmUp = 100 * time.Millisecond

func receive(c net.Conn, d time.Duration) (Sample, error) {
	if _, err := c.Write([]byte{askSource}); err != nil {
		return Sample{}, fmt.Errorf("ask: %w", err)
	}
	buf := make([]byte, chunk)
	if _, err := readFor(c, buf, warmUp); err != nil {
		return Sample{}, err
	}
	m := startMeter()
	n, err := readFor(c, buf, d)
	return m.stop(n), err
}

func readFor(c net.Conn, buf []byte, d time.Duration) (int64, error) {
	var total int64
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := c.Read(buf)
		total += int64(n)
		if err != nil {
			return total, fmt.Errorf("read after %d bytes: %w", total, err)
		}
	}
	return total, nil
}

// send counts from the first byte until the peer has read the last.
func send(c net.Conn, d time.Duration) (Sample, error) {
	buf := make([]byte, chunk)
	if _, err := c.Write([]byte{askSink}); err != nil {
		return Sample{}, fmt.Errorf("ask: %w", err)
	}
	m := startMeter()
	var total int64
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := c.Write(buf)
		total += int64(n)
		if err != nil {
			return Sample{}, fmt.Errorf("write after %d bytes: %w", total, err)
		}
	}
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return Sample{}, fmt.Errorf("%T cannot close one half", c)
	}
	if err := half.CloseWrite(); err != nil {
		return Sample{}, fmt.Errorf("close one half: %w", err)
	}
	var got uint64
	if err := binary.Read(c, binary.BigEndian, &got); err != nil {
		return Sample{}, fmt.Errorf("wait for the peer's count: %w", err)
	}
	s := m.stop(total)
	if got != uint64(total) {
		return s, fmt.Errorf("wrote %d bytes, the peer read %d", total, got)
	}
	if _, err := c.Read(buf); !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("after the count came %w instead of the end", err)
	}
	return s, nil
}

// meter takes the time and the processor time of this process.
type meter struct {
	at  time.Time
	cpu time.Duration
}

func startMeter() meter { return meter{time.Now(), processCPU()} }

func (m meter) stop(n int64) Sample {
	return Sample{Bytes: n, Elapsed: time.Since(m.at), CPU: processCPU() - m.cpu}
}

func processCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
