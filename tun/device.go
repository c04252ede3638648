// Package tun reads and writes IP packets through TUN devices.
//
// It owns the Device interface, one implementation per operating system, the
// metadata that travels beside a packet (the virtio network header on Linux),
// and the cutting of super-packets into segments where a device cannot do it.
// It does not own addresses, routes or rules (package uplink), nor does it know
// a network stack (package link attaches a device to gVisor).
//
// A packet is an IP packet of up to 64 KiB. A super-packet is one TCP header
// with more payload than one segment holds; Meta tells how to cut it. Read the
// description of virtio_net_hdr in the Virtio 1.2 specification §5.1.6, and
// RFC 9293 §3.1 and RFC 1071 for the checksums.
package tun

import (
	"errors"
	"os"
)

// MaxPacket is the size in bytes of the largest packet a Device hands over: an
// IPv6 header and the largest payload it can announce (RFC 8200 §3).
const MaxPacket = 40 + 65535

// GSOType tells which kind of super-packet a packet is.
type GSOType uint8

// The kinds of super-packets.
const (
	GSONone  GSOType = iota // not a super-packet
	GSOTCPv4                // TCP over IPv4
	GSOTCPv6                // TCP over IPv6
)

func (t GSOType) String() string {
	switch t {
	case GSONone:
		return "none"
	case GSOTCPv4:
		return "tcp4"
	case GSOTCPv6:
		return "tcp6"
	}
	return "unknown"
}

// Meta is what travels beside a packet. The zero Meta says: an ordinary packet
// with complete checksums that nobody has verified yet. Offsets count bytes
// from the start of the IP header.
type Meta struct {
	GSO       GSOType
	MSS       uint16 // payload bytes of each segment of a super-packet
	HeaderLen uint16 // IP and TCP header of a super-packet together

	// CsumStart and CsumOffset place a checksum that is still to be computed:
	// over everything from CsumStart, stored CsumOffset bytes further on. The
	// field holds the folded sum of the pseudo-header. With NeedsCsum only.
	CsumStart, CsumOffset uint16

	// NeedsCsum says that the transport checksum is not computed yet. On a
	// received packet that means nothing can have damaged it: it never left
	// this machine, or was verified before.
	NeedsCsum bool
	// DataValid says that the transport checksum is complete and was verified.
	DataValid bool
	// CWRFirst marks a super-packet whose CWR flag belongs to its first segment
	// only (RFC 3168 §6.1.2). Without it the flag counts for every segment, as
	// the ACE field of RFC 9768 needs.
	CWRFirst bool
}

// Offload tells what a device does for us.
type Offload struct {
	// Checksum: packets with NeedsCsum are taken, and given.
	Checksum bool
	// TSO4 and TSO6: super-packets of that kind are taken, and given.
	TSO4, TSO6 bool
}

// Takes reports whether the device takes a packet with this metadata as it is.
func (o Offload) Takes(m Meta) bool {
	switch {
	case m.GSO == GSOTCPv4 && !o.TSO4, m.GSO == GSOTCPv6 && !o.TSO6:
		return false
	}
	return o.Checksum || !m.NeedsCsum
}

// Device is a source and sink of IP packets.
//
// Read is called by one goroutine at a time; Write and the rest by any number.
type Device interface {
	// Name returns the name of the interface.
	Name() string
	// MTU returns the interface's current MTU in bytes.
	MTU() (int, error)
	// Offload returns what the device does; it does not change.
	Offload() Offload
	// Read waits for one packet, scatters it over bufs in order, fills m, and
	// returns the packet's length in bytes. Bufs shorter than the packet are
	// ErrTooLong and the packet is lost. After Close it fails with os.ErrClosed.
	Read(bufs [][]byte, m *Meta) (int, error)
	// Write gathers one packet from bufs, which are not kept. The packet must be
	// one that Offload().Takes(m). It does not wait: a device that cannot take
	// the packet fails and the packet is lost.
	Write(bufs [][]byte, m Meta) error
	// Close ends the device; a waiting Read returns os.ErrClosed.
	Close() error
}

// Waiter is a Device that tells when it runs dry, so that work on the packets
// read so far can be put off until there are no more of them.
type Waiter interface {
	// OnWait makes f run on the reading goroutine whenever Read is about to
	// wait for a packet. f may write to the device, but not close it. To be
	// called before the first Read.
	OnWait(f func())
}

// Config says which device Open shall make.
type Config struct {
	// Name of the interface; empty lets the system choose.
	Name string
	// MTU in bytes; 0 leaves the system's default (1500).
	MTU int
	// NoOffload asks for a device that carries one plain packet at a time.
	NoOffload bool
}

// Errors that Open and the devices report; test with errors.Is.
var (
	// ErrNoDriver: this system has no TUN driver, or it is not loaded.
	ErrNoDriver = errors.New("no TUN driver")
	// ErrPermission: this process may not make network devices.
	ErrPermission = errors.New("not permitted to make a network device")
	// ErrNameInUse: another process or another kind of device has that name.
	ErrNameInUse = errors.New("device name in use")
	// ErrTooLong: a packet does not fit.
	ErrTooLong = errors.New("tun: packet too long")
	// ErrBadPacket: a packet and its metadata do not belong together.
	ErrBadPacket = errors.New("tun: packet does not match its metadata")
)

// Open makes a TUN device. It closes with the last user of it: a killed process
// leaves none behind.
//
// On Linux everything happens on the calling thread, so that a caller which has
// locked its thread and entered a network namespace gets the device there; the
// device may then be used from anywhere.
func Open(c Config) (Device, error) { return open(c) }

// openError tells what failed, what kind of failure that is and the operating
// system's reason; errors.Is finds both.
type openError struct {
	what      string
	kind, err error
}

func (e *openError) Error() string {
	s := "tun: " + e.what
	if e.err != nil {
		s += " (" + e.err.Error() + ")"
	}
	return s
}

func (e *openError) Unwrap() []error {
	if e.err == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.err}
}

// executable names this program for messages that tell how to give it rights.
func executable() string {
	p, err := os.Executable()
	if err != nil {
		return "the program"
	}
	return p
}
