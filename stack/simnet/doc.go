// Package simnet is a deterministic network: hosts, links, routers and
// middleboxes as a graph, under a virtual clock.
//
// It owns time, one heap of events ordered by (time, arrival), one generator
// of random numbers, and packets made of real bytes. What runs on it is any
// machine that takes segments and time and gives segments and a deadline, so
// hours of protocol pass in milliseconds, and a run is repeated exactly from
// its seed: set the environment variable SENNIT_SEED.
//
// It does not know Multipath TCP. Of TCP it knows the RST of the CLOSED state
// and the notification of path errors (RFC 9293 §3.10.7.1, RFC 5927).
package simnet
