package key

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sennit-net/sennit/stack/seq"
)

// vectors reads the lines of a file of testdata/mptcp as fields.
func vectors(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "mptcp", name))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return all
}

func num(t *testing.T, s string, base int) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// RFC 8684 §3.1: token and IDSN are the two ends of the hash of the key.
func TestDerive(t *testing.T) {
	for _, f := range vectors(t, "keys.txt") {
		k := num(t, f[0], 16)
		token, idsn := Derive(k)
		if uint64(token) != num(t, f[1], 16) || uint64(idsn) != num(t, f[2], 16) {
			t.Errorf("key %016x: token %08x IDSN %016x, want %s %s", k, token, uint64(idsn), f[1], f[2])
		}
		if Token(k) != token || IDSN(k) != idsn {
			t.Errorf("key %016x: Token and IDSN differ from Derive", k)
		}
	}
	if IDSN(0).Add(1) != seq.Data(0xe5b2328de0e83dfd) {
		t.Error("the first byte of data follows the IDSN")
	}
}

// RFC 8684 §3.2: own key and nonce come first.
func TestJoinHMAC(t *testing.T) {
	for _, f := range vectors(t, "joins.txt") {
		got := JoinHMAC(num(t, f[0], 16), num(t, f[1], 16), uint32(num(t, f[2], 16)), uint32(num(t, f[3], 16)))
		if hex.EncodeToString(got[:]) != f[4] {
			t.Errorf("keys %s %s: %x, want %s", f[0], f[1], got, f[4])
		}
	}
	a := JoinHMAC(1, 2, 3, 4)
	for _, other := range []MAC{JoinHMAC(2, 1, 3, 4), JoinHMAC(1, 2, 4, 3), JoinHMAC(2, 1, 4, 3)} {
		if a == other {
			t.Error("the HMAC does not tell the two sides apart")
		}
	}
}

// RFC 8684 §3.4.1: rightmost 64 bits over ID, address and port.
func TestAddAddrHMAC(t *testing.T) {
	for _, f := range vectors(t, "addaddrs.txt") {
		got := AddAddrHMAC(num(t, f[0], 16), num(t, f[1], 16), uint8(num(t, f[2], 10)),
			netip.MustParseAddr(f[3]), uint16(num(t, f[4], 10)))
		if got != num(t, f[5], 16) {
			t.Errorf("%v: %016x", f, got)
		}
	}
}

func TestEqual(t *testing.T) {
	m := JoinHMAC(1, 2, 3, 4)
	n := m
	if !Equal(m[:20], n[:20]) || Equal(m[:20], n[:8]) || !Equal64(7, 7) || Equal64(7, 7|1<<63) {
		t.Error("comparison is wrong")
	}
	n[19] ^= 1
	if Equal(m[:20], n[:20]) {
		t.Error("a changed byte went unnoticed")
	}
}
