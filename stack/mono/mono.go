// Package mono is an instant on a monotonic clock, without a way to read one.
//
// The protocol core is handed its time; it never asks. There is therefore no
// Now here: glue converts its clock to a Time, tests count from any origin.
package mono

import "time"

// Time is nanoseconds since an origin the caller chose. The zero Time means
// "unset", so a clock must never hand out zero.
type Time int64

// IsZero reports whether t is unset.
func (t Time) IsZero() bool { return t == 0 }

// Add returns t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the span from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// Reached reports whether t is set and not later than now: a deadline t is due.
func (t Time) Reached(now Time) bool { return t != 0 && t <= now }

// Earliest returns the earlier of two deadlines, where an unset one never
// comes.
func Earliest(t, u Time) Time {
	if t == 0 || (u != 0 && u < t) {
		return u
	}
	return t
}
