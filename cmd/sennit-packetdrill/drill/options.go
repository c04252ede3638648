//go:build linux

package drill

import (
	"math/bits"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// options are what setsockopt set.
type options struct {
	reuseAddr, v6only, keepAlive, noDelay, cork, linger, inq, fastConnect bool

	lingerTime                          int // s
	sndBuf, rcvBuf                      int // bytes as asked for; 0: automatic
	rcvTimeout, sndTimeout              time.Duration
	keepIdle, keepInterval, keepCount   int // s, s, probes; 0: the namespace's
	userTimeout                         int // ms
	synCount, maxSeg, linger2, fastOpen int
	notSentLowat                        int
	tos, ttl                            int
	congestion                          string

	kept map[name]int // set and returned, without effect here
}

// name is an option's.
type name struct{ level, opt int }

func newOptions(s *settings) *options {
	return &options{ttl: s.number("net.ipv4.ip_default_ttl", 64), v6only: s.number("net.ipv6.bindv6only", 0) != 0,
		notSentLowat: notSentDefault(s), kept: map[name]int{}}
}

// notSentDefault is the namespace's limit, whose default is none.
func notSentDefault(s *settings) int {
	n := s.number("net.ipv4.tcp_notsent_lowat", 0)
	if n <= 0 || n >= 1<<31-1 {
		return 0
	}
	return n
}

// clone is what a connection inherits from its listener.
func (o *options) clone() *options {
	c := *o
	c.kept = map[name]int{}
	for k, v := range o.kept {
		c.kept[k] = v
	}
	return &c
}

func or(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// phase is where a connection is, as far as limits differ.
type phase uint8

const (
	opening   phase = iota // our SYN is under way
	accepting              // our SYN-ACK is
	standing               // the handshake is done
)

// tuning is what the options and the namespace's settings mean for a machine.
func (o *options) tuning(s *settings, p phase) tcp.Tuning {
	t := tcp.Tuning{
		NoDelay:       o.noDelay,
		SendBuffer:    o.sndBuf,
		MaxWindow:     s.nth("net.ipv4.tcp_rmem", 2, 6<<20),
		FinWait2:      seconds(or(o.linger2, s.number("net.ipv4.tcp_fin_timeout", 60))),
		NoSACK:        s.number("net.ipv4.tcp_sack", 1) == 0,
		NoTimestamps:  s.number("net.ipv4.tcp_timestamps", 1) == 0,
		NoWindowScale: s.number("net.ipv4.tcp_window_scaling", 1) == 0,
		NoRACK:        s.number("net.ipv4.tcp_recovery", 1)&1 == 0,
		QuickAcks:     quickAcks,
		NoPacing:      true, // as Linux without a queueing discipline that paces
		TTL:           uint8(o.ttl), DSCP: uint8(o.tos >> 2),
	}
	if o.rcvBuf > 0 {
		t.MaxWindow = o.rcvBuf
	}
	t.WindowScale = 1 + shift(t.MaxWindow)
	if o.keepAlive {
		t.KeepAlive = tcp.KeepAlive{
			Idle:     seconds(or(o.keepIdle, s.number("net.ipv4.tcp_keepalive_time", 7200))),
			Interval: seconds(or(o.keepInterval, s.number("net.ipv4.tcp_keepalive_intvl", 75))),
			Count:    or(o.keepCount, s.number("net.ipv4.tcp_keepalive_probes", 9)),
		}
	}
	switch {
	case o.userTimeout > 0:
		t.UserTimeout = time.Duration(o.userTimeout) * time.Millisecond
	case p == opening:
		t.UserTimeout = retryTime(or(o.synCount, s.number("net.ipv4.tcp_syn_retries", 6)))
	case p == accepting:
		t.UserTimeout = retryTime(or(o.synCount, s.number("net.ipv4.tcp_synack_retries", 5)))
	}
	return t
}

// quickAcks is how many segments Linux acknowledges at once when data begins to
// come. Scripts count on it.
const quickAcks = 16

// shift is the window scale Linux chooses for a receive buffer.
func shift(space int) int { return min(max(bits.Len(uint(space))-16, 0), 14) }

// retryTime is when a SYN that was sent again n times is given up: each wait
// is twice the one before, from one second.
func retryTime(n int) time.Duration { return time.Second * (1<<min(n+1, 16) - 1) }

// Linux's least socket buffers as getsockopt shows them; it shows twice what
// was asked for.
const (
	minSndBuf = 4608
	minRcvBuf = 2304
)

// SetOption is setsockopt.
func (h *Host) SetOption(fd, level, opt int, v []byte) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	if e != 0 {
		return e
	}
	if level == unix.IPPROTO_TCP && opt == unix.TCP_CONGESTION {
		return s.setCongestion(v)
	}
	if len(v) < 4 {
		return unix.EINVAL
	}
	n := number(v)
	set, known := setters[name{level, opt}]
	switch {
	case known:
		e = set(s, n, v)
	case ignored[name{level, opt}]:
		s.opts.kept[name{level, opt}] = n
	default:
		e = unix.ENOPROTOOPT
	}
	if e == 0 && s.flow != nil && !s.flow.over() {
		h.do(s.flow, func(mono.Time) { s.flow.tune() })
	}
	return e
}

// GetOption is getsockopt: it fills v and returns how many bytes it gave.
func (h *Host) GetOption(fd, level, opt int, v []byte) (int, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	if e != 0 {
		return 0, e
	}
	n := name{level, opt}
	switch n {
	case name{unix.IPPROTO_TCP, unix.TCP_INFO}:
		return s.tcpInfo(v), 0
	case name{unix.IPPROTO_TCP, unix.TCP_CC_INFO}:
		return 0, 0
	case name{unix.SOL_SOCKET, unix.SO_MEMINFO}:
		clear(v)
		return len(v), 0
	case name{unix.IPPROTO_TCP, unix.TCP_CONGESTION}:
		return copy(v, append([]byte(s.congestion()), 0)), 0
	case name{unix.SOL_SOCKET, unix.SO_LINGER}:
		return putNumbers(v, boolean(s.opts.linger), s.opts.lingerTime), 0
	case name{unix.SOL_SOCKET, unix.SO_RCVTIMEO}:
		return putTime(v, s.opts.rcvTimeout), 0
	case name{unix.SOL_SOCKET, unix.SO_SNDTIMEO}:
		return putTime(v, s.opts.sndTimeout), 0
	}
	if get, known := getters[n]; known {
		return putNumbers(v, get(s)), 0
	}
	if ignored[n] {
		return putNumbers(v, s.opts.kept[n]), 0
	}
	return 0, unix.ENOPROTOOPT
}

// Ioctl is ioctl with a pointer to an int.
func (h *Host) Ioctl(fd int, request uint) (int, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	if e != 0 {
		return 0, e
	}
	if s.listening {
		return 0, unix.EINVAL
	}
	f := s.flow
	switch {
	case request != unix.SIOCINQ && request != unix.SIOCOUTQ && request != siocOutQNSD:
		return 0, unix.ENOTTY
	case f == nil:
		return 0, 0
	case request == unix.SIOCINQ:
		return f.unread(), 0
	case request == unix.SIOCOUTQ:
		return f.unacked() + f.unsent(), 0
	}
	return f.unsent(), 0
}

const siocOutQNSD = 0x894b // SIOCOUTQNSD: written, not sent

// Name is getsockname, or getpeername.
func (h *Host) Name(fd int, peer bool) ([]byte, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	switch {
	case e != 0:
		return nil, e
	case peer && s.flow == nil:
		return nil, unix.ENOTCONN
	case peer:
		return s.sockaddr(s.flow.remote), 0
	}
	return s.sockaddr(s.local), 0
}
