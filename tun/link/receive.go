package link

import (
	"errors"
	"os"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/sennit-net/sennit/tun"
)

// viewSizes are the views a packet is read into. Together they hold any
// packet. The first is small and holds the headers, because the IP layers share
// it and every access to a shared view copies all of it; the rest grow, so that
// a packet wastes little memory in a receive buffer. Each size is one the view
// pool has, because a buffer copies a view that follows one with room left.
var viewSizes = [...]int{128, 2 << 10, 16 << 10, 16 << 10, 32 << 10}

// A batch ends when the device has no more packets, or with as many as this.
const (
	batchPackets = 64
	batchBytes   = 192 << 10
)

// Batcher is a dispatcher that puts work off, such as acknowledging, until it
// has seen all the packets that are there: BatchEnd follows the last one, on
// the same goroutine.
type Batcher interface{ BatchEnd() }

// Batches promises that a dispatcher which is a Batcher will be told.
func (*Endpoint) Batches() {}

// reader is the state of the reading goroutine.
type reader struct {
	packets, bytes int      // of this batch
	meta           tun.Meta // of the packet just read; here because it escapes
	to             Batcher  // who got packets of this batch, or nil

	views  [len(viewSizes)]*buffer.View // nil: to be made before the next read
	slices [len(viewSizes)][]byte
	packet [][]byte // the packet just read, as parts of slices
}

// fill makes the views that the last packet took.
func (r *reader) fill() {
	for i, v := range r.views {
		if v == nil {
			v = buffer.NewViewSize(viewSizes[i])
			r.views[i], r.slices[i] = v, v.AsSlice()
		}
	}
}

// cut sets packet to the first n bytes read.
func (r *reader) cut(n int) {
	r.packet = r.packet[:0]
	for _, b := range r.slices {
		k := min(n, len(b))
		r.packet = append(r.packet, b[:k])
		if n -= k; n == 0 {
			break
		}
	}
}

// take moves the views of the packet into a buffer; unused ones stay.
func (r *reader) take() buffer.Buffer {
	var b buffer.Buffer
	for i, p := range r.packet {
		v := r.views[i]
		r.views[i] = nil
		v.CapLength(len(p))
		_ = b.Append(v) // fails for a view that has to be copied only: none here
	}
	return b
}

func (r *reader) release() {
	for i, v := range r.views {
		if v != nil {
			v.Release()
			r.views[i] = nil
		}
	}
}

// read moves packets from the device to the stack until the device ends. Each
// is processed to completion here: no queue, no hop to another goroutine.
func (e *Endpoint) read(done chan<- struct{}) {
	defer close(done)
	var r reader
	defer r.release()
	defer r.batchEnd()
	each := true // the device does not tell when it runs dry
	if w, ok := e.dev.(tun.Waiter); ok {
		w.OnWait(r.batchEnd)
		each = false
	}
	for {
		r.fill()
		n, err := e.dev.Read(r.slices[:], &r.meta)
		switch {
		case err == nil:
			e.receive(&r, n, r.meta)
			r.packets++
			r.bytes += n
			if each || r.packets >= batchPackets || r.bytes >= batchBytes {
				r.batchEnd()
			}
		case errors.Is(err, tun.ErrTooLong), errors.Is(err, tun.ErrBadPacket):
			e.stats.readErrors.Add(1)
		default:
			if !errors.Is(err, os.ErrClosed) && !e.closed.Load() && e.opts.Failed != nil {
				e.opts.Failed(err)
			}
			return
		}
	}
}

// batchEnd tells whoever got packets of this batch that it is over, also one
// that has been detached since.
func (r *reader) batchEnd() {
	r.packets, r.bytes = 0, 0
	if b := r.to; b != nil {
		r.to = nil
		b.BatchEnd()
	}
}

// receive takes one packet of n bytes through the checks and hands it up.
func (e *Endpoint) receive(r *reader, n int, m tun.Meta) {
	if n == 0 {
		e.stats.badHeader.Add(1)
		return
	}
	r.cut(n)
	e.stats.receivedPackets.Add(1)
	e.stats.receivedBytes.Add(uint64(n))
	if m.GSO != tun.GSONone {
		e.stats.receivedSuper.Add(1)
	}
	if e.opts.Tap != nil {
		e.opts.Tap(Received, r.packet)
	}
	v := verify(r.packet, n, m)
	if !e.count(v) {
		return
	}
	if e.opts.Intercept != nil && e.opts.Intercept(r.packet) {
		e.stats.intercepted.Add(1)
		return
	}
	d := e.dispatcher.Load()
	if d == nil {
		e.stats.notAttached.Add(1)
		return
	}
	proto := header.IPv6ProtocolNumber
	if r.packet[0][0]>>4 == 4 {
		proto = header.IPv4ProtocolNumber
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: r.take()})
	if m.GSO != tun.GSONone {
		pkt.GSOOptions.MSS = m.MSS
	}
	if v == fragment {
		e.fragment.Store(true)
		defer e.fragment.Store(false)
	}
	r.to, _ = (*d).(Batcher)
	(*d).DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

// count notes a verdict and reports whether the packet may pass.
func (e *Endpoint) count(v verdict) bool {
	switch v {
	case malformed:
		e.stats.badHeader.Add(1)
		return false
	case badSum:
		e.stats.badChecksum.Add(1)
		return false
	case fragment:
		e.stats.fragments.Add(1)
	case computed:
		e.stats.verifiedHere.Add(1)
	}
	return true
}
