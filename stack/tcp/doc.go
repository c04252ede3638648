// Package tcp is one TCP connection as a machine: it is handed segments,
// application calls and the time, and hands out segments and one deadline.
//
// It owns the connection states, sequence numbers, options TCP itself knows,
// loss recovery, timers, windows, and the plain byte Stream. It does not own
// the bytes of a header (stack/wire), congestion control (stack/cc), RTT
// estimation (stack/rtt) or reassembly (stack/reasm), and it knows nothing of
// Multipath TCP: who uses a connection's stream fills the interface Upper.
//
// A Conn never blocks, reads no clock, draws no randomness and takes no lock;
// its owner calls it from one goroutine at a time. After every call the owner
// takes segments from Emit until it reports false, then reads Deadline.
//
// Read RFC 9293 first, then RFC 7323, RFC 2018, RFC 6298, RFC 5681, RFC 6675
// and RFC 5961.
package tcp
