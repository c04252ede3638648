package stack

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/sennit-net/sennit/stack/tcp"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// mapped turns an error of the core into what package net would return: it
// unwraps to a syscall.Errno where there is one.
func mapped(err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return err
	case errors.Is(err, tcp.ErrReset):
		return syscall.ECONNRESET
	case errors.Is(err, tcp.ErrRefused):
		return syscall.ECONNREFUSED
	case errors.Is(err, tcp.ErrTimeout):
		return syscall.ETIMEDOUT
	case errors.Is(err, tcp.ErrUnreachable):
		return syscall.EHOSTUNREACH
	case errors.Is(err, tcp.ErrAborted):
		return syscall.ECONNABORTED
	case errors.Is(err, tcp.ErrClosed):
		return syscall.EPIPE
	}
	return err
}

// opError dresses an error as package net does.
func opError(op, network string, source, addr net.Addr, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

// gvError turns an error of gVisor's into one of Go's.
func gvError(err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrAddressFamilyNotSupported:
		return syscall.EAFNOSUPPORT
	case *tcpip.ErrBadAddress, *tcpip.ErrBadLocalAddress:
		return syscall.EADDRNOTAVAIL
	case *tcpip.ErrBroadcastDisabled:
		return syscall.EACCES
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrConnectionAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrDestinationRequired:
		return syscall.EDESTADDRREQ
	case *tcpip.ErrHostUnreachable:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrHostDown:
		return syscall.EHOSTDOWN
	case *tcpip.ErrInvalidEndpointState:
		return syscall.ENETDOWN
	case *tcpip.ErrMessageTooLong:
		return syscall.EMSGSIZE
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	case *tcpip.ErrNoBufferSpace:
		return syscall.ENOBUFS
	case *tcpip.ErrNoPortAvailable:
		return syscall.EADDRNOTAVAIL
	case *tcpip.ErrNotConnected:
		return syscall.ENOTCONN
	case *tcpip.ErrPortInUse:
		return syscall.EADDRINUSE
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrClosedForReceive, *tcpip.ErrClosedForSend:
		return net.ErrClosed
	case *tcpip.ErrUnknownNICID:
		return syscall.ENODEV
	}
	return fmt.Errorf("stack: %s", err)
}
