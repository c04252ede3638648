// Package mptcp is Multipath TCP v1 in the shape of package net: a [Dialer], a
// [ListenConfig], and net.Conn over a stack.Stack with several links.
//
// It owns the table of tokens, keys and nonces, the race of a dialer over links
// and addresses, and the way from a link that came or went to the connections
// that run over it. The protocol is in mptcp/conn, decisions are in
// mptcp/sched, mptcp/pathman and mptcp/mode, and locks, timers and packets in
// package stack.
//
// A connection to a peer without Multipath TCP, or over a path that does not
// let it through, is plain TCP; the application sees no difference except by
// [Conn.MultipathTCP].
//
//	d := mptcp.Dialer{Stack: s}
//	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
//
// Read RFC 8684 §3 first, then RFC 6897 (the application's view) and RFC 8305.
package mptcp
