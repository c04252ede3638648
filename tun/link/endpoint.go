// Package link attaches a tun.Device to gVisor as a link endpoint.
//
// It owns the way of a packet between device and network stack: reading into
// views so that a 64 KiB packet is not copied, verifying the checksums that
// nobody vouched for, taking super-packets from the stack and handing received
// ones to it with their segment size noted, and cutting them in software where
// the device cannot. It knows no connection and keeps no packet.
//
// Read the package docs of tun first, then RFC 1071 for the checksums and RFC
// 9293 §3.1 for what they cover.
package link

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/sennit-net/sennit/tun"
)

// Direction tells which way a packet goes.
type Direction uint8

// The two directions, as the stack sees them.
const (
	Received Direction = iota // from the device to the stack
	Sent                      // from the stack to the device
)

// Options of an Endpoint. All functions may be nil. They are called on the
// goroutine that moves the packet and must neither block nor keep the slices.
type Options struct {
	// Tap sees every packet that crosses the device, in pieces: super-packets
	// whole, and checksums as they are (of a packet whose checksum the device
	// computes, the field holds only the pseudo-header's sum).
	Tap func(dir Direction, packet [][]byte)
	// Intercept sees every received packet after its checksums were verified
	// and before the stack. Returning true takes it away from the stack. The
	// packet comes in pieces, the first of at least 128 bytes if the packet has
	// as many, so that its headers lie together.
	Intercept func(packet [][]byte) bool
	// Failed is called once, on the reading goroutine, when the device fails
	// while the endpoint is open. Nothing is received after it.
	Failed func(error)
}

// gsoMax is the size in bytes of the largest packet we ask the stack for: what
// the total length field of IPv4 can say.
const gsoMax = 65535

// Endpoint is a stack.LinkEndpoint and stack.GSOEndpoint over a device. It
// starts to read when it is first attached.
type Endpoint struct {
	dev     tun.Device
	offload tun.Offload
	opts    Options
	mtu     atomic.Uint32

	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	fragment   atomic.Bool // the packet being delivered is one
	stats      counters

	mu      sync.Mutex
	reading chan struct{} // closed when the reader has ended; nil: not started
	closed  atomic.Bool
	onClose func()
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
)

// New returns an endpoint over d, with the MTU that d has now. The endpoint
// owns d and closes it in Close.
func New(d tun.Device, o Options) (*Endpoint, error) {
	if d == nil {
		return nil, errors.New("link: no device")
	}
	mtu, err := d.MTU()
	if err != nil {
		return nil, fmt.Errorf("link: MTU of %s: %w", d.Name(), err)
	}
	if mtu <= 0 {
		return nil, fmt.Errorf("link: %s has an MTU of %d", d.Name(), mtu)
	}
	e := &Endpoint{dev: d, offload: d.Offload(), opts: o}
	e.mtu.Store(uint32(mtu))
	return e, nil
}

// Device returns the device under the endpoint.
func (e *Endpoint) Device() tun.Device { return e.dev }

// MTU implements stack.LinkEndpoint.
func (e *Endpoint) MTU() uint32 { return e.mtu.Load() }

// SetMTU implements stack.LinkEndpoint. It does not touch the device.
func (e *Endpoint) SetMTU(mtu uint32) { e.mtu.Store(mtu) }

// MaxHeaderLength implements stack.LinkEndpoint: there is no link header.
func (*Endpoint) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.LinkEndpoint.
func (*Endpoint) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.LinkEndpoint.
func (*Endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint.
//
// Received checksums are verified here, packet by packet, because the stack
// can only trust a link as a whole. It asks for each packet it is handed, on the
// goroutine that hands it over: so an IP fragment, whose transport checksum
// covers other packets too, can be excepted, and the stack verifies what it has
// put together.
//
// Checksum offload for sending stays off: it would make UDP and ICMP leave
// without one and without a word about it. TCP asks for it through
// GSOOptions.NeedsCsum instead.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	if e.fragment.Load() {
		return stack.CapabilityNone
	}
	return stack.CapabilityRXChecksumOffload
}

// GSOMaxSize implements stack.GSOEndpoint.
func (*Endpoint) GSOMaxSize() uint32 { return gsoMax }

// SupportedGSO implements stack.GSOEndpoint: super-packets are always welcome,
// whether the device or the endpoint cuts them.
func (*Endpoint) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// Attach implements stack.LinkEndpoint. Detaching (nil) does not wait for the
// reader: the stack holds a lock that the reader may be waiting for.
func (e *Endpoint) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		e.dispatcher.Store(nil)
		return
	}
	e.dispatcher.Store(&d)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reading == nil && !e.closed.Load() {
		e.reading = make(chan struct{})
		go e.read(e.reading)
	}
}

// IsAttached implements stack.LinkEndpoint.
func (e *Endpoint) IsAttached() bool { return e.dispatcher.Load() != nil }

// Wait implements stack.LinkEndpoint. It returns at once, for the reason that
// Attach gives; Close waits.
func (*Endpoint) Wait() {}

// ARPHardwareType implements stack.LinkEndpoint.
func (*Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.LinkEndpoint.
func (*Endpoint) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.LinkEndpoint.
func (*Endpoint) ParseHeader(*stack.PacketBuffer) bool { return true }

// SetOnCloseAction implements stack.LinkEndpoint.
func (e *Endpoint) SetOnCloseAction(f func()) {
	e.mu.Lock()
	e.onClose = f
	e.mu.Unlock()
}

// Close closes the device and waits until the reader has ended. It must not be
// called from Tap, Intercept or Failed, nor while a packet is being delivered
// on the same goroutine.
func (e *Endpoint) Close() {
	if e.closed.Swap(true) {
		return
	}
	e.mu.Lock()
	reading, onClose := e.reading, e.onClose
	e.mu.Unlock()
	if onClose != nil {
		onClose()
	}
	_ = e.dev.Close() // nothing can be done about it, and nothing is lost
	if reading != nil {
		<-reading
	}
}
