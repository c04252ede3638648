package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// needRoot skips without root, and fails where nothing may skip.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("SENNIT_NOSKIP") == "1" {
		t.Fatal("this test needs root, and SENNIT_NOSKIP forbids skipping")
	}
	t.Skip("this test needs root: it makes TUN devices in a network namespace")
}

// inNamespace runs f on a thread in a network namespace of its own, which ends
// with the devices and sockets made there.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	needRoot(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		f(t)
	}()
	<-done
}

// opened opens a device on this thread and gives its host side an address.
func opened(t *testing.T, c Config, addr string) Device {
	t.Helper()
	d, err := Open(c)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { _ = d.Close() })
	l, err := netlink.LinkByName(d.Name())
	if err == nil {
		a, _ := netlink.ParseAddr(addr)
		err = errors.Join(netlink.AddrAdd(l, a), netlink.LinkSetUp(l))
	}
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return d
}

// readUDP reads packets until one is UDP over IPv4: the kernel also sends
// neighbour and multicast packets of its own.
func readUDP(t *testing.T, d Device) ([]byte, Meta) {
	t.Helper()
	for {
		a, b := make([]byte, 17), make([]byte, 4000)
		var m Meta
		n, err := d.Read([][]byte{a, nil, b}, &m)
		if err != nil {
			t.Error(err)
			runtime.Goexit()
		}
		if p := append(a, b...)[:n]; n > 28 && p[0]>>4 == 4 && p[9] == 17 {
			return p, m
		}
	}
}

// Datagrams cross between the kernel and us, in pieces on our side.
func TestDevice(t *testing.T) {
	for _, plain := range []bool{false, true} {
		inNamespace(t, func(t *testing.T) {
			d := opened(t, Config{Name: "snt0", MTU: 1400, NoOffload: plain}, "10.88.0.1/24")
			if d.Name() != "snt0" {
				t.Errorf("name %q", d.Name())
			}
			if want := (Offload{Checksum: !plain, TSO4: !plain, TSO6: !plain}); d.Offload() != want {
				t.Errorf("offload %+v, want %+v", d.Offload(), want)
			}
			s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 88, 0, 1), Port: 1000})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_ = s.SetDeadline(time.Now().Add(10 * time.Second))
			out := bytes.Repeat([]byte("over the tunnel "), 20)
			if _, err := s.WriteTo(out, &net.UDPAddr{IP: net.IPv4(10, 88, 0, 2), Port: 2000}); err != nil {
				t.Error(err)
				return
			}
			p, m := readUDP(t, d)
			if !bytes.Equal(p[28:], out) {
				t.Errorf("read %q", p[28:])
			}
			if m.NeedsCsum == plain || !plain && (m.CsumStart != 20 || m.CsumOffset != 6) {
				t.Errorf("metadata %+v", m)
			}
			answer(t, d, p, plain)
			got := make([]byte, 2000)
			n, err := s.Read(got)
			if err != nil || !bytes.Equal(got[:n], out) {
				t.Errorf("the kernel got %q, %v", got[:n], err)
			}
		})
	}
}

// answer sends p back to where it came from, its checksum left to the device if
// it can.
func answer(t *testing.T, d Device, p []byte, plain bool) {
	t.Helper()
	for i := range 4 {
		p[12+i], p[16+i] = p[16+i], p[12+i]
	}
	for i := range 2 {
		p[20+i], p[22+i] = p[22+i], p[20+i]
	}
	binary.BigEndian.PutUint16(p[26:], fold(pseudo(p, 17, len(p)-20)))
	m := Meta{NeedsCsum: true, CsumStart: 20, CsumOffset: 6}
	write := func(p [][]byte) error { return d.Write(p, Meta{}) }
	pieces := [][]byte{p[:28], nil, p[28:100], p[100:]}
	var err error
	if plain {
		if err := d.Write(pieces, m); err == nil {
			t.Error("a plain device took an open checksum")
		}
		err = new(Splitter).Split(pieces, m, write)
	} else {
		err = d.Write(pieces, m)
	}
	if err != nil {
		t.Error(err)
	}
}

// A device made inside a namespace works from outside.
func TestDeviceFromOutside(t *testing.T) {
	for _, plain := range []bool{false, true} {
		var d Device
		inNamespace(t, func(t *testing.T) {
			d = opened(t, Config{NoOffload: plain}, "10.88.0.1/24")
			l, _ := netlink.LinkByName(d.Name())
			if mtu, err := d.MTU(); mtu != 1500 || err != nil {
				t.Errorf("MTU %d, %v", mtu, err)
			}
			if err := netlink.LinkSetMTU(l, 1300); err != nil {
				t.Error(err)
			}
		})
		if t.Failed() {
			return
		}
		if mtu, err := d.MTU(); mtu != 1300 || err != nil {
			t.Errorf("plain %v: MTU from outside %d, %v, want 1300", plain, mtu, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := d.MTU(); err == nil {
			t.Error("a closed device has an MTU")
		}
	}
}

func TestCloseWakesRead(t *testing.T) {
	for _, plain := range []bool{false, true} {
		inNamespace(t, func(t *testing.T) {
			d := opened(t, Config{NoOffload: plain}, "10.88.0.1/24")
			failed := make(chan error)
			go func() {
				var m Meta
				for {
					if _, err := d.Read([][]byte{make([]byte, 2000)}, &m); err != nil {
						failed <- err
						return
					}
				}
			}()
			time.Sleep(10 * time.Millisecond) // most likely it waits by now
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			select {
			case err := <-failed:
				if !errors.Is(err, os.ErrClosed) {
					t.Errorf("plain %v: a waiting read got %v", plain, err)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("plain %v: a waiting read was not woken", plain)
			}
			if err := d.Write([][]byte{make([]byte, 40)}, Meta{}); !errors.Is(err, os.ErrClosed) {
				t.Errorf("plain %v: write after close: %v", plain, err)
			}
			if err := d.Close(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("plain %v: second close: %v", plain, err)
			}
		})
	}
}

// A deleted interface ends the reader with an error, it does not spin or hang.
func TestDeletedUnderneath(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		d := opened(t, Config{}, "10.88.0.1/24")
		l, _ := netlink.LinkByName(d.Name())
		if err := netlink.LinkDel(l); err != nil {
			t.Error(err)
		}
		var m Meta
		for {
			if _, err := d.Read([][]byte{make([]byte, 2000)}, &m); err != nil {
				if errors.Is(err, os.ErrClosed) {
					t.Errorf("read: %v, as if we had closed it", err)
				}
				return
			}
		}
	})
}

func TestOpenRefusals(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		opened(t, Config{Name: "snt0"}, "10.88.0.1/24")
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "snt1"}}); err != nil {
			t.Error(err)
		}
		for _, c := range []Config{{Name: "snt0"}, {Name: "snt0", NoOffload: true}, {Name: "snt1"}, {Name: "lo"}} {
			_, err := Open(c)
			if !errors.Is(err, ErrNameInUse) || !strings.Contains(fmt.Sprint(err), c.Name) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		for _, c := range []Config{{Name: "a-name-of-sixteen"}, {Name: "snt/2"}, {Name: "snt2", MTU: 1 << 20}} {
			if d, err := Open(c); err == nil {
				t.Errorf("%+v: opened %s", c, d.Name())
			}
		}
		if links, err := netlink.LinkList(); err != nil || len(links) != 3 {
			t.Errorf("%d interfaces are left, want lo, snt0 and snt1; %v", len(links), err)
		}
	})
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind error
		says string
	}{
		{unix.ENOENT, ErrNoDriver, "sudo modprobe tun"},
		{unix.ENODEV, ErrNoDriver, "sudo modprobe tun"},
		{unix.EACCES, ErrPermission, "sudo setcap cap_net_admin+ep"},
		{unix.EPERM, ErrPermission, "sudo setcap cap_net_admin+ep"},
		{unix.EBUSY, ErrNameInUse, `"snt0"`},
	} {
		err := explain("snt0", c.err)
		if !errors.Is(err, c.kind) || !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

// openVariable makes a run of this test program open a device and say how that
// went.
const openVariable = "SENNIT_TEST_OPEN"

func TestMain(m *testing.M) {
	if os.Getenv(openVariable) != "" {
		if _, err := Open(Config{}); err != nil {
			fmt.Println(errors.Is(err, ErrPermission), err)
		}
		return
	}
	os.Exit(m.Run())
}

// Without rights the error says what to do, once and in one line.
func TestOpenWithoutRights(t *testing.T) {
	needRoot(t)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sennit") // one that another user may enter, unlike t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := dir + "/tun.test"
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, self, 0o755)); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path)
	c.Dir = "/"
	c.Env = append(os.Environ(), openVariable+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Cloneflags: unix.CLONE_NEWNET}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(out); !strings.HasPrefix(s, "true ") || !strings.Contains(s, "setcap cap_net_admin+ep "+path) ||
		strings.Count(s, "\n") != 1 {
		t.Errorf("said: %s", s)
	}
}
