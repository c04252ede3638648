package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneDevice is where TUN devices are made.
const cloneDevice = "/dev/net/tun"

// offloads is what we ask the kernel for: leave checksums to each other, and
// pass TCP super-packets whole, also with CWR set.
const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN

// vnetDevice is a TUN device with a virtio header before each packet.
type vnetDevice struct {
	name    string
	offload Offload
	file    *os.File
	conn    syscall.RawConn
	ctl     int          // a socket of the namespace the device was made in, for its MTU
	ctlMu   sync.RWMutex // held for reading while ctl is used
	closed  atomic.Bool

	reader  transfer
	onWait  func()
	read    func(fd uintptr) bool
	writers sync.Pool // of *transfer
}

// open makes the device with the virtio header; where the kernel refuses that,
// or the caller does not want it, a plain one.
func open(c Config) (Device, error) {
	if len(c.Name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("tun: device name %q is longer than %d bytes", c.Name, unix.IFNAMSIZ-1)
	}
	if !c.NoOffload {
		d, err := openVnet(c)
		if err == nil || !errors.Is(err, errNoVnet) {
			return d, err
		}
	}
	return openWater(c)
}

// errNoVnet: the kernel has TUN, but not the virtio header or its offloads.
var errNoVnet = errors.New("no virtio header")

func openVnet(c Config) (Device, error) {
	fd, err := unix.Open(cloneDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, explain(c.Name, err)
	}
	d := &vnetDevice{ctl: -1}
	if err := d.setup(fd, c); err != nil {
		unix.Close(fd)
		if d.ctl >= 0 {
			unix.Close(d.ctl)
		}
		return nil, err
	}
	// Only now, with the interface behind it, can the file be polled.
	d.file = os.NewFile(uintptr(fd), cloneDevice)
	if d.conn, err = d.file.SyscallConn(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("tun: %w", err)
	}
	d.reader.init()
	d.read = d.tryRead
	d.writers.New = func() any { t := new(transfer); t.init(); return t }
	return d, nil
}

// setup turns the open file fd into the interface that c describes.
func (d *vnetDevice) setup(fd int, c Config) error {
	req, err := unix.NewIfreq(c.Name)
	if err != nil {
		return fmt.Errorf("tun: device name %q: %w", c.Name, err)
	}
	if d.ctl, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("tun: control socket: %w", err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return d.explainSetIff(c.Name, err)
	}
	d.name = req.Name()
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
		return errors.Join(errNoVnet, err)
	}
	if err := d.setOffload(fd); err != nil {
		return err
	}
	if c.MTU != 0 {
		return setMTU(d.ctl, d.name, c.MTU)
	}
	return nil
}

// setOffload asks for every offload and settles for checksums alone.
func (d *vnetDevice) setOffload(fd int) error {
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads) == nil {
		d.offload = Offload{Checksum: true, TSO4: true, TSO6: true}
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM); err != nil {
		return errors.Join(errNoVnet, err)
	}
	d.offload = Offload{Checksum: true}
	return nil
}

// explainSetIff tells a name that is taken from a kernel without the header:
// both may be EINVAL.
func (d *vnetDevice) explainSetIff(name string, err error) error {
	if errors.Is(err, unix.EINVAL) && name != "" {
		req, nameErr := unix.NewIfreq(name)
		if nameErr == nil && unix.IoctlIfreq(d.ctl, unix.SIOCGIFFLAGS, req) == nil {
			return explain(name, unix.EBUSY)
		}
		return errors.Join(errNoVnet, err)
	}
	return explain(name, err)
}

// explain turns a refusal of the kernel into what the user can do about it.
func explain(name string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &openError{cloneDevice + " is missing: load the driver with `sudo modprobe tun`," +
			" or give the container the device", ErrNoDriver, err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &openError{fmt.Sprintf("making a network device needs the capability CAP_NET_ADMIN: run with sudo,"+
			" or once `sudo setcap cap_net_admin+ep %s`", executable()), ErrPermission, err}
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return &openError{fmt.Sprintf("a device named %q is in use: stop the program that holds it,"+
			" or choose another name", name), ErrNameInUse, err}
	}
	return fmt.Errorf("tun: make device %q: %w", name, err)
}

func setMTU(ctl int, name string, mtu int) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("tun: device name %q: %w", name, err)
	}
	req.SetUint32(uint32(mtu))
	if err := unix.IoctlIfreq(ctl, unix.SIOCSIFMTU, req); err != nil {
		return fmt.Errorf("tun: set MTU of %s to %d: %w", name, mtu, err)
	}
	return nil
}

func (d *vnetDevice) Name() string     { return d.name }
func (d *vnetDevice) Offload() Offload { return d.offload }

func (d *vnetDevice) MTU() (int, error) {
	d.ctlMu.RLock()
	defer d.ctlMu.RUnlock()
	if d.closed.Load() {
		return 0, os.ErrClosed
	}
	return getMTU(d.ctl, d.name)
}

func getMTU(ctl int, name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(ctl, unix.SIOCGIFMTU, req); err != nil {
		return 0, fmt.Errorf("tun: MTU of %s: %w", name, err)
	}
	return int(req.Uint32()), nil
}

func (d *vnetDevice) Close() error {
	if d.closed.Swap(true) {
		return os.ErrClosed
	}
	err := d.file.Close()
	d.ctlMu.Lock()
	defer d.ctlMu.Unlock()
	unix.Close(d.ctl)
	return err
}

// failed returns err, or os.ErrClosed if the device was closed: the raw
// connection has an error of its own for that.
func (d *vnetDevice) failed(what string, err error) error {
	if d.closed.Load() {
		return os.ErrClosed
	}
	return fmt.Errorf("tun: %s %s: %w", what, d.name, err)
}

func (d *vnetDevice) Read(bufs [][]byte, m *Meta) (int, error) {
	t := &d.reader
	room := t.gather(bufs)
	// RawConn waits in the runtime's poller, so that Close wakes it.
	if err := d.conn.Read(d.read); err != nil {
		return 0, d.failed("read", err)
	}
	if t.errno != 0 {
		return 0, d.failed("read", t.errno)
	}
	n := t.n - vnetLen
	if n < 0 || n > room {
		return 0, ErrTooLong
	}
	var err error
	*m, err = t.header.decode()
	return n, err
}

// tryRead reports whether a read ended, well or not; else there is no packet.
func (d *vnetDevice) tryRead(fd uintptr) bool {
	if d.reader.readv(fd) {
		return true
	}
	if d.onWait != nil {
		d.onWait()
	}
	return false
}

// OnWait implements Waiter.
func (d *vnetDevice) OnWait(f func()) { d.onWait = f }

func (d *vnetDevice) Write(bufs [][]byte, m Meta) error {
	t := d.writers.Get().(*transfer)
	defer d.writers.Put(t)
	t.gather(bufs)
	t.header.encode(m)
	// Control only keeps the file open meanwhile: writers do not exclude each
	// other, one write is one packet.
	if err := d.conn.Control(t.writev); err != nil {
		return d.failed("write", err)
	}
	if t.errno != 0 {
		return d.failed("write", t.errno)
	}
	return nil
}

// transfer is one readv or writev: the header, then the caller's buffers. Its
// functions are bound once, because a closure per packet would be garbage.
type transfer struct {
	header vnetHeader
	iov    []unix.Iovec
	n      int
	errno  syscall.Errno

	readv  func(fd uintptr) bool
	writev func(fd uintptr)
}

func (t *transfer) init() {
	t.readv = func(fd uintptr) bool {
		t.call(unix.SYS_READV, fd)
		return t.errno != unix.EAGAIN
	}
	t.writev = func(fd uintptr) { t.call(unix.SYS_WRITEV, fd) }
}

// gather sets the buffers and returns their length together.
func (t *transfer) gather(bufs [][]byte) int {
	t.iov = t.iov[:0]
	t.iov = append(t.iov, unix.Iovec{Base: &t.header[0]})
	t.iov[0].SetLen(vnetLen)
	n := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(len(b))
		t.iov = append(t.iov, v)
		n += len(b)
	}
	return n
}

func (t *transfer) call(trap, fd uintptr) {
	for {
		n, _, errno := unix.Syscall(trap, fd, uintptr(unsafe.Pointer(&t.iov[0])), uintptr(len(t.iov)))
		t.n, t.errno = int(n), errno
		if errno != unix.EINTR {
			break
		}
	}
	if t.errno != unix.EAGAIN {
		clear(t.iov) // do not keep the caller's memory alive
	}
}
