package tcp

import (
	"io"

	"github.com/sennit-net/sennit/stack/chunk"
)

// Unread returns how many bytes wait for Read.
func (s *Stream) Unread() int { return s.in.Len() }

// Unsent returns how many bytes Write queued that the connection has not sent
// yet.
func (s *Stream) Unsent() int { return s.out.Len() }

// Peek is Read that leaves the bytes where they are.
func (s *Stream) Peek(p []byte) (int, error) {
	n := min(len(p), s.in.Len())
	if n == 0 {
		switch {
		case len(p) == 0:
			return 0, nil
		case s.eof || s.noRead:
			return 0, io.EOF
		case s.conn.life.over:
			return 0, s.whyEnded()
		}
		return 0, ErrWouldBlock
	}
	runs := s.in.Range(nil, 0, n)
	at := 0
	for _, r := range runs {
		at += copy(p[at:], r.B)
	}
	chunk.ReleaseAll(runs)
	return n, nil
}
