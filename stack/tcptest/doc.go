// Package tcptest tests a TCP connection by scripts: a peer that says exactly
// what it is told and checks every segment it gets, on a virtual clock.
//
// It owns the notation for segments, the scripted peer, and a way into each
// state. It checks no rule by itself. A segment the script did not ask for
// fails the test.
//
// Sequence numbers in scripts are relative: 0 is the SYN, 1 the first byte.
package tcptest
