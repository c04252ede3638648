//go:build linux

package drill

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// Recv reads; from is the peer's sockaddr.
func (h *Host) Recv(fd int, p []byte, flags int) (n int, from []byte, e unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	switch {
	case e != 0:
		return -1, nil, e
	case flags&unix.MSG_ERRQUEUE != 0:
		return -1, nil, unix.EAGAIN
	case flags&unix.MSG_OOB != 0:
		return -1, nil, unix.EINVAL
	case s.flow == nil:
		return -1, nil, s.unconnected()
	}
	n, e = s.recv(p, flags)
	return n, s.sockaddr(s.flow.remote), e
}

// Hint is the number of bytes still to be read, for a socket that wants to be
// told with each message (TCP_INQ). After the peer's FIN it is at least one: a
// read will not block.
func (h *Host) Hint(fd int) (n int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sockets[fd]
	if s == nil || s.flow == nil || !s.opts.inq {
		return 0, false
	}
	n = s.flow.unread()
	if n == 0 && (s.flow.peerDone() || s.flow.over()) {
		n = 1
	}
	return n, true
}

func (s *socket) unconnected() unix.Errno {
	if e := s.takeError(); e != 0 {
		return e
	}
	return unix.ENOTCONN
}

// recv reads what there is, or waits for it.
func (s *socket) recv(p []byte, flags int) (int, unix.Errno) {
	want := 1
	if flags&unix.MSG_WAITALL != 0 {
		want = len(p)
	}
	total := 0
	for {
		n, e := s.take(p[total:], flags)
		total += max(n, 0)
		switch {
		case e == 0 && (n == 0 || total >= want || flags&unix.MSG_PEEK != 0):
			return total, 0
		case e == 0:
			continue
		case e != unix.EAGAIN && total > 0:
			return total, 0
		case e != unix.EAGAIN:
			return -1, e
		}
		if s.nonblock || flags&unix.MSG_DONTWAIT != 0 || !s.h.wait(s.opts.rcvTimeout, s.readable) {
			if total > 0 {
				return total, 0
			}
			return -1, unix.EAGAIN
		}
	}
}

// take reads once. A step of the machine follows: reading may open the window.
func (s *socket) take(p []byte, flags int) (n int, e unix.Errno) {
	f := s.flow
	var err error
	if flags&unix.MSG_PEEK != 0 && f.stream != nil {
		n, err = f.stream.Peek(p)
	} else {
		s.h.do(f, func(now mono.Time) {
			if flags&unix.MSG_TRUNC != 0 {
				p = make([]byte, len(p)) // thrown away (tcp(7))
			}
			n, err = f.app().Read(now, p)
		})
	}
	switch {
	case err == nil || n > 0:
		return n, 0
	case errors.Is(err, io.EOF):
		return 0, 0
	case errors.Is(err, tcp.ErrWouldBlock):
		if s.shutRead {
			return 0, 0
		}
		if !f.opened() && f.state == tcp.ClosedState {
			return -1, unix.ENOTCONN
		}
		return -1, unix.EAGAIN
	}
	s.noteEnd()
	// An error is told once; from then on there is only the end.
	if e = s.takeError(); e != 0 {
		return -1, e
	}
	return 0, 0
}

func (s *socket) readable() bool {
	if s.listening {
		return len(s.queue) > 0
	}
	f := s.flow
	if f == nil {
		return false
	}
	return s.shutRead || s.err != 0 || f.app().Ready().Has(tcp.Readable)
}

// writable reports whether a write would take something.
func (s *socket) writable() bool {
	f := s.flow
	if f == nil {
		return false
	}
	if f.over() || s.shutWrite {
		return true
	}
	if low := s.opts.notSentLowat; low > 0 && f.unsent() >= low {
		return false
	}
	return f.app().Ready().Has(tcp.Writable)
}

// room reports whether a blocked write could go on.
func (s *socket) room() bool {
	return s.shutWrite || s.flow.over() || s.flow.app().Ready().Has(tcp.Writable)
}

// Send writes; to is a sockaddr or empty.
func (h *Host) Send(fd int, p []byte, flags int, to []byte) (int, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	switch {
	case e != 0:
		return -1, e
	case s.flow == nil && (s.deferred.IsValid() || flags&unix.MSG_FASTOPEN != 0 && len(to) > 0):
		return s.sendOpening(p, flags, to)
	case s.flow == nil && s.err == 0:
		return -1, unix.EPIPE // as Linux has it for a socket that never connected
	case s.flow == nil:
		return -1, s.takeError()
	}
	return s.send(p, flags)
}

func (s *socket) send(p []byte, flags int) (int, unix.Errno) {
	f := s.flow
	blocks := !s.nonblock && flags&unix.MSG_DONTWAIT == 0
	if !f.opened() && !f.over() {
		if !blocks {
			return -1, unix.EAGAIN
		}
		if e := s.connected(); e != 0 {
			return -1, e
		}
	}
	total := 0
	for {
		n, e := s.put(p[total:], flags)
		total += n
		switch {
		case e == 0 && total == len(p):
			return total, 0
		case e == 0:
			continue
		case e != unix.EAGAIN && total > 0:
			return total, 0
		case e != unix.EAGAIN:
			return -1, e
		}
		if !blocks || !s.h.wait(s.opts.sndTimeout, s.room) {
			if total > 0 {
				return total, 0
			}
			return -1, unix.EAGAIN
		}
	}
}

// put writes once.
func (s *socket) put(p []byte, flags int) (int, unix.Errno) {
	f := s.flow
	s.noteEnd()
	if e := s.takeError(); e != 0 {
		return 0, e
	}
	if s.shutWrite || f.over() {
		return 0, unix.EPIPE
	}
	n, err := f.write(p, s.opts.cork || flags&unix.MSG_MORE != 0)
	if err == nil || n > 0 {
		return n, 0
	}
	s.noteEnd()
	if e := s.takeError(); e != 0 {
		return 0, e
	}
	return 0, errnoOf(err)
}

// unsent returns the bytes written that never left.
func (f *flow) unsent() int {
	n := len(f.held.bytes)
	if f.stream != nil {
		return n + f.stream.Unsent()
	}
	return n + f.mp.Info().Unsent
}

// unread returns the bytes that wait to be read.
func (f *flow) unread() int {
	if f.stream != nil {
		return f.stream.Unread()
	}
	return f.mp.Info().Unread
}

// unacked returns the bytes that left and are not acknowledged.
func (f *flow) unacked() int {
	if f.stream != nil {
		return f.info().Unacked
	}
	n := 0
	for _, s := range f.mp.Info().Subflows {
		n += s.TCP.Unacked
	}
	return n
}
