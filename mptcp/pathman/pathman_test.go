package pathman

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
)

var (
	wifi  = policy.Address{Link: 1, Class: policy.WiFi, Addr: netip.MustParseAddr("192.0.2.1")}
	wifi6 = policy.Address{Link: 1, Class: policy.WiFi, Addr: netip.MustParseAddr("2001:db8:1::1")}
	cell  = policy.Address{Link: 2, Class: policy.Cellular, Addr: netip.MustParseAddr("198.51.100.1")}
	cell6 = policy.Address{Link: 2, Class: policy.Cellular, Addr: netip.MustParseAddr("2001:db8:2::1")}

	server  = netip.MustParseAddrPort("203.0.113.5:443")
	server6 = netip.MustParseAddrPort("[2001:db8:5::5]:443")
	other   = netip.MustParseAddrPort("203.0.113.6:8443")
)

// world is a connection as the path manager sees it; it does what it is told.
type world struct {
	t *testing.T
	p *PerLink
	policy.View
	next policy.Subflow
}

// start is an initiator whose first subflow goes from a to remote.
func start(t *testing.T, a policy.Address, remote netip.AddrPort, local ...policy.Address) *world {
	w := &world{t: t, p: NewPerLink(), View: policy.View{Now: mono.Time(time.Hour), Initiator: true, Remote: remote, Local: local}}
	w.path(a, remote, true)
	return w
}

func (w *world) path(a policy.Address, remote netip.AddrPort, up bool) policy.Subflow {
	id := w.next
	w.next++
	w.Subflows = append(w.Subflows, policy.Path{ID: id, Link: a.Link, Local: netip.AddrPortFrom(a.Addr, 1), Remote: remote, Established: up})
	return id
}

func (w *world) drop(id policy.Subflow) {
	w.Subflows = slices.DeleteFunc(w.Subflows, func(p policy.Path) bool { return p.ID == id })
}

// expect sends an event and wants exactly these commands, said as
// "open LOCAL REMOTE" or "announce LOCAL". What is opened is on its way then.
func (w *world) expect(e policy.Event, want ...string) {
	w.t.Helper()
	var got []string
	for _, c := range w.p.Handle(e, w.View, nil) {
		switch c.Kind {
		case policy.Open:
			got = append(got, fmt.Sprintf("open %v %v", c.Address.Addr, c.Remote))
			w.path(c.Address, c.Remote, false)
		case policy.Announce:
			got = append(got, fmt.Sprintf("announce %v", c.Address.Addr))
		default:
			got = append(got, fmt.Sprintf("%+v", c))
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("event %d: %q, want %q", e.Kind, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func (w *world) tick(d time.Duration, want ...string) {
	w.t.Helper()
	w.Now = w.Now.Add(d)
	w.expect(policy.Event{Kind: policy.Tick}, want...)
}

// fail lets the newest subflow fail, after it was up or not.
func (w *world) fail(a policy.Address, remote netip.AddrPort, final bool, want ...string) {
	w.t.Helper()
	w.drop(w.next - 1)
	w.expect(policy.Event{Kind: policy.SubflowDown, Subflow: w.next - 1, Address: a, Remote: remote, Final: final}, want...)
}

func open(a policy.Address, remote netip.AddrPort) string {
	return fmt.Sprintf("open %v %v", a.Addr, remote)
}

// RFC 8684 §3.9.1: joins go to the address and port of the first subflow.
func TestOnePerLink(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
	w.expect(policy.Event{Kind: policy.LocalAdded, Address: wifi6})
	w.Subflows[1].Established = true
	w.expect(policy.Event{Kind: policy.SubflowUp, Subflow: 1, Address: cell, Remote: server})
	if w.p.Deadline() != 0 {
		t.Error("a deadline for nothing")
	}
}

// RFC 8684 §3.1: no join before a DSS has come on the first subflow.
func TestNothingBeforeConfirmed(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.SubflowUp, Address: wifi, Remote: server})
	w.expect(policy.Event{Kind: policy.LocalAdded, Address: cell})
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
}

// Both ends are of one family; a link without the right one waits for an
// announcement.
func TestFamilies(t *testing.T) {
	w := start(t, wifi, server, wifi, cell6)
	w.expect(policy.Event{Kind: policy.Confirmed})
	w.Announced = []policy.Remote{{ID: 1, Addr: other}, {ID: 2, Addr: server6}}
	w.expect(policy.Event{Kind: policy.RemoteAdded, Remote: server6, RemoteID: 2}, open(cell6, server6))

	w = start(t, wifi6, server6, wifi, wifi6, cell, cell6)
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell6, server6))

	w = start(t, wifi, server, wifi, policy.Address{Link: 2, Addr: netip.MustParseAddr("169.254.1.1")})
	w.expect(policy.Event{Kind: policy.Confirmed}) // link-local does not reach it

	w = start(t, wifi, server, wifi, policy.Address{Link: 2, Addr: netip.MustParseAddr("::ffff:198.51.100.1")})
	w.expect(policy.Event{Kind: policy.Confirmed}, "open ::ffff:198.51.100.1 "+server.String())
}

// RFC 8684 §3.1: the C flag forbids joins to the first address and port, not to
// others.
func TestDenyFirst(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.DenyFirst = true
	w.expect(policy.Event{Kind: policy.Confirmed})
	w.Announced = []policy.Remote{{ID: 1, Addr: server}}
	w.expect(policy.Event{Kind: policy.RemoteAdded, Remote: server})
	w.Announced = append(w.Announced, policy.Remote{ID: 2, Addr: other})
	w.expect(policy.Event{Kind: policy.RemoteAdded, Remote: other}, open(cell, other))
}

// RFC 8684 §3.4.1: an announcement does not make us talk to whatever it says.
func TestAnnouncedNonsense(t *testing.T) {
	for _, a := range []string{"127.0.0.1:80", "0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80", "203.0.113.6:0"} {
		w := start(t, wifi6, server6, wifi6, cell)
		w.Announced = []policy.Remote{{ID: 1, Addr: netip.MustParseAddrPort(a)}}
		w.expect(policy.Event{Kind: policy.Confirmed})
		w.expect(policy.Event{Kind: policy.RemoteAdded, Remote: w.Announced[0].Addr})
	}
}

// A path that fails is opened again after 1 s, doubling to 60 s.
func TestBackOff(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
	want := []int{1, 2, 4, 8, 16, 32, 60, 60}
	for i, s := range want {
		w.fail(cell, server, false)
		d := time.Duration(s) * time.Second
		if got := w.p.Deadline().Sub(w.Now); got != d {
			t.Fatalf("failure %d: retry after %v, want %v", i+1, got, d)
		}
		w.tick(d - 1)
		w.expect(policy.Event{Kind: policy.LocalAdded, Address: wifi6}) // other links change nothing
		w.tick(1, open(cell, server))
		if w.p.Deadline() != 0 {
			t.Fatal("the deadline stays in the past")
		}
	}
	// OpenFailed counts like a failure.
	w.drop(w.next - 1)
	w.expect(policy.Event{Kind: policy.OpenFailed, Address: cell, Remote: server})
	w.tick(time.Minute, open(cell, server))
	// Up for a moment: it flaps, and goes on waiting long. Up for long: anew.
	up := policy.Event{Kind: policy.SubflowUp, Address: cell, Remote: server}
	w.expect(up)
	w.Now = w.Now.Add(time.Second)
	w.fail(cell, server, false)
	w.tick(59 * time.Second)
	w.tick(time.Second, open(cell, server))
	w.expect(up)
	w.Now = w.Now.Add(settled)
	w.fail(cell, server, false)
	w.tick(time.Second, open(cell, server))
}

// A link that comes back is used at once, whatever was before.
func TestLinkComesBack(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
	w.fail(cell, server, false)
	w.fail(cell, server, false)
	w.Local = []policy.Address{wifi}
	w.expect(policy.Event{Kind: policy.LocalRemoved, Address: cell})
	w.expect(policy.Event{Kind: policy.SubflowDown, Address: cell, Remote: server})
	if w.p.Deadline() != 0 || len(w.p.tries) != 0 {
		t.Error("a link that is gone has a deadline")
	}
	w.Local = []policy.Address{wifi, cell}
	w.expect(policy.Event{Kind: policy.LocalAdded, Address: cell}, open(cell, server))
	// Even one that was refused for good.
	w.fail(cell, server, true)
	w.tick(time.Second, open(cell, server))
	w.fail(cell, server, true)
	w.tick(time.Hour)
	w.expect(policy.Event{Kind: policy.LocalAdded, Address: cell}, open(cell, server))
}

// The first subflow's link is joined again when the first is lost.
func TestFirstLinkIsOpenedAgain(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
	w.drop(0)
	w.expect(policy.Event{Kind: policy.SubflowDown, Subflow: 0, Address: wifi, Remote: server})
	w.tick(time.Second, open(wifi, server))
}

// RFC 8684 §3.6: without the T flag a path is not tried again, once that was
// said twice.
func TestFinal(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
	w.fail(cell, server, true)
	w.tick(time.Second, open(cell, server))
	w.fail(cell, server, true)
	w.tick(time.Hour)
	if w.p.Deadline() != 0 {
		t.Error("a deadline for a path that is barred")
	}
}

// RFC 8684 §3.4.1: an announced address that cannot be reached is left alone
// until it is announced again. Meanwhile the next one has its turn.
func TestAnnouncedFails(t *testing.T) {
	w := start(t, wifi6, server6, wifi6, cell)
	w.expect(policy.Event{Kind: policy.Confirmed})
	w.Announced = []policy.Remote{{ID: 1, Addr: other}, {ID: 2, Addr: server}}
	w.expect(policy.Event{Kind: policy.RemoteAdded, Remote: other}, open(cell, other))
	w.fail(cell, other, false, open(cell, server))
	w.fail(cell, server, false)
	w.tick(time.Hour)
	w.expect(policy.Event{Kind: policy.RemoteAdded, Remote: other, RemoteID: 1}, open(cell, other))
}

// The other remote address is taken while the first one's back-off runs.
func TestSecondChoice(t *testing.T) {
	w := start(t, wifi, server, wifi, cell)
	w.Announced = []policy.Remote{{ID: 1, Addr: other}}
	w.expect(policy.Event{Kind: policy.Confirmed}, open(cell, server))
	w.fail(cell, server, false, open(cell, other))
	w.tick(time.Second)
	if w.p.Deadline() != 0 {
		t.Error("the deadline stays in the past")
	}
}

// A listener opens nothing; it announces what its SYNs cannot show.
func TestListenerAnnounces(t *testing.T) {
	w := start(t, wifi, server, wifi, wifi6, cell)
	w.Initiator = false
	w.expect(policy.Event{Kind: policy.SubflowUp, Address: wifi, Remote: server})
	w.expect(policy.Event{Kind: policy.Confirmed}, "announce 198.51.100.1")
	w.expect(policy.Event{Kind: policy.Tick})
	w.Local = w.Local[:2]
	w.expect(policy.Event{Kind: policy.LocalRemoved, Address: cell})
	w.Local = append(w.Local, cell)
	w.expect(policy.Event{Kind: policy.LocalAdded, Address: cell}, "announce 198.51.100.1")
	w.Subflows = nil
	w.expect(policy.Event{Kind: policy.LocalAdded, Address: cell})
}

// A listener has nothing to try again, however many subflows come and go, and
// one that is not ready leaves no deadline behind that is due.
func TestNoDeadlineForNothing(t *testing.T) {
	w := start(t, wifi, server, wifi)
	w.Initiator = false
	for port := range uint16(100) {
		remote := netip.AddrPortFrom(server.Addr(), 1000+port)
		w.expect(policy.Event{Kind: policy.SubflowUp, Address: wifi, Remote: remote})
		w.expect(policy.Event{Kind: policy.SubflowDown, Address: wifi, Remote: remote})
	}
	if w.p.Deadline() != 0 || len(w.p.tries) != 0 {
		t.Errorf("a listener remembers %d paths, deadline %d", len(w.p.tries), w.p.Deadline())
	}
	w = start(t, wifi, server, wifi, cell)
	w.expect(policy.Event{Kind: policy.SubflowDown, Address: cell, Remote: server})
	w.tick(time.Second)
	if w.p.Deadline() != 0 {
		t.Error("the deadline stays in the past")
	}
}

// The same address on another link needs no announcement.
func TestListenerKnownAddress(t *testing.T) {
	w := start(t, wifi, server, wifi, policy.Address{Link: 2, Addr: wifi.Addr})
	w.Initiator = false
	w.expect(policy.Event{Kind: policy.Confirmed})
}

// In whatever order things happen: never two subflows on a link, nothing from
// an address that is not there, no mixed families, no deadline left behind.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := []policy.Address{wifi, wifi6, cell, cell6}
		w := start(t, wifi, server, wifi)
		if rapid.Bool().Draw(rt, "confirmed") {
			w.p.Handle(policy.Event{Kind: policy.Confirmed}, w.View, nil)
		}
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			a := rapid.SampledFrom(all).Draw(rt, "address")
			w.Now = w.Now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * time.Millisecond)
			e := policy.Event{Kind: policy.Tick}
			switch rapid.IntRange(0, 5).Draw(rt, "event") {
			case 0:
				if !slices.Contains(w.Local, a) {
					w.Local = append(w.Local, a)
				}
				e = policy.Event{Kind: policy.LocalAdded, Address: a}
			case 1:
				w.Local = slices.DeleteFunc(slices.Clone(w.Local), func(x policy.Address) bool { return x == a })
				e = policy.Event{Kind: policy.LocalRemoved, Address: a}
			case 2, 3:
				if len(w.Subflows) > 0 {
					s := rapid.SampledFrom(w.Subflows).Draw(rt, "subflow")
					w.drop(s.ID)
					e = policy.Event{Kind: policy.SubflowDown, Subflow: s.ID, Remote: s.Remote, Final: rapid.Bool().Draw(rt, "final"),
						Address: policy.Address{Link: s.Link, Addr: s.Local.Addr()}}
				}
			case 4:
				r := rapid.SampledFrom([]netip.AddrPort{other, server6}).Draw(rt, "remote")
				w.Announced = []policy.Remote{{ID: 1, Addr: r}}
				e = policy.Event{Kind: policy.RemoteAdded, Remote: r, RemoteID: 1}
			}
			for _, c := range w.p.Handle(e, w.View, nil) {
				if c.Kind != policy.Open || busy(&w.View, c.Address.Link) || !slices.Contains(w.Local, c.Address) ||
					c.Address.Addr.Is4() != c.Remote.Addr().Is4() {
					rt.Fatalf("%+v with %+v", c, w.View)
				}
				w.path(c.Address, c.Remote, rapid.Bool().Draw(rt, "up"))
			}
			if d := w.p.Deadline(); d.Reached(w.Now) {
				rt.Fatalf("the deadline %d is past at %d", d, w.Now)
			}
		}
	})
}
