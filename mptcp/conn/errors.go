package conn

import "errors"

// Why a connection or a subflow ended, beyond what stack/tcp says.
var (
	// ErrFastclose: the peer gave the whole connection up (RFC 8684 §3.5).
	ErrFastclose = errors.New("mptcp: connection aborted by peer (MP_FASTCLOSE)")
	// ErrNoSubflow: all subflows were gone for too long (RFC 8684 §3.3.3).
	ErrNoSubflow = errors.New("mptcp: no subflow left")
	// ErrLinkDown: the local address, or its link, went away.
	ErrLinkDown = errors.New("mptcp: local address is gone")
	// ErrSilent: a path stopped answering.
	ErrSilent = errors.New("mptcp: path does not answer")
	// ErrJoin: MP_JOIN was not answered as RFC 8684 §3.2 wants it.
	ErrJoin = errors.New("mptcp: MP_JOIN failed")
	// ErrMapping: the peer's mappings broke a rule of RFC 8684 §3.3.1.
	ErrMapping = errors.New("mptcp: bad data sequence mapping")
	// ErrChecksum: mapped data did not match its checksum (RFC 8684 §3.7).
	ErrChecksum = errors.New("mptcp: data checksum failed")
	// ErrInterference: a middlebox took options away from a subflow
	// (RFC 8684 §3.7).
	ErrInterference = errors.New("mptcp: options lost on the path")
	// ErrFallback: the connection fell back to TCP on another subflow.
	ErrFallback = errors.New("mptcp: connection fell back to TCP")
	// ErrRemoved: the peer withdrew the address (RFC 8684 §3.4.2).
	ErrRemoved = errors.New("mptcp: address withdrawn by peer")
	// ErrPolicy: the path manager closed the subflow.
	ErrPolicy = errors.New("mptcp: closed by path manager")
)

// Cause is why a connection is plain TCP.
type Cause uint8

// Causes of fallback (RFC 8684 §3.7 unless said otherwise).
const (
	NoCause          Cause = iota // it is Multipath TCP
	NotOffered                    // configured: plain TCP
	SYNWithout                    // the peer's SYN has no usable MP_CAPABLE (§3.1)
	SYNACKWithout                 // the SYN-ACK has no usable MP_CAPABLE (§3.1)
	SYNDropped                    // we left MP_CAPABLE off after SYNs went unanswered (§3.1)
	ThirdACKWithout               // the third ACK has no MP_CAPABLE (§3.1)
	KeyMismatch                   // the echoed key is not ours (§3.1)
	FirstDataWithout              // the first data came without a mapping
	FirstACKWithout               // our first data was acknowledged without a Data ACK
	DSSLost                       // options vanished in mid-connection
	ChecksumFailed                // payload was changed on the way
	FailReceived                  // the peer saw a checksum fail (MP_FAIL)
	InfiniteMapping               // the peer fell back
	NCauses
)

var causeNames = [...]string{"none", "not_offered", "syn_without_mp_capable",
	"syn_ack_without_mp_capable", "mp_capable_syn_unanswered", "third_ack_without_mp_capable",
	"key_mismatch", "first_data_without_dss", "first_ack_without_data_ack", "dss_lost",
	"checksum_failed", "mp_fail_received", "infinite_mapping_received"}

func (c Cause) String() string { return causeNames[c] }
