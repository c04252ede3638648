// Package drill is Linux's socket calls over Sennit's protocol machines, in
// virtual time, for a test tool that plays the network: it injects a packet,
// makes a call, looks at what came out, and lets time pass.
//
// It drives stack/tcp and mptcp/conn directly, not through the glue of package
// stack. The glue's goroutines and timers make a packet's effects visible some
// time after it came in; a script wants them visible when the call that put it
// in returns. Here every call takes one lock, steps the machines, takes out all
// that they emit, and only then returns. What the machines do is the same; what
// is not tested this way is the glue.
//
// It owns descriptors, options, the queue of a listener, a minimal IP layer
// (whole packets, no fragments, no extension headers), the virtual clock, and
// the settings a network namespace has. It follows Linux where scripts assert
// Linux's interface. It owns no protocol rule beyond RFC 9293 §3.10.7.1 and
// §3.10.7.2 (segments without connection) and RFC 5927 (which connection an ICMP
// error is about).
//
// Time moves by SleepMicros, by each question for the time, and by Next, which
// runs timers until a packet appears. A call that blocks on the thread that
// drives time lets it pass; one on another thread waits for the driver.
package drill
