//go:build !linux

package bench

import "errors"

// RunPeer does nothing: there is no peer without network namespaces.
func RunPeer() {}

// CompareOffload needs network namespaces.
func CompareOffload(OffloadOptions) (*Report, error) {
	return nil, errors.New("bench: comparing with the kernel needs Linux")
}
