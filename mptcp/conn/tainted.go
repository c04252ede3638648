package conn

import (
	"net/netip"
	"slices"
)

// tainted are the paths, by their two addresses, on which a subflow swallowed
// data: a middlebox took options or bytes away, or the peer reset it. A new
// subflow over such a path looks as good as any, and by its short round trip
// often better. Without this memory data to be sent again could go from one
// such subflow to the next and never to one that delivers.
type tainted []route

// route is the two addresses of a path.
type route struct{ local, remote netip.Addr }

// maxTainted bounds what is remembered; the oldest is forgotten first.
const maxTainted = 16

func (s *subflow) route() route {
	return route{s.tcp.Local().Addr(), s.tcp.Remote().Addr()}
}

// add remembers the path of a subflow that ended.
func (t *tainted) add(r route) {
	if slices.Contains(*t, r) {
		return
	}
	if len(*t) == maxTainted {
		*t = slices.Delete(*t, 0, 1)
	}
	*t = append(*t, r)
}

// doubtful reports whether the subflow should carry data only when no other
// can: it stopped acknowledging, or its path swallowed data before.
func (s *subflow) doubtful() bool {
	return s.alive.stale || slices.Contains(s.c.paths.tainted, s.route())
}
