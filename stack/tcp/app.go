package tcp

import "github.com/sennit-net/sennit/stack/mono"

// App is the application's side of a byte stream: the plain Stream of this
// package, or a Multipath TCP connection. No method blocks.
type App interface {
	// Read takes received bytes. It returns ErrWouldBlock when there are none
	// yet, io.EOF after the peer's FIN, or why the connection ended.
	Read(now mono.Time, p []byte) (int, error)
	// Write queues bytes. When the send buffer has no room for all of p it
	// queues what fits and returns ErrWouldBlock with the short count.
	Write(now mono.Time, p []byte) (int, error)
	// Shutdown closes one direction or both, in good order.
	Shutdown(now mono.Time, how How)
	// Abort gives up: RST.
	Abort(now mono.Time)
	// Ready tells what can be done now.
	Ready() Readiness
	// Tune changes what an application may set.
	Tune(now mono.Time, t Tuning)
}

// How is which direction Shutdown closes.
type How uint8

// Directions.
const (
	CloseReading How = 1 << iota
	CloseWriting
	CloseBoth = CloseReading | CloseWriting
)

// Readiness is a set of things an application can do without blocking.
type Readiness uint8

// Readiness bits.
const (
	Readable Readiness = 1 << iota // data, EOF or an error waits for Read
	Writable                       // room, or an error, waits for Write
	Opened                         // the handshake is done (stays set afterwards)
	Ended                          // the machine is finished: CLOSED, and nothing left to emit
)

// Has reports whether every bit of g is set in r.
func (r Readiness) Has(g Readiness) bool { return r&g == g }
