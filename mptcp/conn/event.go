package conn

import (
	"net/netip"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Events of a connection, for a tcp.Recorder.
type (
	// ConnectionOpened tells that the first subflow is established.
	ConnectionOpened struct {
		Token uint32
		MPTCP bool // as far as known: it may still fall back
	}
	// SubflowEstablished tells of a subflow that may carry data.
	SubflowEstablished struct {
		Sub           policy.Subflow
		Link          policy.Link
		Local, Remote netip.AddrPort
		Backup        bool
		MPTCP         bool
	}
	// SubflowClosed tells that a subflow is over. Reason is nil after an
	// orderly close.
	SubflowClosed struct {
		Sub            policy.Subflow
		Link           policy.Link
		Reason         error
		Sent, Received uint64 // data bytes, repetitions included
	}
	// ResetReceived tells why the peer reset a subflow (RFC 8684 §3.6).
	ResetReceived struct {
		Sub       policy.Subflow
		Reason    option.ResetReason
		Transient bool
	}
	// Fallback tells that the connection is plain TCP from now on.
	Fallback struct {
		Sub   policy.Subflow
		Cause Cause
	}
	// ConnectionClosed tells the end. Sent and Received count application
	// bytes once.
	ConnectionClosed struct {
		Err            error
		Sent, Received uint64
	}
	// AddAddrReceived tells of an announcement that was accepted.
	AddAddrReceived struct {
		ID   uint8
		Addr netip.AddrPort
	}
	// RemoveAddrReceived tells of an address that was withdrawn.
	RemoveAddrReceived struct{ ID uint8 }
	// OptionIgnored tells of an option that had no effect.
	OptionIgnored struct {
		Sub    policy.Subflow
		Option option.Subtype
		Reason string
	}
	// PathStale tells that a subflow stopped acknowledging, or answering.
	PathStale struct{ Sub policy.Subflow }
	// PathRevived tells that it does again.
	PathRevived struct{ Sub policy.Subflow }
	// Reinjected tells of data sent again on another subflow.
	Reinjected struct {
		Sub policy.Subflow
		DSN seq.Data
		Len int
	}
	// DataTimeout tells that the data-level retransmission timer ran out.
	DataTimeout struct{ Backoffs int }
)

// Name of the event.
func (ConnectionOpened) Name() string   { return "connection_opened" }
func (SubflowEstablished) Name() string { return "subflow_established" }
func (SubflowClosed) Name() string      { return "subflow_closed" }
func (ResetReceived) Name() string      { return "reset_received" }
func (Fallback) Name() string           { return "fallback" }
func (ConnectionClosed) Name() string   { return "connection_closed" }
func (AddAddrReceived) Name() string    { return "add_addr_received" }
func (RemoveAddrReceived) Name() string { return "remove_addr_received" }
func (OptionIgnored) Name() string      { return "option_ignored" }
func (PathStale) Name() string          { return "path_stale" }
func (PathRevived) Name() string        { return "path_revived" }
func (Reinjected) Name() string         { return "reinjected" }
func (DataTimeout) Name() string        { return "data_timeout" }

func (c *Conn) record(now mono.Time, e tcp.Event) {
	if c.cfg.Recorder != nil {
		c.cfg.Recorder.Record(now, e)
	}
}
