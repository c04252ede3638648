//go:build linux

package drill

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// linuxStates are the numbers of the states in Linux's tcp_info.
var linuxStates = map[tcp.State]uint8{
	tcp.Estab: 1, tcp.SynSent: 2, tcp.SynReceived: 3, tcp.FinWait1: 4, tcp.FinWait2: 5, tcp.TimeWait: 6,
	tcp.ClosedState: 7, tcp.CloseWait: 8, tcp.LastAck: 9, tcp.Listen: 10, tcp.Closing: 11,
}

// Where the bit fields of struct tcp_info lie, which the Go struct leaves out.
const scaleByte = 6

// infinite is a threshold in bytes that means there is none: no window gets
// there.
const infinite = 1 << 30

// noThreshold is what Linux shows for a slow-start threshold that is infinite.
const noThreshold = 0x7fffffff

// tcpInfo fills v, however long it is, with a struct tcp_info and zeros behind.
func (s *socket) tcpInfo(v []byte) int {
	clear(v)
	i := unix.TCPInfo{State: 7}
	var scale uint8
	switch f := s.flow; {
	case f != nil:
		in := f.info()
		i = s.h.linuxInfo(in)
		i.Notsent_bytes = uint32(f.unsent())
		if f.synData {
			i.Options |= optSYNData
		}
		scale = uint8(in.SndShift&15) | uint8(in.RcvShift&15)<<4
	case s.listening:
		// Linux shows a listener's queue and its limit in these two.
		i.State, i.Unacked, i.Sacked = 10, uint32(len(s.queue)), uint32(s.backlog)
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&i)), unsafe.Sizeof(i))
	raw[scaleByte] = scale
	copy(v, raw)
	return len(v)
}

// reordering is Linux's figure for a path that was not seen to reorder.
const reordering = 3

// linuxRecovery is tcpi_ca_state: open, disorder, recovery or loss.
func linuxRecovery(in tcp.Info) uint8 {
	switch {
	case in.Recovery == tcp.FastRecovery:
		return 3
	case in.Recovery == tcp.TimeoutRecovery:
		return 4
	case in.Sacked > 0:
		return 1
	}
	return 0
}

// optSYNData in tcpi_options tells that data on the SYN was taken.
const optSYNData = 32

// linuxOptions is tcpi_options: what the SYNs settled.
func linuxOptions(in tcp.Info) uint8 {
	return uint8(boolean(in.Timestamps) | boolean(in.SACK)<<1 | boolean(in.WindowScale)<<2)
}

// linuxInfo turns our units into Linux's: times in microseconds or, since
// something happened, in milliseconds; windows in segments.
func (h *Host) linuxInfo(in tcp.Info) unix.TCPInfo {
	mss := max(in.MSS, 1)
	segments := func(n int) uint32 { return uint32((n + mss - 1) / mss) }
	micros := func(d time.Duration) uint32 { return uint32(d / time.Microsecond) }
	since := func(t mono.Time) uint32 {
		if t == 0 {
			return 0
		}
		return uint32(h.clock.now.Sub(t) / time.Millisecond)
	}
	i := unix.TCPInfo{
		State: linuxStates[in.State], Ca_state: linuxRecovery(in), Backoff: uint8(in.Backoffs),
		Retransmits: uint8(in.Backoffs), Probes: uint8(in.Probes), Options: linuxOptions(in),
		Rto: micros(in.RTO), Rtt: micros(in.SRTT), Rttvar: micros(in.RTTVar), Rcv_rtt: micros(in.RcvRTT),
		Min_rtt: micros(in.MinRTT), Snd_mss: uint32(in.MSS), Rcv_mss: uint32(in.RcvMSS), Pmtu: uint32(in.MTU),
		Advmss: uint32(in.MSS), Rcv_space: uint32(in.RcvSpace), Rcv_ssthresh: uint32(in.RcvWnd),
		// Linux counts a segment as lost until it is known to have arrived.
		Unacked: segments(in.Unacked), Sacked: segments(in.Sacked), Lost: segments(in.LostNow + in.Retransmitting),
		Retrans: segments(in.Retransmitting), Snd_cwnd: uint32(in.Cwnd / mss), Snd_ssthresh: noThreshold,
		Last_data_sent: since(in.LastSent), Last_data_recv: since(in.LastReceived), Last_ack_recv: since(in.LastAcked),
		Total_retrans: uint32(in.Retransmits), Segs_out: uint32(in.SegsSent), Segs_in: uint32(in.SegsReceived),
		Bytes_acked: in.BytesAcked, Bytes_received: in.BytesReceived, Bytes_sent: in.BytesSent + in.BytesRetrans,
		Bytes_retrans: in.BytesRetrans, Delivered: segments(int(in.Delivered)), Pacing_rate: uint64(in.PacingRate),
		Max_pacing_rate: ^uint64(0), Reordering: reordering, Snd_wnd: uint32(in.SndWnd),
	}
	if in.Ssthresh > 0 && in.Ssthresh < infinite {
		i.Snd_ssthresh = uint32(in.Ssthresh / mss)
	}
	if in.MinRTT == 0 {
		i.Min_rtt = ^uint32(0)
	}
	return i
}
