package stack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Options configure a Stack. The zero value is ready to use.
type Options struct {
	// AnyAddress makes the stack answer for every destination address, as the
	// inner side of a tunnel does: see HandleTCP, HandleUDP and HandleEcho.
	AnyAddress bool

	// Clock is the time everything runs on; nil: the system's.
	Clock tcpip.Clock
	// Rand is where secrets, ports and keys come from; nil: crypto/rand. It
	// must be safe for concurrent use.
	Rand io.Reader

	// Recorder receives the events of every connection; may be nil. It is
	// called under the connection's lock and must not call back.
	Recorder tcp.Recorder
	// Tuning is the default of every TCP connection.
	Tuning tcp.Tuning

	// MaxTimeWait bounds the connections in TIME-WAIT; 0: DefaultMaxTimeWait,
	// <0: none is kept.
	MaxTimeWait int

	// Memory bounds, in bytes, what all TCP connections hold for their
	// applications and their peers; 0: DefaultMemory. As it runs short, windows
	// and send buffers get smaller; nothing acknowledged is lost.
	Memory int
}

// DefaultMemory is the default of Options.Memory.
const DefaultMemory = 1 << 30

// ErrClosed is the error of every operation on a Stack that was closed.
var ErrClosed = errors.New("stack: closed")

// Stack is one host in user space. Its methods are safe for concurrent use.
type Stack struct {
	gv     *gv.Stack
	opts   Options
	clock  tcpip.Clock
	epoch  tcpip.MonotonicTime
	rand   io.Reader
	isn    secret
	pmtu   pmtuCache
	fast   fastMemory
	memory *tcp.Budget
	tcp    table
	any    handlers

	counters Counters
	doubted  func(mono.Time) // counts; one for all connections

	// links is replaced as a whole under linkMu; packets read it without.
	links   atomic.Pointer[linkTable]
	linkMu  sync.Mutex
	lastID  LinkID
	watches watchers

	closed  atomic.Bool
	closeMu sync.Mutex
	closers map[closer]struct{} // what Close has to end
	// extensions belong to layers above, see Extension.
	extensions map[any]any
	running    sync.WaitGroup // goroutines the stack started itself
}

// closer is something that lives in a stack and ends with it.
type closer interface{ stackClosed() }

// New returns a stack without links.
func New(o Options) (*Stack, error) {
	s := &Stack{opts: o, rand: o.Rand, clock: o.Clock, closers: map[closer]struct{}{}}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.clock == nil {
		s.clock = tcpip.NewStdClock()
	}
	s.doubted = func(mono.Time) { s.counters.PathsDoubted.Add(1) }
	s.epoch = s.clock.NowMonotonic()
	if _, err := io.ReadFull(s.rand, s.isn[:]); err != nil {
		return nil, fmt.Errorf("stack: no randomness: %w", err)
	}
	s.tcp.init()
	s.pmtu.init()
	s.memory = tcp.NewBudget(o.Memory)
	if o.Memory <= 0 {
		s.memory = tcp.NewBudget(DefaultMemory)
	}
	s.links.Store(&linkTable{})
	s.gv = gv.New(gv.Options{
		NetworkProtocols: []gv.NetworkProtocolFactory{
			ipv4.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6.Options{
				// Links are point to point: nobody could hold our address
				// (RFC 4862 §5.4 leaves detection to such knowledge).
				DADConfigs: gv.DADConfigurations{DupAddrDetectTransmits: 0},
			}),
		},
		TransportProtocols: []gv.TransportProtocolFactory{
			func(*gv.Stack) gv.TransportProtocol { return &protocol{s: s} },
			udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		Clock:     s.clock,
		SecureRNG: s.rand,
	})
	s.any.init(s)
	return s, nil
}

// now is the time since the stack was made. It is never zero.
func (s *Stack) now() mono.Time {
	return mono.Time(s.clock.NowMonotonic().Sub(s.epoch)) + 1
}

// Now returns the instant the machines of this stack run on.
func (s *Stack) Now() mono.Time { return s.now() }

// Clock returns the clock of the stack.
func (s *Stack) Clock() tcpip.Clock { return s.clock }

// Rand returns the stack's source of randomness.
func (s *Stack) Rand() io.Reader { return s.rand }

// Tuning returns the default tuning of TCP connections.
func (s *Stack) Tuning() tcp.Tuning { return s.opts.Tuning }

// Recorder returns the recorder of the stack, or nil.
func (s *Stack) Recorder() tcp.Recorder { return s.opts.Recorder }

// adopt registers c to be ended by Close; false: the stack is closed already.
func (s *Stack) adopt(c closer) bool {
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	if s.closed.Load() {
		return false
	}
	s.closers[c] = struct{}{}
	return true
}

func (s *Stack) disown(c closer) {
	s.closeMu.Lock()
	delete(s.closers, c)
	s.closeMu.Unlock()
}

// Sockets returns how many TCP connections there are, in whatever state:
// those in TIME-WAIT, and those the application has closed, included.
func (s *Stack) Sockets() int {
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	s.tcp.mu.RLock()
	n := len(s.tcp.waits)
	s.tcp.mu.RUnlock()
	for c := range s.closers {
		if _, ok := c.(*Sock); ok {
			n++
		}
	}
	return n
}

// spawn runs f on a goroutine that Close waits for; false: the stack is closed.
func (s *Stack) spawn(f func()) bool {
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	if s.closed.Load() {
		return false
	}
	s.running.Go(f)
	return true
}

// Close resets every connection, closes listeners, sockets and links, and
// waits for the goroutines of the stack. Blocked calls return net.ErrClosed.
func (s *Stack) Close() error {
	s.closeMu.Lock()
	if s.closed.Swap(true) {
		s.closeMu.Unlock()
		return nil
	}
	all := make([]closer, 0, len(s.closers))
	for c := range s.closers {
		all = append(all, c)
	}
	s.closeMu.Unlock()
	for _, c := range all {
		c.stackClosed()
	}
	s.dropTimeWaits()
	for _, l := range s.links.Load().all {
		_ = s.DetachLink(l.id) // fails only if somebody else did it
	}
	s.gv.Close()
	s.gv.Wait()
	s.running.Wait()
	return nil
}

// unmapped returns a with an IPv4-mapped address made IPv4.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
