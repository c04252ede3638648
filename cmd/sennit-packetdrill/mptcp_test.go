//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/wire"
)

// raw writes an option as a script has it.
func raw(o interface{ Append([]byte) []byte }) string { return fmt.Sprintf("raw %x", o.Append(nil)) }

// next takes the next segment of whatever connection, with its MPTCP options.
func (s *script) next() (seg wire.Segment, set option.Set) {
	s.t.Helper()
	a := s.d.run("next")
	if len(a.data) == 0 {
		s.t.Fatal("nothing came out")
	}
	n := 20
	if a.data[0]>>4 == 6 {
		n = 40
	}
	if _, err := wire.Parse(a.data[n:], &seg); err != nil {
		s.t.Fatal(err)
	}
	option.ParseAll(&seg, false, &set)
	s.at = a.result
	return seg, set
}

const theirKey = 0x1122334455667788

// multipath is the opening of a Multipath TCP connection to a listener
// (RFC 8684 §3.1). It returns the descriptor and the listener's key.
func (s *script) multipath(l int) (fd int, ourKey uint64) {
	s.t.Helper()
	s.in("S 0:0(0) win 32792 <mss 1460,sackOK," + raw(option.MPCapable{Form: option.OnSYN, Version: 1, Algorithms: option.SHA256}) + ">")
	synack, set := s.next()
	if !synack.Flags.Has(wire.SYN|wire.ACK) || !set.Has(option.SubCapable) {
		s.t.Fatalf("no MP_CAPABLE on %s", &synack)
	}
	s.theirs, s.known = uint32(synack.Seq), true
	ourKey = set.Capable.SenderKey
	s.pass(20 * time.Millisecond)
	s.in(". 1:1(0) ack 1 win 32792 <" + raw(option.MPCapable{Form: option.OnACK, Version: 1,
		Algorithms: option.SHA256, SenderKey: theirKey, ReceiverKey: ourKey}) + ">")
	fd = int(s.call(0, "accept %d", l))
	s.nonblock(fd)
	return fd, ourKey
}

// A Multipath TCP connection carries data with mappings and Data ACKs
// (RFC 8684 §3.3), and takes a second subflow (§3.2).
func TestMultipath(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(unix.IPPROTO_MPTCP)
		fd, ourKey := s.multipath(l)
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_MPTCP)
		first := key.IDSN(theirKey).Add(1)
		d := option.DSS{HasAck: true, Ack8: true, Ack: key.IDSN(ourKey).Add(1), HasMap: true, DSN8: true, DSN: first, SSN: 1, Len: 100}
		s.in("P. 1:101(100) ack 1 win 32792 <" + raw(&d) + ">")
		ack, set := s.next()
		if ack.Len() != 0 || !set.Has(option.SubDSS) || set.DSS.Ack != first.Add(100) && set.DSS.Ack != first.Add(100)&0xffffffff {
			s.t.Errorf("%s Data ACK %d, want %d", &ack, set.DSS.Ack, first.Add(100))
		}
		s.read(fd, 0, 100)
		s.write(fd, 0, 10)
		seg, set := s.next()
		if !set.Has(option.SubDSS) || !set.DSS.HasMap || set.DSS.DSN != key.IDSN(ourKey).Add(1) || set.DSS.SSN != 1 || set.DSS.Len != 10 {
			s.t.Errorf("%s: %+v", &seg, set.DSS)
		}
		s.in(". 101:101(0) ack 11 win 32792 <" + raw(&option.DSS{HasAck: true, Ack8: true, Ack: key.IDSN(ourKey).Add(11)}) + ">")
		s.join(ourKey)
	})
}

// join opens a second subflow from another address.
func (s *script) join(ourKey uint64) {
	s.t.Helper()
	s.remote = netip.MustParseAddrPort("192.0.2.77:41000")
	const nonce = 0x01020304
	s.in("S 0:0(0) win 32792 <mss 1460,sackOK," + raw(option.MPJoin{Form: option.OnSYN, AddrID: 3, Token: key.Token(ourKey), Nonce: nonce}) + ">")
	synack, set := s.next()
	want := key.JoinHMAC(ourKey, theirKey, set.Join.Nonce, nonce)
	if !synack.Flags.Has(wire.SYN|wire.ACK) || !set.Has(option.SubJoin) || string(set.Join.MAC[:8]) != string(want[:8]) {
		s.t.Fatalf("%s: %+v", &synack, set.Join)
	}
	s.theirs = uint32(synack.Seq)
	j := option.MPJoin{Form: option.OnACK}
	mac := key.JoinHMAC(theirKey, ourKey, nonce, set.Join.Nonce)
	copy(j.MAC[:], mac[:])
	s.in(". 1:1(0) ack 1 win 32792 <" + raw(j) + ">")
	if ack, _ := s.next(); ack.Flags != wire.ACK || uint32(ack.Ack) != s.ours+1 {
		s.t.Errorf("%s, want the fourth ACK", &ack)
	}
}

// An unknown token is refused (RFC 8684 §3.2).
func TestUnknownToken(t *testing.T) {
	both(t, in4, func(s *script) {
		s.multipath(s.listen(unix.IPPROTO_MPTCP))
		s.remote = netip.MustParseAddrPort("192.0.2.77:41000")
		s.in("S 0:0(0) win 32792 <mss 1460," + raw(option.MPJoin{Form: option.OnSYN, Token: 77, Nonce: 1}) + ">")
		if rst, set := s.next(); !rst.Flags.Has(wire.RST) || !set.Has(option.SubTCPReset) || set.Reset.Reason != option.ResetMPTCP {
			s.t.Errorf("%s: %+v", &rst, set.Reset)
		}
	})
}

// A client offers MP_CAPABLE, and is plain TCP where the answer has none
// (RFC 8684 §3.1).
func TestMultipathClient(t *testing.T) {
	offer := "raw 1e040101"
	both(t, in4, func(s *script) {
		fd := s.client(unix.IPPROTO_MPTCP)
		s.out("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8," + offer + ">")
		s.pass(20 * ms)
		s.in("S. 0:0(0) ack 1 win 5792 <mss 1460>")
		s.out(". 1:1(0) ack 1")
		s.write(fd, 0, 10)
		s.out("P. 1:11(10) ack 1")
	})
	// Where it has one, a second address that was set up joins.
	configure(t, "sennit.mptcp_endpoints = 192.168.1.1\n")
	both(t, in4, func(s *script) {
		fd := s.client(unix.IPPROTO_MPTCP)
		s.out("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8," + offer + ">")
		s.pass(20 * ms)
		s.in("S. 0:0(0) ack 1 win 5792 <mss 1460," +
			raw(option.MPCapable{Form: option.OnSYNACK, Version: 1, Algorithms: option.SHA256, SenderKey: theirKey}) + ">")
		third, set := s.next()
		if !set.Has(option.SubCapable) || set.Capable.ReceiverKey != theirKey {
			s.t.Fatalf("%s: %+v", &third, set.Capable)
		}
		ours := set.Capable.SenderKey
		s.write(fd, 0, 10)
		if seg, set := s.next(); !set.Has(option.SubCapable) || set.Capable.Len != 10 {
			s.t.Errorf("%s: %+v", &seg, set.Capable)
		}
		s.in(". 1:1(0) ack 11 win 5792 <" + raw(&option.DSS{HasAck: true, Ack8: true, Ack: key.IDSN(ours).Add(11)}) + ">")
		if syn, set := s.next(); syn.Flags != wire.SYN || !set.Has(option.SubJoin) || set.Join.Token != key.Token(theirKey) {
			s.t.Errorf("%s: %+v", &syn, set.Join)
		}
	})
}

// Both sides end the data stream with a DATA_FIN, and only then the subflow with
// a FIN (RFC 8684 §3.3.3).
func TestMultipathClose(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(unix.IPPROTO_MPTCP)
		fd, ourKey := s.multipath(l)
		theirs, ours := key.IDSN(theirKey).Add(1), key.IDSN(ourKey).Add(1)
		d := option.DSS{HasAck: true, Ack: ours, HasMap: true, DSN8: true, DSN: theirs, Len: 1, Fin: true}
		s.in(". 1:1(0) ack 1 win 257 <" + raw(&d) + ">")
		ack, set := s.next()
		if ack.Flags != wire.ACK || !set.Has(option.SubDSS) || uint32(set.DSS.Ack) != uint32(theirs.Add(1)) || set.DSS.HasMap {
			s.t.Errorf("%s %+v, want an ACK of the DATA_FIN", &ack, set.DSS)
		}
		s.read(fd, 0, 0)
		s.call(0, "close %d", fd)
		fin, set := s.next()
		if fin.Flags.Has(wire.FIN) || !set.Has(option.SubDSS) || !set.DSS.Fin || set.DSS.DSN != ours {
			s.t.Errorf("%s %+v, want a DATA_FIN", &fin, set.DSS)
		}
		s.in(". 1:1(0) ack 1 win 257 <" + raw(&option.DSS{HasAck: true, Ack: ours.Add(1)}) + ">")
		if fin, _ := s.next(); !fin.Flags.Has(wire.FIN) {
			s.t.Errorf("%s, want a FIN", &fin)
		}
		s.in("F. 1:1(0) ack 2 win 257 <" + raw(&option.DSS{HasAck: true, Ack: ours.Add(1)}) + ">")
		if ack, _ := s.next(); ack.Flags != wire.ACK || uint32(ack.Ack) != s.ours+2 {
			s.t.Errorf("%s, want the last ACK", &ack)
		}
	})
}
