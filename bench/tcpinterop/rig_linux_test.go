package tcpinterop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/bench/lab"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
)

// Our stack's addresses behind the TUN.
var (
	our4 = netip.MustParseAddr("10.78.0.2")
	our6 = netip.MustParseAddr("fd78::2")
)

// rig is a lab with our stack behind a TUN of the client.
type rig struct {
	*lab.Lab
	t     *testing.T
	stack *stack.Stack
	v6    bool
}

// options of a rig.
type options struct {
	mtu   int  // 0: 1500
	plain bool // no offload on the way: every packet is one of the link
}

func newRig(t *testing.T, o options) *rig {
	t.Helper()
	l := lab.ForTest(t, lab.Options{MTU: o.mtu, NoIPv6: o.mtu > 0 && o.mtu < 1280})
	r := &rig{Lab: l, t: t, v6: o.mtu == 0 || o.mtu >= 1280}
	var dev tun.Device
	r.must(l.Client.Do(func() (err error) {
		dev, err = tun.Open(tun.Config{Name: "tun0", MTU: o.mtu, NoOffload: o.plain})
		return err
	}))
	r.must(l.Client.IP("addr", "add", "10.78.0.1/24", "dev", "tun0"),
		l.Client.IP("link", "set", "tun0", "up"),
		l.Client.Sysctl("net.ipv4.ip_forward", "1"),
		l.Router.IP("route", "add", "10.78.0.0/24", "via", l.WiFi.Addr4.String()))
	addrs := []netip.Prefix{netip.PrefixFrom(our4, 24)}
	if r.v6 {
		r.must(l.Client.IP("addr", "add", "fd78::1/64", "dev", "tun0", "nodad"),
			l.Client.Sysctl("net.ipv6.conf.all.forwarding", "1"),
			l.Router.IP("-6", "route", "add", "fd78::/64", "via", l.WiFi.Addr6.String()))
		addrs = append(addrs, netip.PrefixFrom(our6, 64))
	}
	ep, err := link.New(dev, link.Options{})
	r.must(err)
	r.stack, err = stack.New(stack.Options{})
	r.must(err)
	t.Cleanup(func() { r.stack.Close() })
	_, err = r.stack.AttachLink(stack.Link{Name: "tun0", Endpoint: ep, Addrs: addrs})
	r.must(err)
	return r
}

func (r *rig) must(errs ...error) {
	r.t.Helper()
	if err := errors.Join(errs...); err != nil {
		r.t.Fatal(err)
	}
}

// duplex is what both TCPs give.
type duplex interface {
	net.Conn
	CloseWrite() error
	SetLinger(int) error
	SetNoDelay(bool) error
}

// pair is a connection between us and the kernel.
type pair struct {
	ours   *stack.Conn
	kernel *net.TCPConn
	name   string
	dialed bool // by us
}

// client and server tell the two ends by role.
func (p *pair) client() duplex {
	if p.dialed {
		return p.ours
	}
	return p.kernel
}

func (p *pair) server() duplex {
	if p.dialed {
		return p.kernel
	}
	return p.ours
}

// kind is a way to make a connection.
type kind struct {
	v6, dial bool // dial: by us
}

func (k kind) String() string {
	family, role := "IPv4", "accepted from the kernel"
	if k.v6 {
		family = "IPv6"
	}
	if k.dial {
		role = "dialed to the kernel"
	}
	return family + " " + role
}

// kinds are all ways of the rig.
func (r *rig) kinds() (ks []kind) {
	for _, dial := range []bool{true, false} {
		ks = append(ks, kind{false, dial})
		if r.v6 {
			ks = append(ks, kind{true, dial})
		}
	}
	return ks
}

func (r *rig) addresses(v6 bool) (ours, kernel netip.Addr) {
	if v6 {
		return our6, r.Eth0.Addr6
	}
	return our4, r.Eth0.Addr4
}

// connect makes a connection of a kind. Both ends are bounded in time.
func (r *rig) connect(t *testing.T, k kind, limit time.Duration) *pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p := &pair{name: k.String(), dialed: k.dial}
	ours, kernel := r.addresses(k.v6)
	var l net.Listener
	var err error
	if k.dial {
		l, err = r.Server.Listen("tcp", netip.AddrPortFrom(kernel, 0), false)
	} else {
		l, err = r.stack.ListenTCP(netip.AddrPortFrom(ours, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type accepted struct {
		c   net.Conn
		err error
	}
	got := make(chan accepted, 1)
	go func() {
		c, err := l.Accept()
		got <- accepted{c, err}
	}()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	var c net.Conn
	if k.dial {
		c, err = r.stack.DialTCP(ctx, netip.AddrPort{}, to)
	} else {
		c, err = r.dialKernel(ctx, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.err != nil {
		t.Fatal(a.err)
	}
	if k.dial {
		p.ours, p.kernel = c.(*stack.Conn), a.c.(*net.TCPConn)
	} else {
		p.ours, p.kernel = a.c.(*stack.Conn), c.(*net.TCPConn)
	}
	for _, c := range []net.Conn{p.ours, p.kernel} {
		if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { p.ours.Close(); p.kernel.Close() })
	return p
}

// dialKernel connects with the TCP of the server's kernel.
func (r *rig) dialKernel(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	d := net.Dialer{}
	d.SetMultipathTCP(false)
	err = r.Server.Do(func() error {
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	return c, err
}

// tcpInfo is the kernel's view of the connection.
func (p *pair) tcpInfo(t *testing.T) *unix.TCPInfo {
	t.Helper()
	raw, err := p.kernel.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info
}

// amount is how much a transfer moves each way.
func amount(t *testing.T, otherwise int64) int64 {
	t.Helper()
	s := os.Getenv("SENNIT_INTEROP_BYTES")
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("SENNIT_INTEROP_BYTES: %v", err)
	}
	return int64(n)
}

// patience is how long moving n bytes may take, on a busy machine.
func patience(n int64) time.Duration { return 30*time.Second + time.Duration(n/1e6)*time.Second }

const piece = 256 << 10

// send writes n bytes of content and ends the direction.
func send(c duplex, n int64) error {
	m, err := io.CopyBuffer(struct{ io.Writer }{c}, lab.Content(n), make([]byte, piece))
	if err != nil {
		return fmt.Errorf("write after %d bytes: %w", m, err)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("close for writing: %w", err)
	}
	return nil
}

// receive reads to the end and holds it against the content of n bytes.
func receive(c duplex, n int64) error {
	h := sha256.New()
	m, err := io.CopyBuffer(h, struct{ io.Reader }{c}, make([]byte, piece))
	if err != nil {
		return fmt.Errorf("read after %d of %d bytes: %w", m, n, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); m != n || got != lab.Sum(n) {
		return fmt.Errorf("%d bytes with SHA-256 %s, want %d with %s", m, got, n, lab.Sum(n))
	}
	return nil
}

// exchange moves n bytes from client to server, then, over the half that is
// still open, n bytes back.
func (p *pair) exchange(t *testing.T, n int64) (there, back time.Duration) {
	t.Helper()
	served := make(chan error, 1)
	start := time.Now()
	go func() {
		err := receive(p.server(), n)
		there = time.Since(start)
		if err == nil {
			err = send(p.server(), n)
		}
		served <- err
	}()
	if err := send(p.client(), n); err != nil {
		t.Fatalf("client: %v%s", err, p.describe())
	}
	if err := receive(p.client(), n); err != nil {
		t.Fatalf("client: %v%s", err, p.describe())
	}
	if err := <-served; err != nil {
		t.Fatalf("server: %v%s", err, p.describe())
	}
	return there, time.Since(start) - there
}

func (p *pair) describe() string { return fmt.Sprintf("\nours: %+v", p.ours.Info()) }

// rates says what an exchange reached, in the order of our directions.
func (p *pair) rates(n int64, there, back time.Duration) string {
	sent, received := there, back
	if !p.dialed {
		sent, received = back, there
	}
	rate := func(d time.Duration) float64 { return float64(n) * 8 / d.Seconds() / 1e6 }
	return fmt.Sprintf("%d bytes each way: sent %.0f Mbit/s, received %.0f Mbit/s", n, rate(sent), rate(received))
}
