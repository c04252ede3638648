//go:build linux

package drill

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Flags is what the tool hands over at the start.
type Flags struct {
	Addrs []netip.Addr // ours, one per family at most to start from
	MTU   int
}

// Addresses where nothing is said: those a script runner uses by default.
var (
	defaultAddr4 = netip.AddrFrom4([4]byte{192, 168, 0, 1})
	defaultAddr6 = netip.MustParseAddr("fd3d:a0b:17d6::1")
)

const defaultMTU = 1500

// ParseFlags reads "local=ADDR,local=ADDR,mtu=N"; every part may be left out.
func ParseFlags(s string) (Flags, error) {
	f := Flags{MTU: defaultMTU}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, value, _ := strings.Cut(part, "=")
		var err error
		switch name {
		case "local":
			var a netip.Addr
			value, _, _ = strings.Cut(value, "/")
			if a, err = netip.ParseAddr(value); err == nil {
				f.Addrs = append(f.Addrs, a.Unmap())
			}
		case "mtu":
			if f.MTU, err = strconv.Atoi(value); err == nil && (f.MTU < 68 || f.MTU > 65535) {
				err = fmt.Errorf("an MTU is 68 to 65535")
			}
		default:
			err = fmt.Errorf("there are local=ADDRESS and mtu=BYTES")
		}
		if err != nil {
			return f, fmt.Errorf("flag %q: %w", part, err)
		}
	}
	f.Addrs = append(f.Addrs, defaultAddr4, defaultAddr6)
	return f, nil
}

// source returns our first address of the family of a.
func (f *Flags) source(a netip.Addr) netip.Addr {
	for _, l := range f.Addrs {
		if l.Is4() == a.Is4() {
			return l
		}
	}
	if a.Is4() {
		return defaultAddr4
	}
	return defaultAddr6
}
