//go:build linux || darwin || windows

package tun

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/songgao/water"
)

// waterDevice is a device that carries one plain packet per read and write.
type waterDevice struct {
	ifce   *water.Interface
	mtu    func() (int, error)
	closed atomic.Bool
	free   func()
	buf    []byte // the reader's, for packets that do not come in one buffer

	pool sync.Pool // of *[]byte, for packets that do not leave in one buffer
}

// newWater makes the device itself; open of each system adds what water leaves
// out.
func newWater(c Config) (*waterDevice, error) {
	conf := water.Config{DeviceType: water.TUN}
	if c.Name != "" {
		setWaterName(&conf, c.Name)
	}
	ifce, err := water.New(conf)
	if err != nil {
		return nil, explain(c.Name, err)
	}
	d := &waterDevice{ifce: ifce, buf: make([]byte, MaxPacket)}
	d.pool.New = func() any { b := make([]byte, 0, 2048); return &b }
	return d, nil
}

func (d *waterDevice) Name() string      { return d.ifce.Name() }
func (d *waterDevice) Offload() Offload  { return Offload{} }
func (d *waterDevice) MTU() (int, error) { return d.mtu() }

func (d *waterDevice) Read(bufs [][]byte, m *Meta) (int, error) {
	*m = Meta{}
	n, err := d.ifce.Read(d.buf)
	if err != nil {
		return 0, d.readError(err)
	}
	if n < 0 || n > len(d.buf) {
		return 0, fmt.Errorf("tun: read %s: %w", d.Name(), io.ErrUnexpectedEOF)
	}
	if scatter(bufs, d.buf[:n]) < n {
		return 0, ErrTooLong
	}
	return n, nil
}

func (d *waterDevice) readError(err error) error {
	if d.closed.Load() {
		return os.ErrClosed
	}
	return fmt.Errorf("tun: read %s: %w", d.Name(), err)
}

func (d *waterDevice) Write(bufs [][]byte, m Meta) error {
	if d.closed.Load() {
		return os.ErrClosed
	}
	if !d.Offload().Takes(m) {
		return fmt.Errorf("tun: write %s: super-packet or unfinished checksum on a plain device", d.Name())
	}
	p := d.pool.Get().(*[]byte)
	defer d.pool.Put(p)
	*p = (*p)[:0]
	for _, b := range bufs {
		*p = append(*p, b...)
	}
	if _, err := d.ifce.Write(*p); err != nil {
		return fmt.Errorf("tun: write %s: %w", d.Name(), err)
	}
	return nil
}

func (d *waterDevice) Close() error {
	if d.closed.Swap(true) {
		return os.ErrClosed
	}
	err := d.ifce.Close()
	if d.free != nil {
		d.free()
	}
	return err
}

// scatter copies p over bufs and returns how much of it fits.
func scatter(bufs [][]byte, p []byte) int {
	n := 0
	for _, b := range bufs {
		n += copy(b, p[n:])
	}
	return n
}
