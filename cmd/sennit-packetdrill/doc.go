// Command sennit-packetdrill is Sennit's TCP and Multipath TCP as a shared
// object for packetdrill, the script-driven TCP tester: scripts nobody here
// wrote run against our protocol machines, without privileges, without a TUN
// device, and in virtual time.
//
//	go build -buildmode=c-shared -o sennit-packetdrill.so ./cmd/sennit-packetdrill
//	packetdrill --so_filename=$PWD/sennit-packetdrill.so script.pkt
//	packetdrill --so_filename=$PWD/sennit-packetdrill.so --so_flags=local=192.168.0.1,mtu=1500 \
//		--local_ip=192.168.0.1 --mtu=1500 script.pkt
//
// It needs cgo and Linux. The flags say which addresses are ours (local=, one
// or more, of either family) and the path's MTU (mtu=); without them they are
// packetdrill's own defaults: 192.168.0.1, fd3d:a0b:17d6::1 and 1500. They have
// to say the same as packetdrill's --local_ip and --mtu.
//
// Settings are those of the network namespace packetdrill runs in, read when
// the script makes its first socket: net.ipv4.tcp_{timestamps,sack,
// window_scaling,recovery,rmem,wmem,congestion_control,syn_retries,
// synack_retries,fin_timeout,keepalive_*,notsent_lowat,slow_start_after_idle,
// fastopen,fastopen_key}, net.ipv4.ip_default_ttl, net.core.somaxconn and
// net.mptcp.{enabled,checksum_enabled,allow_join_initial_addr_port}. The
// environment variable SENNIT_PACKETDRILL_SYSCTL names a file of lines
// `key = value` that count before them, for what the kernel at hand refuses; its
// key sennit.mptcp_endpoints lists further addresses for subflows.
//
// It is called by packetdrill's interface for stacks under test, declared anew
// in interface.h; nothing of packetdrill, which is GPL, is part of it. What it
// does behind the calls is package drill's. What is Linux's and not a
// standard's: the layout of struct tcp_info, the doubled socket buffers of
// getsockopt, a cork of 200 ms, how Fast Open cookies are made, PSH at the end of
// a burst. What differs from Linux: bytes, not memory, fill a send buffer; MSG_EOR
// does not keep records apart; MSG_ERRQUEUE is empty, and of control messages
// there is TCP_INQ only; Fast Open wants a cookie, and its own option kind; the
// figures of TCP_INFO in segments are bytes over the MSS; a SYN is sent again
// with doubled waits from one second, never with linear ones; ECN is not offered.
package main
