// Package tuntest makes TUN devices in memory: two of them, joined by an
// emulated link with a rate, a delay, a queue and loss, in real time.
//
// It owns the behaviour of that link and nothing of the packets but the cutting
// of super-packets, which package tun does for it. It needs no right and no
// operating system support, starts no goroutine, and works under
// testing/synctest. For virtual time without a clock there is package simnet.
package tuntest

import (
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/sennit-net/sennit/tun"
)

// Defaults of PipeOptions.
const (
	DefaultMTU   = 1500
	DefaultQueue = 16 << 20
)

// PipeOptions describes one device of a pipe and the way from it to the other.
// The zero value is a plain device that sends as fast as it can.
type PipeOptions struct {
	Name string // of the device; empty: pipe
	MTU  int    // in bytes; 0: DefaultMTU

	// Offload makes the device take super-packets and unfinished checksums. The
	// other end gets them as they are if it has Offload too, cut and completed
	// otherwise.
	Offload bool
	// Cut makes super-packets leave as the segments they stand for, also when
	// the other end would take them whole, so that rate, queue and loss act on
	// packets of the link's MTU as on a real link.
	Cut bool

	Rate  int64         // bits per second; 0: no limit
	Delay time.Duration // one way
	// Queue is how many bytes may wait for the link (or, without a Rate, for
	// the reader); what comes on top is dropped. 0: DefaultQueue.
	Queue int
	Loss  float64 // probability of losing a packet, 0 to 1
	// Reorder is the probability that a packet is held back by up to Behind, so
	// that others overtake it.
	Reorder float64
	Behind  time.Duration
	Seed    uint64 // of losses and reordering
}

// Stats counts what one end sent. Packets are those of the link: of a
// super-packet that was cut, each segment.
type Stats struct {
	Packets, Bytes         uint64 // put on the link
	DroppedQueue           uint64 // the queue was full
	DroppedLoss            uint64 // by Loss
	DroppedDown            uint64 // while the link was down
	Reordered              uint64 // held back by Reorder
	Delivered              uint64 // packets read by the other end
	DeliveredBytes, Queued uint64 // bytes read by the other end; bytes under way
}

// Device is one end of a pipe.
type Device struct {
	opts PipeOptions
	out  *lane // to the peer
	in   *lane // from the peer
	once sync.Once
}

var (
	_ tun.Device = (*Device)(nil)
	_ tun.Waiter = (*Device)(nil)
)

// Pipe returns two devices joined back to back. a describes the first device
// and the way from it to the second, b the other direction.
func Pipe(a, b PipeOptions) (*Device, *Device) {
	a, b = a.defaults(), b.defaults()
	ab, ba := newLane(a, b), newLane(b, a)
	return &Device{opts: a, out: ab, in: ba}, &Device{opts: b, out: ba, in: ab}
}

func (o PipeOptions) defaults() PipeOptions {
	if o.Name == "" {
		o.Name = "pipe"
	}
	if o.MTU == 0 {
		o.MTU = DefaultMTU
	}
	if o.Queue == 0 {
		o.Queue = DefaultQueue
	}
	return o
}

// Name implements tun.Device.
func (d *Device) Name() string { return d.opts.Name }

// MTU implements tun.Device.
func (d *Device) MTU() (int, error) { return d.opts.MTU, nil }

// Offload implements tun.Device.
func (d *Device) Offload() tun.Offload {
	return tun.Offload{Checksum: d.opts.Offload, TSO4: d.opts.Offload, TSO6: d.opts.Offload}
}

// SetDown takes the link down, or up again. While it is down it swallows what
// either end sends, and nobody is told. What is under way is lost.
func (d *Device) SetDown(down bool) {
	d.in.setDown(down)
	d.out.setDown(down)
}

// Shape changes rate, delay, queue, loss and reordering of what this end sends
// from now on; the other fields of o are ignored.
func (d *Device) Shape(o PipeOptions) { d.out.shape(o.defaults()) }

// Stats returns the counters of what this end sent.
func (d *Device) Stats() Stats { return d.out.snapshot() }

// Read implements tun.Device.
func (d *Device) Read(bufs [][]byte, m *tun.Meta) (int, error) { return d.in.read(bufs, m) }

// OnWait implements tun.Waiter.
func (d *Device) OnWait(f func()) { d.in.onWait = f }

// Write implements tun.Device.
func (d *Device) Write(bufs [][]byte, m tun.Meta) error {
	if !d.Offload().Takes(m) {
		return tun.ErrBadPacket
	}
	return d.out.write(bufs, m)
}

// Close implements tun.Device. The peer stays open; what it sends is lost.
func (d *Device) Close() error {
	err := os.ErrClosed
	d.once.Do(func() {
		d.in.close()
		d.out.close()
		err = nil
	})
	return err
}

func newLane(from, to PipeOptions) *lane {
	l := &lane{
		cut: from.Cut || !to.Offload,
		rng: rand.New(rand.NewPCG(from.Seed, 0x5e11)),
	}
	l.wake.L = &l.mu
	l.emit = func(p [][]byte) error { l.enqueue(p, tun.Meta{}); return nil }
	l.conf = from
	return l
}
