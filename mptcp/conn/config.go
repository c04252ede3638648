package conn

import (
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Config is what a connection is made of. Everything random is handed in.
type Config struct {
	Initiator bool
	// LocalKey is our key: from a strong random source, its token unique on
	// this host (RFC 8684 §3.1).
	LocalKey uint64

	Plain    bool // do not offer or accept MPTCP at all
	Checksum bool // our A flag: require checksums
	DenyJoin bool // our C flag: no subflows to the first address and port

	Scheduler   policy.Scheduler
	PathManager policy.PathManager
	Service     uint8 // handed to the scheduler as it is

	MaxSubflows int           // of one connection at a time; 0: 8
	CapableSYNs int           // SYNs that offer MP_CAPABLE before one goes without; 0: 3
	Patience    time.Duration // how long to wait for a subflow when all are gone; 0: 60 s

	Tuning   tcp.Tuning
	Recorder tcp.Recorder // may be nil
}

// Defaults and bounds.
const (
	defaultSubflows = 8
	defaultSYNs     = 3
	defaultPatience = 60 * time.Second

	// defaultMaxWindow is the largest receive window where Tuning names none.
	defaultMaxWindow = 6 << 20
	firstWindow      = 512 << 10 // what the receive window starts from
	// minSend and maxSend bound the send queue (RFC 8684 §3.3.5: at least as
	// much as a receive window).
	minSend = 256 << 10
	maxSend = 8 << 20

	minDataRTO   = 500 * time.Millisecond
	maxDataRTO   = 30 * time.Second
	joinRTO      = time.Second     // resends the third ACK of MP_JOIN
	joinTries    = 5               // before a subflow that hears nothing is given up
	announceRTO  = time.Second     // resends ADD_ADDR until echoed
	announceMax  = 5               // times ADD_ADDR is sent
	removeTimes  = 2               // times REMOVE_ADDR is sent: nothing confirms it
	unmappedTime = 2 * time.Second // how long bytes may wait for a mapping
	finLinger    = time.Second     // how long the passive closer waits for the peer's FINs
	reinjectPart = 64 << 10        // bytes the data-level timer sends again at a time

	silence   = 300 * time.Millisecond // before a subflow that should carry data is probed
	probeGap  = 250 * time.Millisecond // between probes
	maxProbes = 3                      // unanswered before a path is taken for dead
)

func (c *Config) setDefaults() {
	if c.MaxSubflows == 0 {
		c.MaxSubflows = defaultSubflows
	}
	if c.CapableSYNs == 0 {
		c.CapableSYNs = defaultSYNs
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Tuning.MaxWindow == 0 {
		c.Tuning.MaxWindow = defaultMaxWindow
	}
}

// WantKind is what the machine cannot do itself.
type WantKind uint8

// What the owner of a connection is asked for.
const (
	// OpenSubflow: reserve a port and a route from Address to Remote, then call
	// Opened or OpenFailed.
	OpenSubflow WantKind = iota
	// Release: the subflow is over, its ports and route can go.
	Release
)

// Want is a request to the owner of a connection.
type Want struct {
	Kind    WantKind
	Sub     policy.Subflow
	Address policy.Address
	Remote  netip.AddrPort
}
