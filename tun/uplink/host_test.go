//go:build linux

package uplink

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

var both = []LinkConfig{{Name: "wifi0"}, {Name: "cell0"}}

func TestSetupLeavesNothing(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]Config{
		"per device":     {Links: both},
		"all forwarding": {Links: both, AllForwarding: true},
		"discovered":     {},
	} {
		t.Run(name, func(t *testing.T) {
			c.StateDir = t.TempDir()
			before := snapshot(t, l.Client)
			h := setup(t, l, c)
			if during := snapshot(t, l.Client); during == before {
				t.Error("Setup changed nothing")
			}
			closeIn(t, l, h)
			same(t, before, snapshot(t, l.Client))
			if left, _ := filepath.Glob(filepath.Join(c.StateDir, "*"+journalSuffix)); left != nil {
				t.Errorf("journals left: %v", left)
			}
		})
	}
}

func TestDiscover(t *testing.T) {
	l := newLab(t)
	var found []Interface
	err := l.Client.Do(func() (err error) { found, err = Discover(); return err })
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Name != "wifi0" || found[1].Name != "cell0" {
		t.Fatalf("found %+v, want wifi0 and cell0 in the order of their metrics", found)
	}
	if found[0].Class != WiFi || found[1].Class != Cellular || !found[0].State.IPv4 || !found[0].State.IPv6 {
		t.Errorf("found %+v", found)
	}
}

func TestPingThroughEachLink(t *testing.T) {
	for name, c := range map[string]Config{
		"offload":               {Links: both},
		"plain device":          {Links: both, NoOffload: true},
		"forwarding everywhere": {Links: both, AllForwarding: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			// The strictest host: answers on cell0 come from where wifi0 leads.
			if err := l.Client.Sysctl("net.ipv4.conf.all.rp_filter", "1"); err != nil {
				t.Fatal(err)
			}
			c.StateDir = t.TempDir()
			h := setup(t, l, c)
			for _, link := range h.Links() {
				for _, dst := range []netip.Addr{l.Eth0.Addr4, l.Eth1.Addr6} {
					before := received(t, l, link.Name)
					if !ping(t, link, dst) {
						r, _ := l.Client.Run(context.Background(), "sh", "-c", "nft list ruleset; ip -6 rule; ip -6 route show table all; ip a; ip -6 route get "+link.IPv6.Peer.String()+"; ip -6 route get "+link.IPv6.Peer.String()+" from fd77:11::2 iif wifi0")
						t.Fatalf("no answer from %v over %s\n%s%s", dst, link.Name, r.Stdout, r.Stderr)
					}
					if received(t, l, link.Name) == before {
						t.Errorf("the answer from %v did not come in at %s", dst, link.Name)
					}
				}
			}
		})
	}
}

func received(t *testing.T, l *lab.Lab, device string) string {
	t.Helper()
	r, err := l.Client.Run(context.Background(), "cat", "/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(r.Stdout, "\n") {
		if name, counters, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == device {
			return strings.Fields(counters)[1]
		}
	}
	t.Fatalf("no device %s", device)
	return ""
}

// TestIsNoRouter: somebody on a link's network who takes this host for a router
// gets nowhere, although forwarding is on.
func TestIsNoRouter(t *testing.T) {
	for name, all := range map[string]bool{"per device": false, "all": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			setup(t, l, Config{Links: both, StateDir: t.TempDir(), AllForwarding: all})
			// The lab's router sends a packet for the server's far network to
			// the client over wifi0, and waits for it to come out of cell0.
			for _, r := range [][]string{
				{"route", "replace", "203.0.113.0/24", "via", l.WiFi.Addr4.String()},
				{"-6", "route", "replace", "2001:db8::/32", "via", l.WiFi.Addr6.String()},
			} {
				if err := l.Router.IP(r...); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Client.NFT(`table inet probe {
				counter leaked {}
				chain out {
					type filter hook postrouting priority 300;
					ip daddr 203.0.113.0/24 counter name leaked
					ip6 daddr 2001:db8::/32 counter name leaked
				}
			}`); err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			l.Router.Run(ctx, "ping", "-c2", "-i0.2", "-W1", "203.0.113.7")
			l.Router.Run(ctx, "ping", "-c2", "-i0.2", "-W1", "2001:db8::7")
			r, err := l.Client.Run(ctx, "nft", "list", "ruleset")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(r.Stdout, "leaked {\n\t\tpackets 0 ") {
				t.Errorf("the host forwarded packets of others:\n%s", r.Stdout)
			}
			if strings.Count(r.Stdout, "packets 2 ") != 2 {
				t.Errorf("the packets of others were not seen by the filter, so this proves nothing:\n%s", r.Stdout)
			}
		})
	}
}

// TestForeignFirewall: hosts with Docker or ufw drop what is forwarded.
func TestForeignFirewall(t *testing.T) {
	l := newLab(t)
	if err := l.Client.NFT(`
		add table ip filter
		add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
		add table ip6 filter
		add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }
		add table inet firewalld
		add chain inet firewalld forward { type filter hook forward priority 10; }
		add rule inet firewalld forward reject with icmpx type admin-prohibited
`); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, l.Client)
	h := setup(t, l, Config{Links: both, StateDir: t.TempDir()})
	for _, link := range h.Links() {
		for _, dst := range []netip.Addr{l.Eth0.Addr4, l.Eth0.Addr6} {
			if !ping(t, link, dst) {
				t.Errorf("no answer from %v over %s", dst, link.Name)
			}
		}
	}
	closeIn(t, l, h)
	same(t, before, snapshot(t, l.Client))
	// The chain may be gone when its rules are to be taken away.
	h = setup(t, l, Config{Links: both, StateDir: t.TempDir()})
	if err := l.Client.NFT("delete table inet firewalld"); err != nil {
		t.Fatal(err)
	}
	closeIn(t, l, h)
}

func TestLinkChanges(t *testing.T) {
	l := newLab(t)
	h := setup(t, l, Config{Links: both, StateDir: t.TempDir()})
	changes := make(chan Change, 64)
	h.Watch(func(c Change) { changes <- c })
	expect := func(what string, ok func(Change) bool) {
		t.Helper()
		for {
			select {
			case c := <-changes:
				if ok(c) {
					return
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("not told: %s", what)
			}
		}
	}
	start := time.Now()
	if err := l.Down(l.WiFi); err != nil {
		t.Fatal(err)
	}
	expect("wifi0 down", func(c Change) bool { return c.Link == "wifi0" && !c.State.Up })
	t.Logf("link-down told %v after the command began", time.Since(start))
	if err := l.Up(l.WiFi); err != nil {
		t.Fatal(err)
	}
	full := State{Up: true, IPv4: true, IPv6: true}
	expect("wifi0 up", func(c Change) bool { return c.Link == "wifi0" && c.State == full })
	if !ping(t, h.Links()[0], l.Eth0.Addr4) {
		t.Error("no answer over wifi0 after it came back")
	}
	// An address that goes takes its family with it.
	if err := l.Client.IP("addr", "del", l.Cell.Addr4.String()+"/24", "dev", "cell0"); err != nil {
		t.Fatal(err)
	}
	expect("cell0 without IPv4", func(c Change) bool { return c.Link == "cell0" && c.State == State{Up: true, IPv6: true} })
	// The other side of the cable.
	if err := l.Router.IP("link", "set", "r-cell0", "down"); err != nil {
		t.Fatal(err)
	}
	expect("cell0 without carrier", func(c Change) bool { return c.Link == "cell0" && !c.State.Up })
}

// TestReplugged: a modem that is pulled and put back is another device of the
// same name.
func TestReplugged(t *testing.T) {
	l := newLab(t)
	plug := func() {
		t.Helper()
		for _, c := range []struct {
			host *lab.Host
			args []string
		}{
			{l.Client, []string{"link", "add", "usb0", "type", "veth", "peer", "name", "r-usb0", "netns", l.Router.NS}},
			{l.Router, []string{"addr", "add", "10.77.50.1/24", "dev", "r-usb0"}},
			{l.Router, []string{"link", "set", "r-usb0", "up"}},
			{l.Client, []string{"link", "set", "usb0", "up"}},
			{l.Client, []string{"addr", "add", "10.77.50.2/24", "dev", "usb0"}},
			{l.Client, []string{"route", "add", "default", "via", "10.77.50.1", "dev", "usb0", "metric", "50"}},
		} {
			if err := c.host.IP(c.args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := snapshot(t, l.Client)
	plug()
	h := setup(t, l, Config{Links: []LinkConfig{{Name: "usb0"}}, StateDir: t.TempDir()})
	if !ping(t, h.Links()[0], l.Eth0.Addr4) {
		t.Fatal("no answer over usb0")
	}
	up := make(chan bool, 64)
	h.Watch(func(c Change) { up <- c.State.IPv4 })
	expect := func(want bool) {
		t.Helper()
		for {
			select {
			case got := <-up:
				if got == want {
					return
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("not told that usb0 is up %v", want)
			}
		}
	}
	if err := l.Client.IP("link", "del", "usb0"); err != nil {
		t.Fatal(err)
	}
	expect(false)
	plug()
	expect(true)
	if !ping(t, h.Links()[0], l.Eth0.Addr4) {
		t.Error("no answer over usb0 after it was plugged in again")
	}
	closeIn(t, l, h)
	if err := l.Client.IP("link", "del", "usb0"); err != nil {
		t.Fatal(err)
	}
	same(t, before, snapshot(t, l.Client))
}

// TestMeddling: somebody else removes our rules and routes.
func TestMeddling(t *testing.T) {
	l := newLab(t)
	h := setup(t, l, Config{Links: both, StateDir: t.TempDir()})
	if r, err := l.Client.Run(context.Background(), "sh", "-c",
		"for f in -4 -6; do while ip $f rule del pref 700; do :; done; ip $f route flush table 21300; done 2>/dev/null"); err != nil {
		t.Fatal(err, r)
	}
	for _, dst := range []netip.Addr{l.Eth0.Addr4, l.Eth0.Addr6} {
		if !ping(t, h.Links()[0], dst) {
			t.Errorf("no answer from %v: what was taken away was not put back", dst)
		}
	}
}

// TestVPN: the default route of an interface that was named may be in another
// table than the main one.
func TestVPN(t *testing.T) {
	l := newLab(t)
	for _, args := range [][]string{
		{"route", "del", "default", "dev", "cell0"},
		{"route", "add", "default", "via", "10.77.2.1", "dev", "cell0", "table", "51820"},
	} {
		if err := l.Client.IP(args...); err != nil {
			t.Fatal(err)
		}
	}
	h := setup(t, l, Config{Links: []LinkConfig{{Name: "cell0"}}, StateDir: t.TempDir()})
	if !ping(t, h.Links()[0], l.Eth0.Addr4) {
		t.Error("no answer over the table of a VPN")
	}
}

func TestSecondInstance(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	before := snapshot(t, l.Client)
	a := setup(t, l, Config{Links: both, StateDir: dir})
	b := setup(t, l, Config{Links: both, StateDir: dir})
	if a.Links()[0].TUN() == b.Links()[0].TUN() {
		t.Fatal("two devices of one name")
	}
	for _, link := range slices.Concat(a.Links(), b.Links()) {
		if !ping(t, link, l.Eth0.Addr4) || !ping(t, link, l.Eth0.Addr6) {
			t.Errorf("no answer over %s", link.TUN())
		}
	}
	// The first one ends: forwarding must stay on for the second.
	closeIn(t, l, a)
	if link := b.Links()[1]; !ping(t, link, l.Eth0.Addr4) || !ping(t, link, l.Eth0.Addr6) {
		t.Error("the end of one instance cut the other off")
	}
	closeIn(t, l, b)
	same(t, before, snapshot(t, l.Client))
}

// TestCleanupAfterKill: a process that dies in the middle of its work leaves
// nothing that the next start does not take away.
func TestCleanupAfterKill(t *testing.T) {
	if dir := os.Getenv("SENNIT_TEST_KILLED"); dir != "" {
		if _, err := Setup(Config{Links: both, StateDir: dir, AllForwarding: os.Getenv("SENNIT_TEST_ALL") != ""}); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		select {}
	}
	l := newLab(t)
	for _, all := range []string{"", "1"} {
		dir := t.TempDir()
		before := snapshot(t, l.Client)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		cmd := l.Client.Command(ctx, os.Args[0], "-test.run=^TestCleanupAfterKill$")
		cmd.Env = append(os.Environ(), "SENNIT_TEST_KILLED="+dir, "SENNIT_TEST_ALL="+all)
		waitReady(t, cmd)
		live := setup(t, l, Config{Links: both[:1], StateDir: dir})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		var left []Left
		err := l.Client.Do(func() (err error) { left, err = Cleanup(dir); return err })
		if err != nil || len(left) != 1 || len(left[0].Undone) == 0 {
			t.Fatalf("Cleanup: %+v, %v", left, err)
		}
		for _, dst := range []netip.Addr{l.Eth0.Addr4, l.Eth0.Addr6} {
			if !ping(t, live.Links()[0], dst) {
				t.Errorf("all %q: Cleanup took a live instance's things away, no answer from %v, undone %q\n%s", all, dst, left[0].Undone, snapshot(t, l.Client))
			}
		}
		closeIn(t, l, live)
		same(t, before, snapshot(t, l.Client))
	}
}

func waitReady(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 256)
	n, _ := out.Read(b)
	if !strings.HasPrefix(string(b[:n]), "ready") {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("helper process: %q", b[:n])
	}
}
