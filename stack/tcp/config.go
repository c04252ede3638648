package tcp

import (
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
)

// Config is what a connection is made of. Everything random or clocked is
// handed in.
type Config struct {
	Local, Remote netip.AddrPort
	ISS           seq.Num // initial send sequence number (RFC 6528 §3)
	TSOffset      uint32  // added to the timestamp clock (RFC 7323 §7.1)

	// MTU is the IP packet size of the path in bytes, IP header included.
	MTU int
	// MaxMTU is the packet size of the link, where it is more than is known of
	// the path: larger packets may be tried up to it. 0: MTU.
	MaxMTU int
	// Learned, if set, is told what the path was found to carry, for other
	// connections to the same destination.
	Learned func(now mono.Time, mtu int)
	// MaxSuper is the largest payload of a super-segment in bytes; 0 or less
	// than two segments: each segment goes alone.
	MaxSuper int
	// OptionReserve is how many option bytes the Upper may want on a data
	// segment, kept free of payload.
	OptionReserve int
	// SharedWindow tells that Upper.Window is a window shared with other
	// connections (RFC 8684 §3.3.4): it is advertised as it is, even if the
	// right edge moves left; what was once advertised stays acceptable.
	SharedWindow bool
	// Cookie is set where a SYN cookie came back, for a passive open.
	Cookie *Cookie

	// Doubted, if set, is told when R1 is passed (RFC 9293 §3.8.3): negative
	// advice to who chooses the way.
	Doubted func(now mono.Time)

	FastOpen      FastOpen
	Budget        *Budget                       // memory shared with other connections; nil: unlimited
	NewController func(cc.Config) cc.Controller // nil: CUBIC
	ECN           ECN                           // nil: off
	Upper         Upper
	Recorder      Recorder // may be nil

	Tuning
}

// Tuning is what an application may set. The zero value is the default.
type Tuning struct {
	NoDelay     bool          // switch the Nagle algorithm off (RFC 9293 §3.7.4)
	KeepAlive   KeepAlive     // zero: off (RFC 9293 §3.8.4)
	UserTimeout time.Duration // R2 (RFC 9293 §3.8.3); 0: 15 minutes, 3 for SYN; <0: never
	// AnnounceTimeout tells the peer of UserTimeout, and takes the peer's into
	// account where that is 0 (RFC 5482).
	AnnounceTimeout bool
	R1              int           // retransmissions in a row until the path is doubted (RFC 9293 §3.8.3); less than 3: 3
	TimeWait        time.Duration // 2*MSL; 0: 60 s, <0: none
	FinWait2        time.Duration // wait for the peer's FIN after a full close; 0: 60 s
	WindowScale     int           // our shift count + 1; 0: chosen for MaxWindow
	MaxWindow       int           // largest receive window ever advertised; 0: 16 MiB
	SendBuffer      int           // most bytes Write queues and keeps unacknowledged; 0: up to 32 MiB as cwnd grows
	NoSACK, NoTimestamps,
	NoWindowScale bool // do not offer the option
	NoRACK    bool  // find losses by RFC 6675 instead of RFC 8985
	QuickAcks int   // segments acknowledged at once when data begins to come; 0: none
	NoPacing  bool  // send at once what the window allows, where the controller can do without pacing
	TTL, DSCP uint8 // of IP; TTL 0: the stack's default
	// Challenges is how many challenge ACKs a connection sends in a second
	// (RFC 5961 §7); 0: 10.
	Challenges uint8
	// NoSoftErrors keeps quiet of what does not end the connection: ICMP errors
	// and R1 (RFC 9293 §3.9.1.8, SHLD-20).
	NoSoftErrors bool
}

// KeepAlive are the knobs of RFC 9293 §3.8.4.
type KeepAlive struct {
	Idle     time.Duration // 0: off
	Interval time.Duration // 0: 75 s
	Count    int           // 0: 9 unanswered probes end the connection
}
