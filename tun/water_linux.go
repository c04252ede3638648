package tun

import (
	"fmt"
	"sync"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

func setWaterName(c *water.Config, name string) { c.Name = name }

// openWater makes a plain device.
func openWater(c Config) (Device, error) {
	d, err := newWater(c)
	if err != nil {
		return nil, err
	}
	ctl, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("tun: control socket: %w", err)
	}
	var mu sync.Mutex // the socket's number must not be used once it is free
	d.mtu = func() (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return getMTU(ctl, d.Name())
	}
	d.free = func() {
		mu.Lock()
		defer mu.Unlock()
		unix.Close(ctl)
		ctl = -1
	}
	if c.MTU != 0 {
		if err := setMTU(ctl, d.Name(), c.MTU); err != nil {
			_ = d.Close()
			return nil, err
		}
	}
	return d, nil
}
