package stack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
)

var errNoServers = errors.New("stack: resolver without servers")

// Resolver returns a resolver whose queries travel over this stack to the
// given servers, in turn. It is Go's own (net.Resolver), so it reads the
// host's hosts file and search list but none of its name servers.
func (s *Stack) Resolver(servers ...netip.AddrPort) *net.Resolver {
	var turn atomic.Uint32
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(servers) == 0 {
			return nil, errNoServers
		}
		to := servers[int(turn.Add(1)-1)%len(servers)]
		return s.Dial(ctx, network, to.String())
	}}
}
