package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
)

// relay carries what COMMAND does inside over the links outside.
type relay struct {
	ctx    context.Context // ends with the run
	inner  *inner
	outer  *uplinks
	dialer mptcp.Dialer
	log    *eventLog
	dns    *forwarder

	moved  atomic.Uint64 // bytes carried, to see progress
	active sync.WaitGroup
	live   atomic.Int64 // TCP connections
}

// start makes the inner stack hand everything to the relay.
func (r *relay) start() {
	r.inner.stack.HandleTCP(r.serveTCP)
	r.inner.stack.HandleUDP(r.serveUDP)
	r.inner.stack.HandleEcho(r.serveEcho)
}

// stream is what both ends of a relayed connection are.
type stream interface {
	net.Conn
	CloseWrite() error
	Abort()
}

// dialPatience is longer than the SYN of any program.
const dialPatience = 150 * time.Second

// serveTCP connects outside first: only what could be reached is accepted
// inside, so that the program sees the refusal that there was.
func (r *relay) serveTCP(req *stack.Request) {
	r.live.Add(1)
	r.active.Add(1)
	defer r.active.Done()
	defer r.live.Add(-1)
	if r.dns.serves(req.Local) {
		if c, err := req.Accept(); err == nil {
			r.dns.serveStream(c)
		}
		return
	}
	log := r.log.connection(req.Remote, req.Local)
	ctx, cancel := context.WithTimeout(r.ctx, dialPatience)
	defer cancel()
	d := r.dialer
	d.Recorder = func() tcp.Recorder { return log.recorder() }
	d.Link = r.outer.direct(req.Local.Addr())
	c, err := d.DialContext(ctx, "tcp", req.Local.String())
	if err != nil {
		log.failed(err)
		req.Reject(err)
		return
	}
	up := c.(*mptcp.Conn)
	down, err := req.Accept()
	if err != nil {
		up.Abort()
		log.closed(up.Info(), 0, 0, err)
		return
	}
	sent, received, err := r.splice(down, up)
	log.closed(up.Info(), sent, received, err)
	down.Close()
	up.Close()
}

// splice copies both ways until both are done, and returns how many bytes went
// to b and to a.
func (r *relay) splice(a, b stream) (toB, toA uint64, err error) {
	done := make(chan error, 1)
	go func() {
		var err error
		toA, err = r.copy(a, b)
		done <- err
	}()
	toB, err = r.copy(b, a)
	return toB, toA, errors.Join(err, <-done)
}

// Thousands of connections may wait for data, so they wait with a small buffer;
// one that fills it is busy and gets a large one for as long as it is.
const (
	smallBuffer = 4 << 10
	largeBuffer = 256 << 10
)

var largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

// copy moves bytes until the end of src, and passes the end on: a FIN as a FIN,
// anything else as a reset. A destination that is gone resets the source, as
// it would without us in between.
func (r *relay) copy(dst, src stream) (n uint64, err error) {
	buf := make([]byte, smallBuffer)
	small, large := buf, (*[]byte)(nil)
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	for {
		m, err := src.Read(buf)
		if m > 0 {
			if _, werr := dst.Write(buf[:m]); werr != nil {
				src.Abort()
				return n, werr
			}
			n += uint64(m)
			r.moved.Add(uint64(m))
		}
		switch {
		case errors.Is(err, io.EOF):
			// A failure means it is gone; the other direction says why.
			_ = dst.CloseWrite()
			return n, nil
		case err != nil:
			dst.Abort()
			return n, err
		case m == smallBuffer && large == nil:
			large = largeBuffers.Get().(*[]byte)
			buf = *large
		case m < smallBuffer && large != nil:
			largeBuffers.Put(large)
			buf, large = small, nil
		}
	}
}

// serveEcho answers a ping if the destination does.
func (r *relay) serveEcho(req *stack.EchoRequest) {
	if r.dns.isOurs(req.Local) {
		req.Reply()
		return
	}
	l, ok := r.outer.best(req.Local)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, pingPatience)
	defer cancel()
	if _, _, err := r.outer.stack.Ping(ctx, l.ID, req.Local, 0, req.Seq, req.Data); err == nil {
		req.Reply()
	}
}

const pingPatience = 10 * time.Second

// drain waits, after COMMAND has ended, for what it sent to get out: until no
// connection is left, or nothing has moved for a while.
func (r *relay) drain(stop <-chan struct{}) {
	done := make(chan struct{})
	go func() { r.active.Wait(); close(done) }()
	tick := time.NewTicker(drainQuiet)
	defer tick.Stop()
	for last := r.moved.Load(); ; {
		select {
		case <-done:
			return
		case <-stop:
			return
		case <-tick.C:
			now := r.moved.Load()
			if now == last {
				return
			}
			last = now
		}
	}
}

const drainQuiet = time.Second
