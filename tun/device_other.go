//go:build !linux && !darwin && !windows

package tun

import "runtime"

func open(Config) (Device, error) {
	return nil, &openError{"TUN devices are not supported on " + runtime.GOOS +
		": Linux, macOS and Windows are; a device of package tuntest works everywhere", ErrNoDriver, nil}
}
