//go:build linux

package drill

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/tcp"
)

type setter func(s *socket, n int, v []byte) unix.Errno

func flag(p func(*options) *bool) setter {
	return func(s *socket, n int, _ []byte) unix.Errno {
		*p(s.opts) = n != 0
		return 0
	}
}

// within sets a number that has to lie in a range.
func within(low, high int, p func(*options) *int) setter {
	return func(s *socket, n int, _ []byte) unix.Errno {
		if n < low || n > high {
			return unix.EINVAL
		}
		*p(s.opts) = n
		return 0
	}
}

var setters = map[name]setter{
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}: flag(func(o *options) *bool { return &o.reuseAddr }),
	{unix.SOL_SOCKET, unix.SO_REUSEPORT}: flag(func(o *options) *bool { return &o.reuseAddr }),
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: flag(func(o *options) *bool { return &o.keepAlive }),
	{unix.SOL_SOCKET, unix.SO_SNDBUF}:    within(0, math.MaxInt32, func(o *options) *int { return &o.sndBuf }),
	{unix.SOL_SOCKET, unix.SO_RCVBUF}:    within(0, math.MaxInt32, func(o *options) *int { return &o.rcvBuf }),
	{unix.SOL_SOCKET, unix.SO_LINGER}: func(s *socket, n int, v []byte) unix.Errno {
		if len(v) < 8 {
			return unix.EINVAL
		}
		s.opts.linger, s.opts.lingerTime = n != 0, number(v[4:])
		return 0
	},
	{unix.SOL_SOCKET, unix.SO_RCVTIMEO}: func(s *socket, _ int, v []byte) (e unix.Errno) {
		s.opts.rcvTimeout, e = readTime(v)
		return e
	},
	{unix.SOL_SOCKET, unix.SO_SNDTIMEO}: func(s *socket, _ int, v []byte) (e unix.Errno) {
		s.opts.sndTimeout, e = readTime(v)
		return e
	},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}: func(s *socket, n int, _ []byte) unix.Errno {
		s.opts.noDelay = n != 0
		if n != 0 {
			s.push()
		}
		return 0
	},
	{unix.IPPROTO_TCP, unix.TCP_CORK}: func(s *socket, n int, _ []byte) unix.Errno {
		s.opts.cork = n != 0
		if n == 0 {
			s.push()
		}
		return 0
	},
	{unix.IPPROTO_TCP, unix.TCP_MAXSEG}:           within(88, 32767, func(o *options) *int { return &o.maxSeg }),
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}:     within(0, math.MaxInt32, func(o *options) *int { return &o.userTimeout }),
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}:           within(1, 127, func(o *options) *int { return &o.synCount }),
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:         within(1, 32767, func(o *options) *int { return &o.keepIdle }),
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:        within(1, 32767, func(o *options) *int { return &o.keepInterval }),
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:          within(1, 127, func(o *options) *int { return &o.keepCount }),
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}:          within(-1, 120, func(o *options) *int { return &o.linger2 }),
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN}:         within(0, math.MaxInt32, func(o *options) *int { return &o.fastOpen }),
	{unix.IPPROTO_TCP, unix.TCP_INQ}:              flag(func(o *options) *bool { return &o.inq }),
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT}: flag(func(o *options) *bool { return &o.fastConnect }),
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}:    within(math.MinInt32, math.MaxInt32, func(o *options) *int { return &o.notSentLowat }),
	{unix.IPPROTO_IP, unix.IP_TOS}:                within(0, 255, func(o *options) *int { return &o.tos }),
	{unix.IPPROTO_IP, unix.IP_TTL}:                within(1, 255, func(o *options) *int { return &o.ttl }),
	{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:         within(0, 255, func(o *options) *int { return &o.tos }),
	{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}: within(1, 255, func(o *options) *int {
		return &o.ttl
	}),
	{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}: flag(func(o *options) *bool { return &o.v6only }),
}

var getters = map[name]func(s *socket) int{
	{unix.SOL_SOCKET, unix.SO_ERROR}:           func(s *socket) int { s.noteEnd(); return int(s.takeError()) },
	{unix.SOL_SOCKET, unix.SO_TYPE}:            func(*socket) int { return unix.SOCK_STREAM },
	{unix.SOL_SOCKET, unix.SO_DOMAIN}:          func(s *socket) int { return s.family },
	{unix.SOL_SOCKET, unix.SO_PROTOCOL}:        (*socket).protocol,
	{unix.SOL_SOCKET, unix.SO_ACCEPTCONN}:      func(s *socket) int { return boolean(s.listening) },
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}:       func(s *socket) int { return boolean(s.opts.reuseAddr) },
	{unix.SOL_SOCKET, unix.SO_REUSEPORT}:       func(s *socket) int { return boolean(s.opts.reuseAddr) },
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:       func(s *socket) int { return boolean(s.opts.keepAlive) },
	{unix.SOL_SOCKET, unix.SO_SNDBUF}:          (*socket).sndBuf,
	{unix.SOL_SOCKET, unix.SO_RCVBUF}:          (*socket).rcvBuf,
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}:       func(s *socket) int { return boolean(s.opts.noDelay) },
	{unix.IPPROTO_TCP, unix.TCP_CORK}:          func(s *socket) int { return boolean(s.opts.cork) },
	{unix.IPPROTO_TCP, unix.TCP_MAXSEG}:        (*socket).mss,
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}:  func(s *socket) int { return s.opts.userTimeout },
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}:        func(s *socket) int { return or(s.opts.synCount, s.set("net.ipv4.tcp_syn_retries", 6)) },
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:      func(s *socket) int { return or(s.opts.keepIdle, s.set("net.ipv4.tcp_keepalive_time", 7200)) },
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:     func(s *socket) int { return or(s.opts.keepInterval, s.set("net.ipv4.tcp_keepalive_intvl", 75)) },
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:       func(s *socket) int { return or(s.opts.keepCount, s.set("net.ipv4.tcp_keepalive_probes", 9)) },
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}:       func(s *socket) int { return or(s.opts.linger2, s.set("net.ipv4.tcp_fin_timeout", 60)) },
	{unix.IPPROTO_TCP, unix.TCP_INQ}:           func(s *socket) int { return boolean(s.opts.inq) },
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN}:      func(s *socket) int { return s.opts.fastOpen },
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}: func(s *socket) int { return s.opts.notSentLowat },
	{unix.IPPROTO_IP, unix.IP_TOS}:             func(s *socket) int { return s.opts.tos },
	{unix.IPPROTO_IP, unix.IP_TTL}:             func(s *socket) int { return s.opts.ttl },
	{unix.IPPROTO_IP, unix.IP_MTU}:             func(s *socket) int { return s.h.flags.MTU },
	{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:      func(s *socket) int { return s.opts.tos },
	{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}: func(s *socket) int {
		return s.opts.ttl
	},
	{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}: func(s *socket) int { return boolean(s.opts.v6only) },
	{unix.IPPROTO_IPV6, unix.IPV6_MTU}:    func(s *socket) int { return s.h.flags.MTU },
}

// ignored are options a script may set that change nothing it could see here.
var ignored = map[name]bool{
	{unix.SOL_SOCKET, unix.SO_PRIORITY}:         true,
	{unix.SOL_SOCKET, unix.SO_MARK}:             true,
	{unix.SOL_SOCKET, unix.SO_OOBINLINE}:        true,
	{unix.SOL_SOCKET, unix.SO_RCVLOWAT}:         true,
	{unix.SOL_SOCKET, unix.SO_TIMESTAMP}:        true,
	{unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE}:  true,
	{unix.IPPROTO_TCP, unix.TCP_QUICKACK}:       true,
	{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}:   true,
	{unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP}:   true,
	{unix.IPPROTO_TCP, unix.TCP_THIN_DUPACK}:    true,
	{unix.IPPROTO_IP, unix.IP_RECVERR}:          true,
	{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER}:     true,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVERR}:      true,
	{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER}: true,
}

func (s *socket) set(key string, otherwise int) int { return s.h.settings.number(key, otherwise) }

// push lets go what a cork held back.
func (s *socket) push() {
	if s.flow != nil {
		s.flow.release()
	}
}

func (s *socket) protocol() int {
	if s.mptcp {
		return unix.IPPROTO_MPTCP
	}
	return unix.IPPROTO_TCP
}

func (s *socket) sndBuf() int {
	if n := s.opts.sndBuf; n > 0 {
		return max(2*n, minSndBuf)
	}
	return s.h.settings.nth("net.ipv4.tcp_wmem", 1, 16384)
}

func (s *socket) rcvBuf() int {
	if n := s.opts.rcvBuf; n > 0 {
		return max(2*n, minRcvBuf)
	}
	return s.h.settings.nth("net.ipv4.tcp_rmem", 1, 131072)
}

// mss is what TCP_MAXSEG shows: of the connection, else what was set.
func (s *socket) mss() int {
	if f := s.flow; f != nil && f.info().State.Synchronized() {
		return f.info().MSS
	}
	return or(s.opts.maxSeg, 536)
}

func (s *socket) congestion() string {
	n := s.opts.congestion
	if n == "" {
		if n = s.h.settings.text("net.ipv4.tcp_congestion_control"); s.h.settings.controller(n) == nil {
			n = "cubic"
		}
	}
	return n
}

func (s *socket) setCongestion(v []byte) unix.Errno {
	n, _, _ := strings.Cut(string(v), "\x00")
	if _, err := cc.New(ourName(n), cc.Config{MSS: 1460}); err != nil {
		return unix.ENOENT
	}
	if s.flow != nil && s.flow.info().State != tcp.ClosedState {
		return unix.EBUSY // the controller of a connection stays
	}
	s.opts.congestion = n
	return 0
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func number(v []byte) int { return int(int32(binary.NativeEndian.Uint32(v))) }

// putNumbers writes ints as far as they fit.
func putNumbers(v []byte, numbers ...int) int {
	var b []byte
	for _, n := range numbers {
		b = binary.NativeEndian.AppendUint32(b, uint32(n))
	}
	return copy(v, b)
}

// readTime reads a struct timeval of 64-bit members.
func readTime(v []byte) (time.Duration, unix.Errno) {
	if len(v) < 16 {
		return 0, unix.EINVAL
	}
	s, us := int64(binary.NativeEndian.Uint64(v)), int64(binary.NativeEndian.Uint64(v[8:]))
	if us < 0 || us >= 1e6 {
		return 0, unix.EDOM
	}
	return time.Duration(s)*time.Second + time.Duration(us)*time.Microsecond, 0
}

func putTime(v []byte, d time.Duration) int {
	b := binary.NativeEndian.AppendUint64(nil, uint64(d/time.Second))
	return copy(v, binary.NativeEndian.AppendUint64(b, uint64(d%time.Second/time.Microsecond)))
}
