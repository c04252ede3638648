// Package tcpinterop is the place of the tests in which our TCP meets the Linux
// kernel's as its peer, in both roles, over IPv4 and IPv6.
//
//	our stack ── TUN ── client ── router ── server: kernel's TCP
//
// The three are the namespaces of package lab; the client only forwards. The
// tests vary what the kernel may negotiate (timestamps, SACK, window scale),
// the MTU, and what the router does to large packets. Content is checked by
// SHA-256 at both ends.
//
//	SENNIT_INTEROP_BYTES=1e9   how much each transfer moves each way
//	SENNIT_INTEROP_LONG=1      windows stay closed for 30 s; goodput is held
//	                           against the kernel's own over five paths
//
// The package owns no code but tests. It needs root, and says why it skips.
package tcpinterop
