package tcp

// State is one of the eleven states of RFC 9293 §3.3.2.
type State uint8

// The states, in the order of the RFC.
const (
	Listen State = iota
	SynSent
	SynReceived
	Estab
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
	ClosedState
)

var stateNames = [...]string{"LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED"}

func (s State) String() string { return stateNames[s] }

// Synchronized reports whether both sides know each other's sequence numbers
// (RFC 9293 §3.5.1).
func (s State) Synchronized() bool { return s >= Estab && s <= TimeWait }
