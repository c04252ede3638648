// Package policy is the vocabulary between the MPTCP connection machine and
// those who decide for it: subflow snapshots for the scheduler, path events
// and path commands for the path manager, all as values.
//
// Policies only answer. The connection machine executes, and may refuse.
// Read RFC 8684 §3.3.8, §3.4 and §3.9 first.
package policy

import (
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Subflow identifies a subflow within its connection; the first is 0. Ids are
// not reused.
type Subflow int

// Link identifies one attached link (interface) of the stack; 0 is none.
type Link int

// Class is what kind of network a link leads to.
type Class uint8

// Classes.
const (
	Unknown Class = iota
	Wired
	WiFi
	Cellular
)

var classNames = [...]string{"unknown", "wired", "wifi", "cellular"}

func (c Class) String() string { return classNames[c] }

// Snapshot is a subflow as a scheduler sees it.
type Snapshot struct {
	ID       Subflow
	Link     Link
	Class    Class
	Backup   bool          // either side marked it backup (RFC 8684 §3.3.8)
	Stale    bool          // it has stopped acknowledging
	SRTT     time.Duration // 0: no sample yet
	RTTVar   time.Duration
	Window   int // congestion window in bytes
	InFlight int // bytes in flight
	Room     int // bytes it could send now: cwnd and peer window, less in flight
	MSS      int // payload bytes per segment
	Backoffs int // consecutive retransmission timeouts
	// Delivered is the delivery rate in bytes per second, 0: unknown.
	Delivered float64
}

// Request is what there is to send when a subflow asks.
type Request struct {
	Now     mono.Time
	Asker   Subflow
	Unsent  int // bytes never sent on any subflow that may be sent now
	Window  int // bytes beyond what was sent that the peer takes at the data level; 0: unknown
	Subs    []Snapshot
	Service uint8
}

// Scheduler says whether the asking subflow may take the next bytes.
type Scheduler interface {
	// Allow returns how many of the unsent bytes the asker may take now; 0 is
	// "not you".
	Allow(r Request) int
	// Reinject picks the subflow, other than lost, that should carry data
	// again which lost has not delivered; false: none is fit now.
	Reinject(now mono.Time, lost Subflow, subs []Snapshot) (Subflow, bool)
}

// Address is a local address a connection may open subflows from.
type Address struct {
	Link  Link
	Class Class
	Addr  netip.Addr
}

// EventKind is what happened to paths.
type EventKind uint8

// Path events.
const (
	Confirmed      EventKind = iota // first DSS received: joins are allowed (RFC 8684 §3.1)
	LocalAdded                      // a local address became usable (Address)
	LocalRemoved                    // a local address, or its link, went away (Address)
	RemoteAdded                     // ADD_ADDR accepted (RemoteID, Remote)
	RemoteRemoved                   // REMOVE_ADDR (RemoteID)
	SubflowUp                       // established (Subflow, Address, Remote)
	SubflowDown                     // closed or failed (Subflow, Address, Remote, Err)
	SubflowStale                    // stopped acknowledging (Subflow)
	SubflowRevived                  // acknowledges again (Subflow)
	OpenFailed                      // a subflow could not be opened (Subflow, Address, Remote, Err)
	Tick                            // the path manager's deadline has come
)

// Event is a path event.
type Event struct {
	Kind     EventKind
	Address  Address
	Remote   netip.AddrPort
	RemoteID uint8
	Subflow  Subflow
	Err      error
	// Final tells that the peer does not want this path tried again: its
	// MP_TCPRST was not transient (RFC 8684 §3.6).
	Final bool
}

// View is the connection as a path manager sees it.
type View struct {
	Now       mono.Time
	Initiator bool
	Remote    netip.AddrPort // of the first subflow
	DenyFirst bool           // C flag: no joins to Remote (RFC 8684 §3.1)
	Local     []Address      // usable local addresses
	Announced []Remote       // what ADD_ADDR brought, not yet removed
	Subflows  []Path         // those asked for but not opened yet included
}

// Remote is an announced address.
type Remote struct {
	ID   uint8
	Addr netip.AddrPort
}

// Path is a subflow as a path manager sees it.
type Path struct {
	ID            Subflow
	Link          Link
	Local, Remote netip.AddrPort
	Established   bool
	Stale         bool
	Backup        bool
}

// CommandKind is what a path manager wants done.
type CommandKind uint8

// Path commands.
const (
	Open     CommandKind = iota // open a subflow (Address, Remote, Backup)
	Close                       // close one with FIN (Subflow)
	Reset                       // close one with RST (Subflow)
	Announce                    // send ADD_ADDR (Address, Port)
	Withdraw                    // send REMOVE_ADDR (Address)
	SetPrio                     // send MP_PRIO (Subflow, Backup)
)

// Command is a path command.
type Command struct {
	Kind    CommandKind
	Address Address
	Remote  netip.AddrPort
	Port    uint16
	Subflow Subflow
	Backup  bool
}

// PathManager decides which paths exist.
type PathManager interface {
	// Handle answers an event with commands, appended to cmds.
	Handle(e Event, v View, cmds []Command) []Command
	// Deadline returns when the path manager wants a Tick; 0: never.
	Deadline() mono.Time
}
