package tun

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// setWaterName: the name must be utun and a number.
func setWaterName(c *water.Config, name string) { c.Name = name }

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
		if err := setMTU(d.Name(), c.MTU); err != nil {
			_ = d.Close()
			return nil, err
		}
	}
	return d, nil
}

func setMTU(name string, mtu int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("tun: control socket: %w", err)
	}
	defer unix.Close(fd)
	req := unix.IfreqMTU{MTU: int32(mtu)}
	copy(req.Name[:len(req.Name)-1], name)
	if err := unix.IoctlSetIfreqMTU(fd, &req); err != nil {
		return fmt.Errorf("tun: set MTU of %s to %d: %w", name, mtu, err)
	}
	return nil
}

// explain turns a refusal of the kernel into what the user can do about it.
// water reports text, not error numbers, so the user id has to do.
func explain(name string, err error) error {
	switch {
	case errors.Is(err, syscall.EBUSY):
		return &openError{fmt.Sprintf("a device named %q is in use: choose another name", name), ErrNameInUse, err}
	case os.Geteuid() != 0:
		return &openError{fmt.Sprintf("making a network device needs root: run `sudo %s`", executable()),
			ErrPermission, err}
	}
	return fmt.Errorf("tun: make device %q: %w", name, err)
}
