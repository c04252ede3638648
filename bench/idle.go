package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// IdleOptions describes a measurement of connections that do nothing.
type IdleOptions struct {
	Conns   int  // connections; both of their ends live in this process
	Used    bool // each carries some bytes both ways before it rests
	Rounds  int  // how often further connections are opened and closed afterwards
	Churn   int  // how many in each round
	Profile func()
}

// Footprint is what the process holds.
type Footprint struct {
	HeapBytes, HeapObjects uint64 // live, after a collection
	RSS                    uint64 // bytes resident; 0: not known on this system
}

func (f Footprint) less(g Footprint) Footprint {
	return Footprint{sub(f.HeapBytes, g.HeapBytes), sub(f.HeapObjects, g.HeapObjects), sub(f.RSS, g.RSS)}
}

func sub(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// IdleReport is the outcome. Ends is twice the connections: the figures of one
// end are those of a host that has as many.
type IdleReport struct {
	Ends   int
	Base   Footprint // before the first connection
	Idle   Footprint // all open
	Opened time.Duration
	// After is the heap after each round of opening and closing, with all the
	// idle connections still open.
	After []Footprint
	Churn int
}

// PerEnd returns heap bytes and objects of one end of an idle connection.
func (r IdleReport) PerEnd() (bytes, objects float64) {
	d := r.Idle.less(r.Base)
	return float64(d.HeapBytes) / float64(r.Ends), float64(d.HeapObjects) / float64(r.Ends)
}

// WriteTo writes the report as text.
func (r IdleReport) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	bytes, objects := r.PerEnd()
	d := r.Idle.less(r.Base)
	fmt.Fprintf(&b, "%d idle connections, %d ends in one process, opened in %.1f s\n", r.Ends/2, r.Ends, r.Opened.Seconds())
	fmt.Fprintf(&b, "per end    %.0f bytes of heap in %.1f objects, timers included\n", bytes, objects)
	fmt.Fprintf(&b, "in all     %.1f MiB of heap, %.1f MiB resident", mib(d.HeapBytes), mib(d.RSS))
	if d.RSS > 0 {
		fmt.Fprintf(&b, " (%.0f bytes per end)", float64(d.RSS)/float64(r.Ends))
	}
	b.WriteByte('\n')
	for i, a := range r.After {
		fmt.Fprintf(&b, "after %d x %d more opened and closed: %+.2f MiB of heap\n", i+1, r.Churn,
			(float64(a.HeapBytes)-float64(r.Idle.HeapBytes))/(1<<20))
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

// MeasureIdle opens connections between two stacks in this process, over a link
// in memory, lets them rest and tells what they take.
func MeasureIdle(ctx context.Context, o IdleOptions) (r IdleReport, err error) {
	p, err := newIdlePair()
	if err != nil {
		return r, err
	}
	defer p.close()
	r.Ends, r.Churn = 2*o.Conns, o.Churn
	p.held = make([]net.Conn, 0, 2*o.Conns)
	r.Base = footprint()
	start := time.Now()
	if err := p.open(ctx, o.Conns, o.Used, true); err != nil {
		return r, err
	}
	r.Opened = time.Since(start)
	p.rest()
	r.Idle = footprint()
	if o.Profile != nil {
		o.Profile()
	}
	for range o.Rounds {
		if err := p.open(ctx, o.Churn, o.Used, false); err != nil {
			return r, err
		}
		p.rest()
		r.After = append(r.After, footprint())
	}
	runtime.KeepAlive(p)
	return r, nil
}

// idlePorts is how many listeners share the connections: the client has fewer
// ports than there are to be connections.
const idlePorts = 8

// idlePair is two stacks and the ends of the connections between them.
type idlePair struct {
	client, server *stack.Stack
	listeners      [idlePorts]*stack.Listener

	mu   sync.Mutex
	held []net.Conn
}

var idleServer = netip.MustParseAddr("10.9.0.2")

func newIdlePair() (*idlePair, error) {
	o := tuntest.PipeOptions{MTU: 1500}
	da, db := tuntest.Pipe(o, o)
	p := &idlePair{}
	var err error
	// TIME-WAIT is short so that rounds of churn need not wait for a minute.
	if p.client, err = idleStack(da, "10.9.0.1/24"); err != nil {
		return nil, err
	}
	if p.server, err = idleStack(db, "10.9.0.2/24"); err != nil {
		p.client.Close()
		return nil, err
	}
	for i := range p.listeners {
		p.listeners[i], err = p.server.ListenPlain(netip.AddrPortFrom(idleServer, uint16(8000+i)), 8192)
		if err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func idleStack(d *tuntest.Device, addr string) (*stack.Stack, error) {
	s, err := stack.New(stack.Options{Tuning: tcp.Tuning{TimeWait: time.Second}})
	if err != nil {
		return nil, err
	}
	ep, err := link.New(d, link.Options{})
	if err != nil {
		s.Close()
		return nil, err
	}
	if _, err := s.AttachLink(stack.Link{Name: "net0", Endpoint: ep, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}); err != nil {
		ep.Close()
		s.Close()
		return nil, err
	}
	return s, nil
}

func (p *idlePair) close() {
	p.client.Close()
	p.server.Close()
}

// open opens n connections, some at a time, and keeps or closes both ends.
func (p *idlePair) open(ctx context.Context, n int, used, keep bool) error {
	const workers = 4 * idlePorts
	errs := make(chan error, workers)
	for w := range workers {
		share := n / workers
		if w < n%workers {
			share++
		}
		go func() { errs <- p.work(ctx, p.listeners[w%idlePorts], share, used, keep) }()
	}
	var all error
	for range workers {
		all = errors.Join(all, <-errs)
	}
	return all
}

func (p *idlePair) work(ctx context.Context, l *stack.Listener, n int, used, keep bool) error {
	to := netip.AddrPortFrom(idleServer, uint16(l.Addr().(*net.TCPAddr).Port))
	for range n {
		c, err := p.client.DialTCP(ctx, netip.AddrPort{}, to)
		if err != nil {
			return err
		}
		// Not necessarily the other end of c: other workers share the listener.
		s, err := l.Accept()
		if err != nil {
			return err
		}
		if used {
			if err := exchange(c, s); err != nil {
				return err
			}
		}
		if keep {
			p.mu.Lock()
			p.held = append(p.held, c, s)
			p.mu.Unlock()
			continue
		}
		c.Close()
		s.Close()
	}
	return nil
}

// exchange lets both ends send and read something. They need not be the two
// ends of one connection: each direction is only filled and drained.
func exchange(c, s net.Conn) error {
	msg := make([]byte, 2000)
	for _, e := range [...]net.Conn{c, s} {
		if _, err := e.Write(msg); err != nil {
			return err
		}
	}
	for _, e := range [...]net.Conn{c, s} {
		if _, err := io.ReadFull(e, msg); err != nil {
			return err
		}
	}
	return nil
}

// rest waits until connections count as idle and TIME-WAIT is over.
func (p *idlePair) rest() { time.Sleep(2500 * time.Millisecond) }

// footprint collects garbage and looks.
func footprint() Footprint {
	// Pools are emptied by the second collection.
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Footprint{HeapBytes: m.HeapAlloc, HeapObjects: m.HeapObjects, RSS: resident()}
}

// resident returns the resident set of this process, 0 where the system does
// not tell.
func resident() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	var size, pages uint64
	if err == nil {
		_, err = fmt.Sscan(string(b), &size, &pages)
	}
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
