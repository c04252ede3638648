package option

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sennit-net/sennit/stack/wire"
)

// appender is what every option value is.
type appender interface {
	Size() int
	Append(b []byte) []byte
}

const (
	syn    = wire.SYN
	synack = wire.SYN | wire.ACK
	ack    = wire.ACK
	rst    = wire.RST | wire.ACK

	keyA = 0x0102030405060708
	keyB = 0xa0a1a2a3a4a5a6a7
)

// field is some octets of an option and what they are.
type field struct{ hex, what string }

type layout struct {
	name   string
	flags  wire.Flags
	opt    appender
	octets []field
}

var mac = MPJoin{Form: OnACK, MAC: [20]byte{0xd3, 0xd3, 0xf1, 0xe1, 0x96, 0x79, 0x17, 0xcf, 0x73, 0x16,
	0xf5, 0x1c, 0x1f, 0x90, 0x49, 0x8a, 0xc4, 0x09, 0xd5, 0xd9}}

func removal(ids ...uint8) *RemoveAddr { r := Remove(ids...); return &r }

// Every octet of every layout of RFC 8684 §3.
var layouts = []layout{
	{"RFC 8684 §3.1 MP_CAPABLE SYN", syn, MPCapable{Version: 1, Checksum: true, Algorithms: SHA256},
		[]field{{"1e", "kind"}, {"04", "length"}, {"01", "subtype 0, version 1"}, {"81", "A and H"}}},
	{"MP_CAPABLE SYN, deny join", syn, MPCapable{Version: 1, DenyJoin: true, Algorithms: SHA256},
		[]field{{"1e04", "kind, length"}, {"01", "subtype, version"}, {"21", "C and H"}}},
	{"MP_CAPABLE SYN-ACK", synack, MPCapable{Form: OnSYNACK, Version: 1, Algorithms: SHA256, SenderKey: keyB},
		[]field{{"1e0c", "kind, length"}, {"0101", "subtype, version, H"}, {"a0a1a2a3a4a5a6a7", "sender's key"}}},
	{"MP_CAPABLE ACK", ack, MPCapable{Form: OnACK, Version: 1, Algorithms: SHA256, SenderKey: keyA, ReceiverKey: keyB},
		[]field{{"1e14", "kind, length"}, {"0101", "subtype, version, H"}, {"0102030405060708", "sender's key"},
			{"a0a1a2a3a4a5a6a7", "receiver's key"}}},
	{"MP_CAPABLE data", ack, MPCapable{Form: OnData, Version: 1, Algorithms: SHA256, SenderKey: keyA, ReceiverKey: keyB, Len: 0x1234},
		[]field{{"1e16", "kind, length"}, {"0101", "subtype, version, H"}, {"0102030405060708", "sender's key"},
			{"a0a1a2a3a4a5a6a7", "receiver's key"}, {"1234", "data-level length"}}},
	{"MP_CAPABLE data, checksum", ack, MPCapable{Form: OnData, Version: 1, Checksum: true, Algorithms: SHA256, SenderKey: keyA,
		ReceiverKey: keyB, Len: 5, HasSum: true, Sum: 0x82a1},
		[]field{{"1e18", "kind, length"}, {"0181", "subtype, version, A and H"}, {"0102030405060708", "sender's key"},
			{"a0a1a2a3a4a5a6a7", "receiver's key"}, {"0005", "data-level length"}, {"82a1", "checksum"}}},

	{"RFC 8684 §3.2 MP_JOIN SYN", syn, MPJoin{AddrID: 2, Token: 0xebaeb334, Nonce: 0x11223344},
		[]field{{"1e0c", "kind, length"}, {"10", "subtype 1"}, {"02", "address ID"}, {"ebaeb334", "token"}, {"11223344", "nonce"}}},
	{"MP_JOIN SYN, backup", syn, MPJoin{Backup: true, AddrID: 2, Token: 0xebaeb334, Nonce: 0x11223344},
		[]field{{"1e0c", "kind, length"}, {"11", "subtype 1, B"}, {"02", "address ID"}, {"ebaeb334", "token"}, {"11223344", "nonce"}}},
	{"MP_JOIN SYN-ACK", synack, MPJoin{Form: OnSYNACK, Backup: true, AddrID: 9, Nonce: 0x55667788,
		MAC: [20]byte{0x72, 0x6a, 0xe1, 0x54, 0xf4, 0x0b, 0x65, 0x26}},
		[]field{{"1e10", "kind, length"}, {"11", "subtype 1, B"}, {"09", "address ID"}, {"726ae154f40b6526", "HMAC, 64 bits"},
			{"55667788", "nonce"}}},
	{"MP_JOIN ACK", ack, mac,
		[]field{{"1e18", "kind, length"}, {"1000", "subtype 1, reserved"}, {"d3d3f1e1967917cf7316f51c1f90498ac409d5d9", "HMAC, 160 bits"}}},

	{"RFC 8684 §3.3 DSS nothing", ack, &DSS{}, []field{{"1e04", "kind, length"}, {"20", "subtype 2"}, {"00", "flags"}}},
	{"DSS A4", ack, &DSS{HasAck: true, Ack: 0x55667788},
		[]field{{"1e08", "kind, length"}, {"20", "subtype 2"}, {"01", "A"}, {"55667788", "Data ACK"}}},
	{"DSS A8", ack, &DSS{HasAck: true, Ack8: true, Ack: 0x1122334455667788},
		[]field{{"1e0c", "kind, length"}, {"20", "subtype 2"}, {"03", "a A"}, {"1122334455667788", "Data ACK"}}},
	{"DSS M4", ack, &DSS{HasMap: true, DSN: 0x55667788, SSN: 0x01020304, Len: 0xfffe},
		[]field{{"1e0e", "kind, length"}, {"2004", "M"}, {"55667788", "DSN"}, {"01020304", "SSN"}, {"fffe", "length"}}},
	{"DSS M4 checksum", ack, &DSS{HasMap: true, DSN: 0x55667788, SSN: 1, Len: 2, HasSum: true, Sum: 0xabcd},
		[]field{{"1e10", "kind, length"}, {"2004", "M"}, {"55667788", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}, {"abcd", "checksum"}}},
	{"DSS M8", ack, &DSS{HasMap: true, DSN8: true, DSN: 0x1122334455667788, SSN: 1, Len: 2},
		[]field{{"1e12", "kind, length"}, {"200c", "m M"}, {"1122334455667788", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}}},
	{"DSS M8 checksum", ack, &DSS{HasMap: true, DSN8: true, DSN: 0x1122334455667788, SSN: 1, Len: 2, HasSum: true, Sum: 1},
		[]field{{"1e14", "kind, length"}, {"200c", "m M"}, {"1122334455667788", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}, {"0001", "checksum"}}},
	{"DSS A4M4", ack, &DSS{HasAck: true, Ack: 7, HasMap: true, DSN: 0x55667788, SSN: 1, Len: 2},
		[]field{{"1e12", "kind, length"}, {"2005", "M A"}, {"00000007", "Data ACK"}, {"55667788", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}}},
	{"DSS A4M4 checksum", ack, &DSS{HasAck: true, Ack: 7, HasMap: true, DSN: 8, SSN: 1, Len: 2, HasSum: true, Sum: 3},
		[]field{{"1e14", "kind, length"}, {"2005", "M A"}, {"00000007", "Data ACK"}, {"00000008", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}, {"0003", "checksum"}}},
	{"DSS A8M4", ack, &DSS{HasAck: true, Ack8: true, Ack: 7, HasMap: true, DSN: 8, SSN: 1, Len: 2},
		[]field{{"1e16", "kind, length"}, {"2007", "M a A"}, {"0000000000000007", "Data ACK"}, {"00000008", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}}},
	{"DSS A8M4 checksum", ack, &DSS{HasAck: true, Ack8: true, Ack: 7, HasMap: true, DSN: 8, SSN: 1, Len: 2, HasSum: true, Sum: 3},
		[]field{{"1e18", "kind, length"}, {"2007", "M a A"}, {"0000000000000007", "Data ACK"}, {"00000008", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}, {"0003", "checksum"}}},
	{"DSS A4M8", ack, &DSS{HasAck: true, Ack: 7, HasMap: true, DSN8: true, DSN: 8, SSN: 1, Len: 2},
		[]field{{"1e16", "kind, length"}, {"200d", "m M A"}, {"00000007", "Data ACK"}, {"0000000000000008", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}}},
	{"DSS A4M8 checksum", ack, &DSS{HasAck: true, Ack: 7, HasMap: true, DSN8: true, DSN: 8, SSN: 1, Len: 2, HasSum: true, Sum: 3},
		[]field{{"1e18", "kind, length"}, {"200d", "m M A"}, {"00000007", "Data ACK"}, {"0000000000000008", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}, {"0003", "checksum"}}},
	{"DSS A8M8", ack, &DSS{HasAck: true, Ack8: true, Ack: 7, HasMap: true, DSN8: true, DSN: 8, SSN: 1, Len: 2},
		[]field{{"1e1a", "kind, length"}, {"200f", "m M a A"}, {"0000000000000007", "Data ACK"}, {"0000000000000008", "DSN"}, {"00000001", "SSN"}, {"0002", "length"}}},
	{"RFC 8684 §3.3.3 DATA_FIN alone", ack, &DSS{HasAck: true, Ack8: true, Ack: 7, HasMap: true, DSN8: true, DSN: 8, SSN: 0, Len: 1, HasSum: true, Sum: 3, Fin: true},
		[]field{{"1e1c", "kind, length"}, {"201f", "F m M a A"}, {"0000000000000007", "Data ACK"}, {"0000000000000008", "DSN"}, {"00000000", "SSN 0"}, {"0001", "length 1"}, {"0003", "checksum"}}},
	{"RFC 8684 §3.7 infinite mapping", ack, &DSS{HasMap: true, DSN: 8, SSN: 1},
		[]field{{"1e0e", "kind, length"}, {"2004", "M"}, {"00000008", "DSN"}, {"00000001", "SSN"}, {"0000", "length 0"}}},

	{"RFC 8684 §3.4.1 ADD_ADDR v4", ack, AddAddr{ID: 3, Addr: netip.MustParseAddr("192.0.2.33"), MAC: 0x45a0e7bfacf1db74},
		[]field{{"1e10", "kind, length"}, {"30", "subtype 3"}, {"03", "address ID"}, {"c0000221", "address"}, {"45a0e7bfacf1db74", "HMAC"}}},
	{"ADD_ADDR v4 port", ack, AddAddr{ID: 3, Addr: netip.MustParseAddr("192.0.2.33"), Port: 8080, MAC: 0x6c1b1e231561d597},
		[]field{{"1e12", "kind, length"}, {"30", "subtype 3"}, {"03", "address ID"}, {"c0000221", "address"}, {"1f90", "port"}, {"6c1b1e231561d597", "HMAC"}}},
	{"ADD_ADDR v6", ack, AddAddr{ID: 3, Addr: netip.MustParseAddr("2001:db8::21"), MAC: 1},
		[]field{{"1e1c", "kind, length"}, {"30", "subtype 3"}, {"03", "address ID"}, {"20010db8000000000000000000000021", "address"}, {"0000000000000001", "HMAC"}}},
	{"ADD_ADDR v6 port", ack, AddAddr{ID: 3, Addr: netip.MustParseAddr("2001:db8::21"), Port: 443, MAC: 1},
		[]field{{"1e1e", "kind, length"}, {"30", "subtype 3"}, {"03", "address ID"}, {"20010db8000000000000000000000021", "address"}, {"01bb", "port"}, {"0000000000000001", "HMAC"}}},
	{"ADD_ADDR v4 echo", ack, AddAddr{ID: 3, Echo: true, Addr: netip.MustParseAddr("192.0.2.33")},
		[]field{{"1e08", "kind, length"}, {"31", "subtype 3, E"}, {"03", "address ID"}, {"c0000221", "address"}}},
	{"ADD_ADDR v4 port echo", ack, AddAddr{ID: 3, Echo: true, Addr: netip.MustParseAddr("192.0.2.33"), Port: 8080},
		[]field{{"1e0a", "kind, length"}, {"31", "subtype 3, E"}, {"03", "address ID"}, {"c0000221", "address"}, {"1f90", "port"}}},
	{"ADD_ADDR v6 echo", ack, AddAddr{ID: 3, Echo: true, Addr: netip.MustParseAddr("2001:db8::21")},
		[]field{{"1e14", "kind, length"}, {"31", "subtype 3, E"}, {"03", "address ID"}, {"20010db8000000000000000000000021", "address"}}},
	{"ADD_ADDR v6 port echo", ack, AddAddr{ID: 3, Echo: true, Addr: netip.MustParseAddr("2001:db8::21"), Port: 443},
		[]field{{"1e16", "kind, length"}, {"31", "subtype 3, E"}, {"03", "address ID"}, {"20010db8000000000000000000000021", "address"}, {"01bb", "port"}}},
	{"RFC 8684 §3.4.2 REMOVE_ADDR", ack, removal(3), []field{{"1e04", "kind, length"}, {"40", "subtype 4"}, {"03", "address ID"}}},
	{"REMOVE_ADDR two", ack, removal(3, 0), []field{{"1e05", "kind, length"}, {"40", "subtype 4"}, {"0300", "address IDs"}}},

	{"RFC 8684 §3.3.8 MP_PRIO backup", ack, MPPrio{Backup: true}, []field{{"1e03", "kind, length"}, {"51", "subtype 5, B"}}},
	{"MP_PRIO", ack, MPPrio{}, []field{{"1e03", "kind, length"}, {"50", "subtype 5"}}},
	{"RFC 8684 §3.7 MP_FAIL", ack, MPFail{DSN: 0x1122334455667788},
		[]field{{"1e0c", "kind, length"}, {"6000", "subtype 6, reserved"}, {"1122334455667788", "DSN"}}},
	{"MP_FAIL on RST", rst, MPFail{DSN: 1}, []field{{"1e0c", "kind, length"}, {"6000", "subtype 6, reserved"}, {"0000000000000001", "DSN"}}},
	{"RFC 8684 §3.5 MP_FASTCLOSE", ack, Fastclose{Key: keyB},
		[]field{{"1e0c", "kind, length"}, {"7000", "subtype 7, reserved"}, {"a0a1a2a3a4a5a6a7", "receiver's key"}}},
	{"MP_FASTCLOSE on RST", rst, Fastclose{Key: keyB},
		[]field{{"1e0c", "kind, length"}, {"7000", "subtype 7, reserved"}, {"a0a1a2a3a4a5a6a7", "receiver's key"}}},
	{"RFC 8684 §3.6 MP_TCPRST", rst, TCPReset{Reason: ResetMPTCP}, []field{{"1e04", "kind, length"}, {"80", "subtype 8"}, {"01", "reason"}}},
	{"MP_TCPRST transient", rst, TCPReset{Transient: true, Reason: ResetInterference},
		[]field{{"1e04", "kind, length"}, {"81", "subtype 8, T"}, {"06", "reason"}}},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// found returns the single option that s holds, as it was parsed.
func found(s *Set) []appender {
	var all []appender
	for t := Subtype(0); t < nSubtypes; t++ {
		if !s.Has(t) {
			continue
		}
		switch t {
		case SubCapable:
			all = append(all, s.Capable)
		case SubJoin:
			all = append(all, s.Join)
		case SubDSS:
			all = append(all, &s.DSS)
		case SubAddAddr:
			for _, a := range s.AddAddrs() {
				all = append(all, a)
			}
		case SubRemove:
			all = append(all, &s.Remove)
		case SubPrio:
			all = append(all, s.Prio)
		case SubFail:
			all = append(all, s.Fail)
		case SubFastclose:
			all = append(all, s.Fastclose)
		case SubTCPReset:
			all = append(all, s.Reset)
		}
	}
	return all
}

func TestLayouts(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			got := l.opt.Append([]byte{0xaa})[1:]
			if len(got) != l.opt.Size() {
				t.Errorf("Size %d, appended %d", l.opt.Size(), len(got))
			}
			rest := got
			for _, f := range l.octets {
				want := unhex(t, f.hex)
				if len(rest) < len(want) || !bytes.Equal(rest[:len(want)], want) {
					t.Fatalf("%s: % x, want % x", f.what, rest[:min(len(rest), len(want))], want)
				}
				rest = rest[len(want):]
			}
			if len(rest) != 0 {
				t.Fatalf("octets nobody asked for: % x", rest)
			}
			var s Set
			if r := s.Parse(got[2:], l.flags); r != Fine {
				t.Fatalf("parse: %v", r)
			}
			all := found(&s)
			if len(all) != 1 || fmt.Sprintf("%+v", all[0]) != fmt.Sprintf("%+v", l.opt) {
				t.Fatalf("parsed %+v, want %+v", all, l.opt)
			}
		})
	}
}

// legal is the lengths of RFC 8684 §3 for each subtype, on a SYN, a SYN-ACK, an
// ACK and a RST. Of DSS only the shape is checked here: the flags are set to
// what the length needs.
var legal = map[Subtype][4][]int{
	SubCapable:   {{4}, {12}, {20, 22, 24}, nil},
	SubJoin:      {{12}, {16}, {24}, nil},
	SubAddAddr:   {nil, nil, {16, 18, 28, 30}, {16, 18, 28, 30}},
	SubRemove:    {nil, nil, span(4, 40), span(4, 40)},
	SubPrio:      {nil, nil, {3}, {3}},
	SubFail:      {nil, nil, {12}, {12}},
	SubFastclose: {nil, nil, {12}, {12}},
	SubTCPReset:  {nil, nil, nil, {4}},
}

func span(from, to int) (all []int) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// RFC 8684 §3: a length that is not the option's own makes it ignored.
func TestEveryLength(t *testing.T) {
	for sub := range Subtype(16) {
		for i, flags := range []wire.Flags{syn, synack, ack, rst} {
			for n := 2; n <= 40; n++ {
				v := make([]byte, n-2)
				if len(v) > 0 {
					v[0] = byte(sub)<<4 | boolBit(sub == SubCapable, 1)
				}
				if sub == SubDSS && len(v) > 1 {
					continue
				}
				var s Set
				want := slices.Contains(legal[sub][i], n)
				if got := s.Parse(v, flags) == Fine; got != want || s.Any() != want {
					t.Errorf("subtype %v flags %v length %d: accepted %v, want %v", sub, flags, n, got, want)
				}
			}
		}
	}
}

// RFC 8684 §3.3: the lengths of DSS for every flag octet.
func TestEveryDSS(t *testing.T) {
	for f := range 256 {
		want := 4
		if f&0x01 != 0 {
			want += 4 + 2*(f&0x02)
		}
		if f&0x04 != 0 {
			want += 10 + (f&0x08)/2
		}
		for n := 4; n <= 40; n++ {
			v := make([]byte, n-2)
			// The reserved bits of the subtype octet are ignored.
			v[0], v[1] = byte(SubDSS)<<4|0xf, byte(f)
			sum := n == want+2 && f&0x04 != 0
			var s Set
			ok := s.Parse(v, ack) == Fine
			if ok != (n == want || sum) {
				t.Fatalf("flags %02x length %d: accepted %v", f, n, ok)
			}
			if ok && (s.DSS.HasSum != sum || s.DSS.Fin != (f&0x14 == 0x14) || s.DSS.Ack8 && !s.DSS.HasAck || s.DSS.DSN8 && !s.DSS.HasMap) {
				t.Fatalf("flags %02x length %d: %+v", f, n, s.DSS)
			}
		}
	}
}

// ADD_ADDR with the echo bit has no HMAC (RFC 8684 §3.4.1).
func TestEveryEchoLength(t *testing.T) {
	for n := 3; n <= 40; n++ {
		v := make([]byte, n-2)
		v[0] = byte(SubAddAddr)<<4 | 1
		var s Set
		if got, want := s.Parse(v, ack) == Fine, slices.Contains([]int{8, 10, 20, 22}, n); got != want {
			t.Errorf("length %d: accepted %v", n, got)
		}
	}
}

// RFC 8684 §3.1: what looks like MP_CAPABLE of version 0 is not ours: neither its
// 12-octet SYN nor the forms that have our lengths.
func TestVersion0(t *testing.T) {
	for _, c := range []struct {
		flags wire.Flags
		opt   string
		want  Reason
	}{
		{syn, "1e0c0081a0a1a2a3a4a5a6a7", OldVersion},
		{syn, "1e040081", OldVersion},
		{synack, "1e0c0081a0a1a2a3a4a5a6a7", OldVersion},
		{ack, "1e1400810102030405060708a0a1a2a3a4a5a6a7", OldVersion},
		{syn, "1e0c0181a0a1a2a3a4a5a6a7", WrongLength}, // a v0 layout that says version 1
		{syn, "1e040281", Fine},                        // a later version offers: the connection answers with 1
	} {
		var s Set
		if got := s.Parse(unhex(t, c.opt)[2:], c.flags); got != c.want || s.Any() != (c.want == Fine) {
			t.Errorf("%s on %v: %v, want %v", c.opt, c.flags, got, c.want)
		}
	}
}

// RFC 8684 §3.3 and the rest of §3: reserved bits are ignored on receipt, and
// zero when sent (TestLayouts has every octet).
func TestReservedBits(t *testing.T) {
	for _, c := range []struct {
		flags         wire.Flags
		plain, marked string
	}{
		{syn, "1e0c1102ebaeb33411223344", "1e0c1f02ebaeb33411223344"},
		{synack, "1e101000726ae154f40b652655667788", "1e101e00726ae154f40b652655667788"},
		{ack, "1e181000d3d3f1e1967917cf7316f51c1f90498ac409d5d9", "1e181fffd3d3f1e1967917cf7316f51c1f90498ac409d5d9"},
		{ack, "1e0c20031122334455667788", "1e0c2fe31122334455667788"},
		{ack, "1e08200155667788", "1e082f1955667788"}, // m and F without M
		{ack, "1e083103c0000221", "1e083f03c0000221"},
		{ack, "1e044003", "1e044f03"},
		{ack, "1e0351", "1e035f"},
		{ack, "1e0c60001122334455667788", "1e0c6fff1122334455667788"},
		{ack, "1e0c7000a0a1a2a3a4a5a6a7", "1e0c7fffa0a1a2a3a4a5a6a7"},
		{rst, "1e048106", "1e048f06"},
	} {
		var s, m Set
		if r := s.Parse(unhex(t, c.plain)[2:], c.flags); r != Fine {
			t.Fatal(c.plain, r)
		}
		if r := m.Parse(unhex(t, c.marked)[2:], c.flags); r != Fine {
			t.Fatal(c.marked, r)
		}
		if s != m {
			t.Errorf("%s: %+v, with reserved bits %+v", c.plain, s, m)
		}
	}
}

func segment(flags wire.Flags, opts ...[]byte) *wire.Segment {
	seg := &wire.Segment{Flags: flags}
	seg.SetOther(slices.Concat(opts...))
	return seg
}

// RFC 8684 §7.1: kind 30 and no other is MPTCP; RFC 8684 §7.2: subtype 0xf is
// experimental, and unknown here.
func TestParseAll(t *testing.T) {
	other := []byte{254, 4, 1, 2}
	dss := (&DSS{HasAck: true, Ack: 9}).Append(nil)
	prio := MPPrio{Backup: true}.Append(nil)
	echo := AddAddr{ID: 1, Echo: true, Addr: netip.MustParseAddr("192.0.2.1")}.Append(nil)
	seg := segment(ack, dss, other, prio, echo, MPPrio{}.Append(nil), []byte{Kind, 3, 0xf0}, []byte{Kind, 2}, echo)
	var s Set
	ParseAll(segment(ack, (&DSS{HasMap: true, Len: 5}).Append(nil)), true, &s)
	if !s.SumWrong {
		t.Error("RFC 8684 §3.3.1: a mapping without the checksum that was negotiated went unnoticed")
	}
	ParseAll(seg, true, &s)
	if s.SumWrong {
		t.Error("a Data ACK alone needs no checksum")
	}
	if !s.Has(SubDSS) || s.DSS.Ack != 9 || !s.Prio.Backup || len(s.AddAddrs()) != 2 || s.AddAddrs()[1].ID != 1 {
		t.Errorf("%+v", s)
	}
	want := [NReasons]uint8{Repeated: 1, UnknownSubtype: 1, WrongLength: 1}
	if s.Ignored != want {
		t.Errorf("ignored %v, want %v", s.Ignored, want)
	}
	ParseAll(segment(ack, other), false, &s)
	if s.Any() || len(s.AddAddrs()) != 0 || s.Ignored != [NReasons]uint8{} {
		t.Errorf("left over: %+v", s)
	}
	ParseAll(segment(ack, (&DSS{HasMap: true, Len: 5, HasSum: true}).Append(nil)), false, &s)
	if !s.SumWrong {
		t.Error("RFC 8684 §3.3.1: a checksum that was not negotiated went unnoticed")
	}
	// RFC 8684 §3.7: the infinite mapping has no checksum to be missed.
	ParseAll(segment(ack, (&DSS{HasMap: true}).Append(nil)), true, &s)
	if s.SumWrong || !s.DSS.Infinite() {
		t.Errorf("infinite mapping: %+v", s.DSS)
	}
}

func TestParseAllDoesNotAllocate(t *testing.T) {
	seg := segment(ack, (&DSS{HasAck: true, HasMap: true, DSN8: true, Len: 1}).Append(nil), AddAddr{Echo: true, Addr: netip.MustParseAddr("192.0.2.1")}.Append(nil))
	var s Set
	if n := testing.AllocsPerRun(100, func() { ParseAll(seg, false, &s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGolden(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "mptcp", "options.txt"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("line %q", line)
		}
		var flags wire.Flags
		for _, c := range f[1] {
			flags |= 1 << strings.IndexRune("FSRPAU", c)
		}
		b := unhex(t, f[2])
		var s Set
		if r := s.Parse(b[2:], flags); r != Fine || int(b[1]) != len(b) {
			t.Errorf("%s: %v", f[0], r)
			continue
		}
		if got := found(&s)[0].Append(nil); !bytes.Equal(got, b) {
			t.Errorf("%s: %x, want %s", f[0], got, f[2])
		}
		n++
	}
	if n < 30 {
		t.Errorf("only %d vectors", n)
	}
}

func TestNames(t *testing.T) {
	if SubDSS.String() != "DSS" || Subtype(15).String() != "unknown" || ResetPerformance.String() != "unacceptable performance" ||
		ResetReason(9).String() != "unknown reason" || OldVersion.String() != "old version" {
		t.Error("names")
	}
}

// What parses is encoded to what parses the same.
func FuzzParse(f *testing.F) {
	for _, l := range layouts {
		f.Add(uint16(l.flags), l.opt.Append(nil))
	}
	f.Fuzz(func(t *testing.T, flags uint16, b []byte) {
		if len(b) > wire.MaxOptions {
			return
		}
		var s, again Set
		ParseAll(segment(wire.Flags(flags), b), false, &s)
		all := found(&s)
		if (len(all) > 0) != s.Any() {
			t.Fatal("Any and Has differ")
		}
		for _, o := range all {
			e := o.Append(nil)
			if len(e) != o.Size() || len(e) > wire.MaxOptions || e[0] != Kind || int(e[1]) != len(e) {
				t.Fatalf("%+v encodes to % x", o, e)
			}
			again = Set{}
			if r := again.Parse(e[2:], wire.Flags(flags)); r != Fine {
				t.Fatalf("% x of %+v: %v", e, o, r)
			}
			if fmt.Sprintf("%+v", found(&again)[0]) != fmt.Sprintf("%+v", o) {
				t.Fatalf("%+v became %+v", o, found(&again)[0])
			}
		}
	})
}

func BenchmarkParseAll(b *testing.B) {
	seg := segment(ack, (&DSS{HasAck: true, Ack8: true, HasMap: true, DSN8: true, Len: 1400}).Append(nil))
	var s Set
	b.ReportAllocs()
	for b.Loop() {
		ParseAll(seg, false, &s)
	}
}

func BenchmarkAppendDSS(b *testing.B) {
	d := DSS{HasAck: true, Ack8: true, HasMap: true, DSN8: true, Len: 1400}
	buf := make([]byte, 0, 40)
	b.ReportAllocs()
	for b.Loop() {
		buf = d.Append(buf[:0])
	}
}
