//go:build !linux

package uplink

import "fmt"

// Host is the host side of all links of one process.
type Host struct{}

var errOther = fmt.Errorf("uplink: %w: the library works here over any device, but links of the host can only be taken over by Linux's rules and masquerade", ErrUnsupported)

// Setup fails: it needs Linux.
func Setup(Config) (*Host, error) { return nil, errOther }

// Discover fails: it needs Linux.
func Discover() ([]Interface, error) { return nil, errOther }

// Cleanup fails: it needs Linux.
func Cleanup(string) ([]Left, error) { return nil, errOther }

// Links returns nothing.
func (h *Host) Links() []*Link { return nil }

// Watch does nothing.
func (h *Host) Watch(func(Change)) {}

// Spare fails: it needs Linux.
func (h *Host) Spare() (Pair, Pair, error) { return Pair{}, Pair{}, errOther }

// Close does nothing.
func (h *Host) Close() error { return nil }
