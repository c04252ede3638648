package uplink

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestDeviceName(t *testing.T) {
	for _, c := range []struct {
		link string
		n    int
		want string
	}{
		{"wifi0", 1, "sennit-wifi0"},
		{"wifi0", 2, "sennit-wifi0.2"},
		{"wlp0s20f", 1, "sennit-wlp0s20f"},
		{"wlp0s20f3", 1, "sennit-wlp0" + hashOf("wlp0s20f3")},
		{"wlp0s20f3", 2, "sennit-wl" + hashOf("wlp0s20f3") + ".2"},
	} {
		if got := deviceName(c.link, c.n); got != c.want {
			t.Errorf("deviceName(%q, %d) = %q, want %q", c.link, c.n, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		link := rapid.StringMatching(`[a-z0-9._-]{1,15}`).Draw(t, "link")
		n := rapid.IntRange(1, 99).Draw(t, "n")
		if got := deviceName(link, n); len(got) > maxName || got != deviceName(link, n) || got == deviceName(link, n+1) {
			t.Errorf("deviceName(%q, %d) = %q", link, n, got)
		}
	})
}

func hashOf(link string) string { return deviceName(link, 1)[maxName-4:] }

func TestPick4AvoidsWhatIsUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var used []netip.Prefix
		for range rapid.IntRange(0, 30).Draw(t, "networks") {
			base := rapid.SampledFrom([]string{"10.0.0.0", "10.213.0.0", "172.29.213.0", "192.168.213.0"}).Draw(t, "base")
			b := netip.MustParseAddr(base).As4()
			b[2] ^= rapid.Byte().Draw(t, "third")
			b[3] = rapid.Byte().Draw(t, "fourth")
			used = append(used, netip.PrefixFrom(netip.AddrFrom4(b), rapid.IntRange(9, 32).Draw(t, "bits")).Masked())
		}
		p, err := pick4(used)
		if err != nil {
			t.Skip("full")
		}
		if blocker, ok := overlap(p.Prefix(), used); ok {
			t.Errorf("picked %v in spite of %v", p, blocker)
		}
		if !p.Prefix().Contains(p.Host) || !p.Prefix().Contains(p.Peer) || p.Host == p.Peer || !p.Peer.IsPrivate() {
			t.Errorf("picked %+v", p)
		}
	})
}

func TestPick4GivesUp(t *testing.T) {
	if p, err := pick4([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16")}); err == nil {
		t.Errorf("picked %v although everything is taken", p)
	}
}

func TestPick6(t *testing.T) {
	a, b := pick6(), pick6()
	// RFC 4193 §3.1: FC00::/7 with the L bit set.
	if a == b || a.Host.As16()[0] != 0xfd || !a.Prefix().Contains(a.Peer) || a.Bits != 64 {
		t.Errorf("picked %v and %v", a, b)
	}
}
