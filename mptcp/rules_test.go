package mptcp

import (
	"testing"

	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/stack"
)

// repeating is a source of randomness that gives every 8 bytes twice.
type repeating struct{ n byte }

func (r *repeating) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.n / 2
	}
	if len(p) == 8 {
		r.n++
	}
	return len(p), nil
}

// RFC 8684 §3.1: the token of a new key is unique on this host.
func TestKeysHaveUniqueTokens(t *testing.T) {
	s, err := stack.New(stack.Options{Rand: &repeating{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := hostOf(s)
	if hostOf(s) != h {
		t.Fatal("a stack has two tables of tokens")
	}
	seen := map[uint32]bool{}
	for range 50 {
		k, err := h.reserve()
		if err != nil {
			t.Fatal(err)
		}
		if token := key.Token(k); seen[token] {
			t.Fatalf("token %08x given twice", token)
		} else {
			seen[token] = true
		}
	}
	if len(h.tokens) != 50 {
		t.Errorf("%d reservations", len(h.tokens))
	}
	for token := range seen {
		h.forget(token)
	}
	if len(h.tokens) != 0 {
		t.Errorf("%d left", len(h.tokens))
	}
}
