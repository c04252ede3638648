// Package lab builds a small network in Linux network namespaces and puts
// programs on it: the place where Sennit meets the kernel's TCP and MPTCP.
//
//	client ── wifi0 ──┐           ┌── eth0 ──
//	                  ├─ router ──┤           server
//	client ── cell0 ──┘           └── eth1 ──
//
// Every segment has an IPv4 /24 and an IPv6 /64 (unless a family is switched
// off), the router forwards between them and is the only place where things go
// wrong: rates (tbf), silent drops and stripped options (nftables). The server
// is the kernel, reached over HTTP, DNS and UDP servers that run inside the
// calling process on sockets made in the server's namespace.
//
// The package owns the namespaces it makes: their names carry the process id,
// Close removes them, and what a dead process left is removed by the next New.
// It needs root, ip and nft; Need says what is missing. It holds no rule of any
// protocol and knows nothing of Sennit itself.
package lab
