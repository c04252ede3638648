//go:build linux

package drill

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/tcp"
)

// Events that mean POLLIN and POLLOUT for normal data, as poll.h numbers them.
const (
	pollRdNorm = 0x40
	pollWrNorm = 0x100
)

// events returns what poll would say of s.
func (s *socket) events() (r int16) {
	if s.listening {
		if len(s.queue) > 0 {
			r |= unix.POLLIN | pollRdNorm
		}
		return r
	}
	f := s.flow
	if f == nil {
		return unix.POLLOUT | pollWrNorm | unix.POLLHUP
	}
	s.noteEnd()
	if s.err != 0 {
		r |= unix.POLLERR
	}
	if !f.opened() && !f.over() {
		return r
	}
	peerDone := f.peerDone()
	if s.shutRead || peerDone || f.over() {
		r |= unix.POLLRDHUP | unix.POLLIN | pollRdNorm
	}
	if s.readable() {
		r |= unix.POLLIN | pollRdNorm
	}
	if s.writable() {
		r |= unix.POLLOUT | pollWrNorm
	}
	if f.over() || s.shutWrite && (s.shutRead || peerDone) {
		r |= unix.POLLHUP
	}
	return r
}

// changes counts what came in or went out for good, so that an edge is seen
// where the events stay the same.
func (s *socket) changes() uint64 {
	if s.flow == nil {
		return uint64(s.opened)
	}
	i := s.flow.info()
	return i.BytesReceived + i.BytesAcked
}

// peerDone reports whether the peer closed its direction.
func (f *flow) peerDone() bool {
	switch f.info().State {
	case tcp.CloseWait, tcp.LastAck, tcp.Closing, tcp.TimeWait:
		return true
	}
	return false
}

// always are the events poll tells of without being asked.
const always = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL

// Poll fills in the returned events; timeout is in milliseconds, negative for
// none.
func (h *Host) Poll(fds []unix.PollFd, timeout int) (n int, e unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	scan := func() bool {
		n = 0
		for i := range fds {
			p := &fds[i]
			p.Revents = 0
			switch s := h.sockets[int(p.Fd)]; {
			case p.Fd < 0:
			case s == nil:
				p.Revents = unix.POLLNVAL
			default:
				p.Revents = s.events() & (p.Events | always)
			}
			if p.Revents != 0 {
				n++
			}
		}
		return n > 0
	}
	h.waitMillis(timeout, scan)
	return n, 0
}

func (h *Host) waitMillis(timeout int, ready func() bool) {
	switch {
	case timeout == 0:
		ready()
	case timeout < 0:
		h.wait(0, ready)
	default:
		h.wait(time.Duration(timeout)*time.Millisecond, ready)
	}
}

// epoll is what an epoll descriptor watches.
type epoll struct{ watched map[int]*watch }

type watch struct {
	unix.EpollEvent
	seen   uint32 // what an edge-triggered watch told last
	change uint64 // the socket's count of changes then
}

// EpollCreate makes an epoll descriptor.
func (h *Host) EpollCreate() (int, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, errnoOf(err)
	}
	h.polls[fd] = &epoll{map[int]*watch{}}
	return fd, 0
}

// EpollCtl adds, changes or removes a descriptor.
func (h *Host) EpollCtl(fd, op, target int, ev unix.EpollEvent) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.polls[fd]
	if p == nil || h.sockets[target] == nil {
		return unix.EBADF
	}
	_, known := p.watched[target]
	switch {
	case op == unix.EPOLL_CTL_ADD && known:
		return unix.EEXIST
	case op != unix.EPOLL_CTL_ADD && !known:
		return unix.ENOENT
	case op == unix.EPOLL_CTL_DEL:
		delete(p.watched, target)
	case op == unix.EPOLL_CTL_ADD || op == unix.EPOLL_CTL_MOD:
		p.watched[target] = &watch{EpollEvent: ev}
	default:
		return unix.EINVAL
	}
	return 0
}

// EpollWait returns the events of what is watched, timeout in milliseconds.
func (h *Host) EpollWait(fd, most, timeout int) (found []unix.EpollEvent, e unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.polls[fd]
	switch {
	case p == nil:
		return nil, unix.EBADF
	case most <= 0:
		return nil, unix.EINVAL
	}
	h.waitMillis(timeout, func() bool {
		found = p.scan(h, most)
		return len(found) > 0
	})
	return found, 0
}

func (p *epoll) scan(h *Host, most int) (found []unix.EpollEvent) {
	for _, target := range slices.Sorted(maps.Keys(p.watched)) {
		w, s := p.watched[target], h.sockets[target]
		if s == nil {
			delete(p.watched, target) // closed
			continue
		}
		now := uint32(uint16(s.events())) & (w.Events | unix.EPOLLERR | unix.EPOLLHUP)
		fresh := now
		if w.Events&unix.EPOLLET != 0 {
			// An edge is a new event, or more of what makes it: bytes, connections.
			change := s.changes()
			if fresh = now &^ w.seen; change != w.change {
				fresh = now
			}
			w.seen, w.change = now, change
		}
		if fresh == 0 || len(found) == most {
			continue
		}
		found = append(found, unix.EpollEvent{Events: now, Fd: w.Fd, Pad: w.Pad})
		if w.Events&unix.EPOLLONESHOT != 0 {
			w.Events = 0
		}
	}
	return found
}

// Splice moves up to n bytes between a socket and a pipe.
func (h *Host) Splice(in, out, n, flags int) (int, unix.Errno) {
	h.mu.Lock()
	from, to := h.sockets[in], h.sockets[out]
	h.mu.Unlock()
	msg := 0
	if flags&unix.SPLICE_F_NONBLOCK != 0 {
		msg = unix.MSG_DONTWAIT
	}
	b := make([]byte, min(n, pipeSize))
	switch {
	case from != nil && to == nil:
		k, _, e := h.Recv(in, b, msg)
		if k <= 0 {
			return k, e
		}
		m, err := unix.Write(out, b[:k])
		return m, errnoOf(err)
	case from == nil && to != nil:
		k, err := unix.Read(in, b)
		if k <= 0 {
			return k, errnoOf(err)
		}
		if flags&unix.SPLICE_F_MORE != 0 {
			msg |= unix.MSG_MORE
		}
		return h.Send(out, b[:k], msg, nil)
	}
	return -1, unix.EINVAL
}

// pipeSize is what a pipe takes without blocking.
const pipeSize = 64 << 10
