package tcp

import "errors"

// Why a connection ended, or why a call could not be served.
var (
	// ErrWouldBlock: nothing to read, or no room to write, just now.
	ErrWouldBlock = errors.New("tcp: would block")
	// ErrReset: the peer sent a RST.
	ErrReset = errors.New("tcp: connection reset by peer")
	// ErrRefused: the peer answered the SYN with a RST, or the network with a
	// port unreachable.
	ErrRefused = errors.New("tcp: connection refused")
	// ErrTimeout: the user timeout ran out without progress (RFC 9293 §3.8.3),
	// or keep-alive probes went unanswered.
	ErrTimeout = errors.New("tcp: connection timed out")
	// ErrAborted: this side gave the connection up (Abort, or its Upper).
	ErrAborted = errors.New("tcp: connection aborted")
	// ErrUnreachable: the network reported that the peer cannot be reached.
	ErrUnreachable = errors.New("tcp: host unreachable")
	// ErrClosed: the call came after this side closed that direction.
	ErrClosed = errors.New("tcp: closed for this direction")
)
