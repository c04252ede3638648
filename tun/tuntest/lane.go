package tuntest

import (
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/sennit-net/sennit/tun"
)

// overhead is what a packet costs the queue beside its bytes where no rate
// limits it, so that a flood of tiny packets is bounded too.
const overhead = 256

// packet is one packet under way.
type packet struct {
	data []byte // from the pool of its size
	meta tun.Meta
	at   time.Time // when it reaches the other end; zero: at once
}

// lane is one direction of a pipe. Packets leave in the order in which they
// came, unless reordering is asked for. The reader waits for the arrival of the first one itself, so nothing
// runs in the background.
type lane struct {
	mu     sync.Mutex
	wake   sync.Cond // a packet came, the lane was closed, or the timer fired
	conf   PipeOptions
	cut    bool
	closed bool
	down   bool        // swallows everything
	timer  *time.Timer // wakes the reader when the first packet arrives

	packets []packet // packets[head:] are under way
	head    int
	queued  int       // their cost in bytes
	free    time.Time // when the link has sent everything

	rng      *rand.Rand
	splitter tun.Splitter
	emit     func([][]byte) error
	onWait   func()
	stats    Stats
}

// write sends one packet, as the segments it stands for if the lane cuts.
func (l *lane) write(bufs [][]byte, m tun.Meta) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return os.ErrClosed
	case l.down:
		l.stats.DroppedDown++
		return nil
	case l.cut && (m.GSO != tun.GSONone || m.NeedsCsum):
		return l.splitter.Split(bufs, m, l.emit)
	}
	l.enqueue(bufs, m)
	return nil
}

// enqueue puts one packet on the link, or drops it.
func (l *lane) enqueue(bufs [][]byte, m tun.Meta) {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	if l.conf.Loss > 0 && l.rng.Float64() < l.conf.Loss {
		l.stats.DroppedLoss++
		return
	}
	at, ok := l.admit(n)
	if !ok {
		l.stats.DroppedQueue++
		return
	}
	at = l.hold(at)
	p := packet{data: newData(n), meta: m, at: at}
	k := 0
	for _, b := range bufs {
		k += copy(p.data[k:], b)
	}
	l.stats.Packets++
	l.stats.Bytes += uint64(n)
	l.queued += n + overhead
	if l.insert(p) == l.head {
		l.wake.Signal()
	}
}

// insert puts p behind all that arrive before it and returns its place.
// Without reordering that is the end.
func (l *lane) insert(p packet) int {
	l.packets = append(l.packets, p)
	i := len(l.packets) - 1
	if p.at.IsZero() || l.conf.Reorder == 0 {
		return i
	}
	for ; i > l.head && l.packets[i-1].at.After(p.at); i-- {
		l.packets[i] = l.packets[i-1]
	}
	l.packets[i] = p
	return i
}

// admit decides whether the queue has room for n bytes and returns when they
// will have arrived.
func (l *lane) admit(n int) (at time.Time, ok bool) {
	if l.conf.Rate == 0 {
		if l.queued+n+overhead > l.conf.Queue {
			return time.Time{}, false
		}
		if l.conf.Delay == 0 {
			return time.Time{}, true
		}
		return time.Now().Add(l.conf.Delay), true
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	waiting := int64(l.free.Sub(now)) * l.conf.Rate / 8 / int64(time.Second)
	if l.free.After(now) && waiting+int64(n) > int64(l.conf.Queue) {
		return time.Time{}, false
	}
	l.free = l.free.Add(time.Duration(int64(n) * 8 * int64(time.Second) / l.conf.Rate))
	return l.free.Add(l.conf.Delay), true
}

// hold keeps some packets back, so that later ones overtake them.
func (l *lane) hold(at time.Time) time.Time {
	if l.conf.Reorder == 0 {
		return at
	}
	if at.IsZero() {
		at = time.Now()
	}
	if l.rng.Float64() >= l.conf.Reorder {
		return at
	}
	l.stats.Reordered++
	return at.Add(1 + time.Duration(l.rng.Int64N(int64(max(l.conf.Behind, 1)))))
}

// read waits until the first packet has arrived and scatters it over bufs.
func (l *lane) read(bufs [][]byte, m *tun.Meta) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for told := false; ; {
		if l.closed {
			return 0, os.ErrClosed
		}
		if l.head < len(l.packets) && l.arrived() {
			break
		}
		if !told && l.onWait != nil {
			told = true
			l.mu.Unlock()
			l.onWait()
			l.mu.Lock()
			continue
		}
		l.wake.Wait()
	}
	p := l.pop()
	defer freeData(p.data)
	*m = p.meta
	n := 0
	for _, b := range bufs {
		n += copy(b, p.data[n:])
	}
	if n < len(p.data) {
		return 0, tun.ErrTooLong
	}
	l.stats.Delivered++
	l.stats.DeliveredBytes += uint64(n)
	return n, nil
}

// arrived reports whether the first packet is there; if not it arms the timer.
func (l *lane) arrived() bool {
	at := l.packets[l.head].at
	if at.IsZero() {
		return true
	}
	d := time.Until(at)
	if d <= 0 {
		return true
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(d, func() {
			l.mu.Lock()
			l.wake.Signal()
			l.mu.Unlock()
		})
	} else {
		l.timer.Reset(d)
	}
	return false
}

func (l *lane) pop() packet {
	p := l.packets[l.head]
	l.packets[l.head] = packet{}
	l.queued -= len(p.data) + overhead
	if l.head++; l.head == len(l.packets) {
		l.packets, l.head = l.packets[:0], 0
	} else if l.head >= 1024 && l.head*2 > len(l.packets) {
		n := copy(l.packets, l.packets[l.head:])
		clear(l.packets[n:])
		l.packets, l.head = l.packets[:n], 0
	}
	return p
}

// setDown takes the lane down, losing everything that is under way, or up.
func (l *lane) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	if down {
		l.stats.DroppedDown += uint64(len(l.packets) - l.head)
		l.drop()
	}
}

func (l *lane) drop() {
	for l.head < len(l.packets) {
		freeData(l.pop().data)
	}
	l.free = time.Time{}
}

func (l *lane) shape(o PipeOptions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conf.Rate, l.conf.Delay, l.conf.Queue, l.conf.Loss = o.Rate, o.Delay, o.Queue, o.Loss
	l.conf.Reorder, l.conf.Behind = o.Reorder, o.Behind
}

func (l *lane) snapshot() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Queued = uint64(l.queued - overhead*(len(l.packets)-l.head))
	return s
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.drop()
	l.wake.Broadcast()
}

// Packets are kept in arrays of two sizes.
const smallData, largeData = 2 << 10, tun.MaxPacket

var (
	smallPool = sync.Pool{New: func() any { return new([smallData]byte) }}
	largePool = sync.Pool{New: func() any { return new([largeData]byte) }}
)

func newData(n int) []byte {
	if n <= smallData {
		return smallPool.Get().(*[smallData]byte)[:n]
	}
	if n > largeData {
		return make([]byte, n)
	}
	return largePool.Get().(*[largeData]byte)[:n]
}

func freeData(b []byte) {
	switch cap(b) {
	case smallData:
		smallPool.Put((*[smallData]byte)(b[:smallData]))
	case largeData:
		largePool.Put((*[largeData]byte)(b[:largeData]))
	}
}
