package tun

import (
	"fmt"
	"net"

	"github.com/songgao/water"
)

func setWaterName(c *water.Config, name string) {
	c.ComponentID = "tap0901"
	c.InterfaceName = name
}

// open needs the TAP-Windows driver of OpenVPN.
func open(c Config) (Device, error) {
	d, err := newWater(c)
	if err != nil {
		return nil, err
	}
	d.mtu = func() (int, error) {
		i, err := net.InterfaceByName(d.Name())
		if err != nil {
			return 0, fmt.Errorf("tun: MTU of %s: %w", d.Name(), err)
		}
		return i.MTU, nil
	}
	if c.MTU != 0 {
		_ = d.Close()
		return nil, fmt.Errorf("tun: the MTU of %s is set with"+
			" `netsh interface ipv4 set subinterface %q mtu=%d` on Windows", d.Name(), d.Name(), c.MTU)
	}
	return d, nil
}

// explain names what is needed; the driver reports text only.
func explain(name string, err error) error {
	return &openError{fmt.Sprintf("make device %q: install the TAP-Windows driver (tap0901)"+
		" and run as administrator", name), ErrNoDriver, err}
}
