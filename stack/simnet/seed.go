package simnet

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
)

// TB is the part of testing.TB that Seed needs.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Seed returns the seed for a test's network and logs it. It comes from the
// test's name, so that each test always runs the same; SENNIT_SEED=number
// replays another, SENNIT_SEED=random draws one.
func Seed(t TB) uint64 {
	t.Helper()
	var seed uint64
	switch s := os.Getenv("SENNIT_SEED"); s {
	case "":
		h := fnv.New64a()
		h.Write([]byte(t.Name()))
		seed = h.Sum64()
	case "random":
		seed = rand.Uint64()
	default:
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatalf("SENNIT_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("SENNIT_SEED=%d replays this", seed)
	return seed
}
