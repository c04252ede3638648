package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Conn is a net.Conn over a Sock. Its methods may be called concurrently.
// Errors are *net.OpError and unwrap to os.ErrDeadlineExceeded, net.ErrClosed,
// io.EOF or a syscall.Errno such as ECONNRESET.
type Conn struct {
	sock          *Sock
	local, remote netip.AddrPort
}

// NewConn returns the net.Conn of k between two addresses.
func NewConn(k *Sock, local, remote netip.AddrPort) *Conn {
	return &Conn{k, local, remote}
}

// Sock returns what is under c.
func (c *Conn) Sock() *Sock { return c.sock }

// LocalAddr returns the local end, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr returns the remote end, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *Conn) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, "tcp", c.LocalAddr(), c.RemoteAddr(), err)
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.sock.read(p)
	if err != nil && err != io.EOF {
		err = c.fail("read", err)
	}
	return n, err
}

// Write implements net.Conn. Concurrent Writes are not mixed.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.sock.write(p)
	return n, c.fail("write", err)
}

// Close closes both directions in good order and returns at once: what was
// written is still sent, unless SetLinger says otherwise.
func (c *Conn) Close() error { return c.fail("close", c.sock.close()) }

// CloseRead refuses further data. Reads return io.EOF.
func (c *Conn) CloseRead() error { return c.fail("close", c.sock.shutdown(tcp.CloseReading)) }

// CloseWrite ends the stream to the peer after what was written: a FIN.
func (c *Conn) CloseWrite() error { return c.fail("close", c.sock.shutdown(tcp.CloseWriting)) }

// Abort resets the connection: the peer gets a RST.
func (c *Conn) Abort() { c.sock.abort() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, true, true) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, true, false) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, false, true) }

func (c *Conn) setDeadline(t time.Time, read, write bool) error {
	k := c.sock
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life.closed {
		return c.fail("set", net.ErrClosed)
	}
	if read {
		k.gate(&k.io.read).setDeadline(t)
	}
	if write {
		k.gate(&k.io.write).setDeadline(t)
	}
	return nil
}

// SetLinger sets what Close does with unsent data, as net.TCPConn's: 0 resets
// the connection, a negative number (the default) sends it in the background, a
// positive one too, but resets after so many seconds.
func (c *Conn) SetLinger(seconds int) error {
	return c.tune("set", func(k *Sock) { k.io.linger(seconds) }, nil)
}

// SetNoDelay switches the Nagle algorithm off (true) or on.
func (c *Conn) SetNoDelay(on bool) error {
	return c.tune("set", nil, func(t *tcp.Tuning) { t.NoDelay = on })
}

// SetKeepAlive switches keep-alive probes on or off.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: on})
}

// SetKeepAlivePeriod sets the time before the first probe and between probes.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d})
}

// SetKeepAliveConfig sets all of keep-alive; zero values mean two hours
// (RFC 9293 §3.8.4, MUST-28; package net has 15 s), 75 s and 9, negative ones
// leave a value alone.
func (c *Conn) SetKeepAliveConfig(a net.KeepAliveConfig) error {
	return c.tune("set", nil, func(t *tcp.Tuning) {
		if !a.Enable {
			t.KeepAlive = tcp.KeepAlive{}
			return
		}
		choose(&t.KeepAlive.Idle, a.Idle, 2*time.Hour)
		choose(&t.KeepAlive.Interval, a.Interval, 75*time.Second)
		choose(&t.KeepAlive.Count, a.Count, 9)
	})
}

func choose[T ~int | ~int64](dst *T, v, zero T) {
	if v == 0 || (v < 0 && *dst == 0) {
		v = zero
	}
	if v > 0 {
		*dst = v
	}
}

// SetUserTimeout sets how long written data may stay unacknowledged before the
// connection is given up (RFC 9293 §3.8.3); 0 is the default, <0 never.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.tune("set", nil, func(t *tcp.Tuning) { t.UserTimeout = d })
}

// tune changes settings under the lock.
func (c *Conn) tune(op string, own func(*Sock), f func(*tcp.Tuning)) error {
	k := c.sock
	k.mu.Lock()
	if k.life.closed {
		k.mu.Unlock()
		return c.fail(op, net.ErrClosed)
	}
	if own != nil {
		own(k)
	}
	now := k.s.now()
	if f != nil {
		t := *k.tuning
		f(&t)
		k.tuning = &t
		k.mark(&t)
		k.app.Tune(now, t)
	}
	k.settle(now)
	return nil
}

// Info returns the state of a plain TCP connection, with the units that
// tcp.Info documents, also after Close; the zero Info for another machine.
func (c *Conn) Info() (i tcp.Info) {
	c.sock.Look(func() {
		if s, ok := c.sock.machine.(*tcp.Stream); ok {
			i = s.Conn.Info()
		}
	})
	return i
}

// read blocks until there is something to read.
func (k *Sock) read(p []byte) (int, error) {
	k.mu.Lock()
	for {
		if err := k.io.read.blocked(k.life.closed); err != nil || len(p) == 0 {
			k.mu.Unlock()
			return 0, err
		}
		now := k.s.now()
		n, err := k.app.Read(now, p)
		if n > 0 {
			k.settle(now)
			return n, nil
		}
		if !errors.Is(err, tcp.ErrWouldBlock) {
			k.mu.Unlock()
			return 0, mapped(err)
		}
		k.gate(&k.io.read).wait()
	}
}

// write blocks until all of p is queued.
func (k *Sock) write(p []byte) (total int, err error) {
	k.mu.Lock()
	for k.io.writing {
		if err := k.io.write.blocked(k.life.closed); err != nil {
			k.mu.Unlock()
			return 0, err
		}
		k.gate(&k.io.write).wait()
	}
	k.io.writing = true
	for {
		var n int
		if err = k.io.write.blocked(k.life.closed); err != nil {
			break
		}
		now := k.s.now()
		n, err = k.app.Write(now, p[total:])
		total += n
		if n > 0 {
			k.used = true
			k.settle(now)
			k.mu.Lock()
		}
		if total == len(p) {
			err = nil
			break
		}
		if err != nil && !errors.Is(err, tcp.ErrWouldBlock) {
			break
		}
		if n == 0 {
			k.gate(&k.io.write).wait()
		}
	}
	k.io.writing = false
	k.io.write.wake() // the next Write
	k.mu.Unlock()
	return total, mapped(err)
}

func (k *Sock) close() error {
	k.mu.Lock()
	if k.life.closed {
		k.mu.Unlock()
		return net.ErrClosed
	}
	k.life.closed = true
	k.io.read.stop()
	k.io.write.stop()
	k.io.wakeAll()
	now := k.s.now()
	if k.io.reset {
		k.app.Abort(now)
	} else {
		k.app.Shutdown(now, tcp.CloseBoth)
		k.lingerOn()
	}
	k.settle(now)
	return nil
}

// lingerOn starts the time a closed connection has to get its data out.
func (k *Sock) lingerOn() {
	if d := k.io.lingering; d > 0 && !k.life.gone {
		k.s.clock.AfterFunc(d, func() {
			k.Do(func(now mono.Time) {
				if !k.life.ended {
					k.app.Abort(now)
				}
			})
		})
	}
}

func (k *Sock) abort() {
	k.mu.Lock()
	k.life.closed = true
	k.io.wakeAll()
	now := k.s.now()
	k.app.Abort(now)
	k.settle(now)
}

func (k *Sock) shutdown(how tcp.How) error {
	k.mu.Lock()
	if k.life.closed {
		k.mu.Unlock()
		return net.ErrClosed
	}
	now := k.s.now()
	k.app.Shutdown(now, how)
	k.io.wakeAll()
	k.settle(now)
	return nil
}
