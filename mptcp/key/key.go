// Package key is the cryptography of MPTCP: what is derived from the keys of
// a connection, namely tokens, initial data sequence numbers and the HMACs of
// MP_JOIN and ADD_ADDR.
//
// It makes no keys: randomness is handed in elsewhere. Read RFC 8684 §3.1,
// §3.2 and §3.4.1 first.
package key

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"

	"github.com/sennit-net/sennit/stack/seq"
)

// Derive returns the token, the leftmost 32 bits of SHA-256 of the key, and
// the IDSN, the rightmost 64 (RFC 8684 §3.1).
func Derive(key uint64) (token uint32, idsn seq.Data) {
	var k [8]byte
	binary.BigEndian.PutUint64(k[:], key)
	h := sha256.Sum256(k[:])
	return binary.BigEndian.Uint32(h[:]), seq.Data(binary.BigEndian.Uint64(h[24:]))
}

// Token returns the token of a key (RFC 8684 §3.1).
func Token(key uint64) uint32 { t, _ := Derive(key); return t }

// IDSN returns the initial data sequence number of a key; the first byte of
// data has the number after it (RFC 8684 §3.1).
func IDSN(key uint64) seq.Data { _, d := Derive(key); return d }

// MAC is a whole HMAC-SHA256.
type MAC = [sha256.Size]byte

// JoinHMAC returns the HMAC a host sends in MP_JOIN: own is the sender of the
// HMAC (RFC 8684 §3.2). To check a received one, swap the two sides.
func JoinHMAC(ownKey, peerKey uint64, ownNonce, peerNonce uint32) MAC {
	var msg [8]byte
	binary.BigEndian.PutUint32(msg[:], ownNonce)
	binary.BigEndian.PutUint32(msg[4:], peerNonce)
	return sum(ownKey, peerKey, msg[:])
}

// AddAddrHMAC returns the rightmost 64 bits of the HMAC of an ADD_ADDR whose
// sender has ownKey; port 0 stands for none (RFC 8684 §3.4.1).
func AddAddrHMAC(ownKey, peerKey uint64, id uint8, addr netip.Addr, port uint16) uint64 {
	var buf [1 + 16 + 2]byte
	msg := append(buf[:0], id)
	if addr.Is4() {
		a := addr.As4()
		msg = append(msg, a[:]...)
	} else {
		a := addr.As16()
		msg = append(msg, a[:]...)
	}
	msg = binary.BigEndian.AppendUint16(msg, port)
	m := sum(ownKey, peerKey, msg)
	return binary.BigEndian.Uint64(m[len(m)-8:])
}

// sum is HMAC-SHA256 under the two keys one after the other.
func sum(first, second uint64, msg []byte) (m MAC) {
	var k [16]byte
	binary.BigEndian.PutUint64(k[:], first)
	binary.BigEndian.PutUint64(k[8:], second)
	h := hmac.New(sha256.New, k[:])
	h.Write(msg)
	h.Sum(m[:0])
	return m
}

// Equal compares two MACs, cut to the same length, in constant time.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Equal64 compares two cut MACs in constant time.
func Equal64(a, b uint64) bool {
	var x, y [8]byte
	binary.BigEndian.PutUint64(x[:], a)
	binary.BigEndian.PutUint64(y[:], b)
	return Equal(x[:], y[:])
}
