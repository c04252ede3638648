// Package uplink is the host side of the links: for each physical interface a
// TUN device whose packets leave by exactly that interface.
//
// It owns, per link, the device `sennit-<link>` with its addresses, a routing
// table that follows the main table's routes of the interface, the rules that
// lead into it, the masquerade, and the forwarding that this needs, limited to
// it. It follows interfaces, addresses and routes by netlink and tells of
// changes. Before each change it writes down in a journal how to undo it, so
// that the next start takes away what a killed process left behind. It does not
// own packets (packages tun and link) nor the network stack on the other side
// of the devices.
//
// Everything happens in the network namespace of the calling thread. It needs
// Linux and CAP_NET_ADMIN.
//
// Read ip-rule(8) and Documentation/networking/ip-sysctl.rst of Linux first,
// and RFC 4193 for the IPv6 addresses.
package uplink

import (
	"errors"
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/tun"
)

// Errors that Setup and Discover report; test with errors.Is.
var (
	// ErrUnsupported: this operating system has no uplink.
	ErrUnsupported = errors.New("needs Linux")
	// ErrPermission: a capability is missing.
	ErrPermission = errors.New("not permitted")
	// ErrNoLink: there is no such interface.
	ErrNoLink = errors.New("no such interface")
	// ErrLinkDown: the interface is down.
	ErrLinkDown = errors.New("interface is down")
	// ErrNoAddress: the interface has no usable address.
	ErrNoAddress = errors.New("interface has no address")
	// ErrNoLinks: nothing to use was found.
	ErrNoLinks = errors.New("no interface is up with a default route")
)

// Class is what kind of network an interface leads to.
type Class string

// Classes.
const (
	Unknown  Class = ""
	Wired    Class = "wired"
	WiFi     Class = "wifi"
	Cellular Class = "cellular"
)

// Interface is a physical interface as found on the host.
type Interface struct {
	Name   string
	Index  int
	MTU    int
	Class  Class // a guess
	State  State
	Metric int // of its best default route
	// Addrs are its addresses of global scope.
	Addrs []netip.Prefix
	// Default4 and Default6 tell that it has a default route.
	Default4, Default6 bool
}

// State is what can be done over a link now.
type State struct {
	Up         bool // interface is up and has a carrier
	IPv4, IPv6 bool // it has an address and a route of that family
}

// Usable reports whether any packet can leave.
func (s State) Usable() bool { return s.Up && (s.IPv4 || s.IPv6) }

// Change tells of a link whose state is not what it was.
type Change struct {
	Link  string // name of the physical interface
	State State
	Addrs []netip.Prefix // of the physical interface
	Cause string         // what was seen: "interface down", "no carrier", "no route", ...
}

// LinkConfig names one interface to use.
type LinkConfig struct {
	Name  string
	Class Class // Unknown: guessed
}

// Config says what Setup shall make.
type Config struct {
	// Links to use; none: every interface that is up and has a default route.
	Links []LinkConfig
	// NoOffload asks for devices that carry one plain packet at a time.
	NoOffload bool
	// StateDir is where journals are kept; empty: /run/sennit.
	StateDir string
	// AllForwarding leaves the per-device IPv6 forwarding of new kernels
	// unused.
	AllForwarding bool
}

// DefaultStateDir is where journals are kept.
const DefaultStateDir = "/run/sennit"

func (c Config) stateDir() string {
	if c.StateDir == "" {
		return DefaultStateDir
	}
	return c.StateDir
}

// Pair is a point-to-point network of two addresses.
type Pair struct {
	Host, Peer netip.Addr
	Bits       int
}

// IsValid reports whether there are addresses at all.
func (p Pair) IsValid() bool { return p.Host.IsValid() }

// Prefix returns the network.
func (p Pair) Prefix() netip.Prefix { return netip.PrefixFrom(p.Host, p.Bits).Masked() }

// Link is a link that is set up. The stack's side of the device has the
// addresses IPv4.Peer and IPv6.Peer, each if valid.
type Link struct {
	Interface            // the physical interface at the time of Setup
	Device    tun.Device // closed by Host.Close
	IPv4      Pair
	IPv6      Pair
	named     bool // by the Config, not found by Discover
	table     int
	tunName   string
	index     int // of the TUN device
}

// TUN returns the name of the link's TUN device.
func (l *Link) TUN() string { return l.tunName }

// Left is what Cleanup took away.
type Left struct {
	Journal string // file
	PID     int
	Started time.Time
	Undone  []string // one line for each thing; of Leftovers, what is to be undone
}
