// Package seq is sequence-number arithmetic: 32-bit numbers of TCP
// (RFC 9293 §3.4) and 64-bit data sequence numbers of MPTCP (RFC 8684 §3.3.1).
//
// Comparisons are modular, so a plain < on a Num is always a mistake.
package seq

// Num is a 32-bit TCP sequence number.
type Num uint32

// Add returns n advanced by k bytes; k may be negative.
func (n Num) Add(k int) Num { return n + Num(uint32(k)) }

// Sub returns the signed distance from m to n, in bytes.
func (n Num) Sub(m Num) int { return int(int32(n - m)) }

// Before reports n < m modulo 2^32.
func (n Num) Before(m Num) bool { return int32(n-m) < 0 }

// BeforeEq reports n <= m modulo 2^32.
func (n Num) BeforeEq(m Num) bool { return int32(n-m) <= 0 }

// After reports n > m modulo 2^32.
func (n Num) After(m Num) bool { return int32(n-m) > 0 }

// AfterEq reports n >= m modulo 2^32.
func (n Num) AfterEq(m Num) bool { return int32(n-m) >= 0 }

// In reports whether first <= n < first+size.
func (n Num) In(first Num, size int) bool { return uint32(n-first) < uint32(size) }

// Max returns the later of two numbers.
func Max(a, b Num) Num {
	if a.Before(b) {
		return b
	}
	return a
}

// Min returns the earlier of two numbers.
func Min(a, b Num) Num {
	if a.Before(b) {
		return a
	}
	return b
}

// Data is a 64-bit data sequence number.
type Data uint64

// Add returns d advanced by k bytes; k may be negative.
func (d Data) Add(k int) Data { return d + Data(uint64(int64(k))) }

// Sub returns the signed distance from e to d, in bytes.
func (d Data) Sub(e Data) int64 { return int64(d - e) }

// Before reports d < e modulo 2^64.
func (d Data) Before(e Data) bool { return int64(d-e) < 0 }

// BeforeEq reports d <= e modulo 2^64.
func (d Data) BeforeEq(e Data) bool { return int64(d-e) <= 0 }

// After reports d > e modulo 2^64.
func (d Data) After(e Data) bool { return int64(d-e) > 0 }

// AfterEq reports d >= e modulo 2^64.
func (d Data) AfterEq(e Data) bool { return int64(d-e) >= 0 }

// Expand returns the 64-bit number nearest to expected whose low 32 bits are
// low (RFC 8684 §3.3.1).
func Expand(expected Data, low uint32) Data {
	return expected + Data(int64(int32(low-uint32(expected))))
}
