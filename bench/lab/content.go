package lab

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"
	"time"
)

// Content is a stream of n bytes that is the same every time and repeats
// nowhere: a byte that is lost, doubled or moved changes the hash.
func Content(n int64) io.Reader {
	block, err := aes.NewCipher([]byte("sennit test data"))
	if err != nil {
		panic(err) // the key has a legal length
	}
	stream := cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, aes.BlockSize)), R: zeros{}}
	return io.LimitReader(stream, n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var sums sync.Map // int64 -> string

// Sum is the SHA-256 of Content(n) in hexadecimal.
func Sum(n int64) string {
	if s, ok := sums.Load(n); ok {
		return s.(string)
	}
	h := sha256.New()
	_, _ = io.Copy(h, Content(n)) // neither side can fail
	s := hex.EncodeToString(h.Sum(nil))
	sums.Store(n, s)
	return s
}

// GapHeader is where the upload handler reports the longest pause.
const GapHeader = "X-Longest-Gap"

// GapReader notes the longest time between two successful reads.
type GapReader struct {
	r       io.Reader
	last    time.Time
	Longest time.Duration
	// At is when the longest pause began.
	At time.Time
}

// NewGapReader reads from r. The wait for the first byte does not count.
func NewGapReader(r io.Reader) *GapReader { return &GapReader{r: r} }

// Read implements io.Reader.
func (g *GapReader) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if n > 0 {
		now := time.Now()
		if gap := now.Sub(g.last); !g.last.IsZero() && gap > g.Longest {
			g.Longest, g.At = gap, g.last
		}
		g.last = now
	}
	return n, err
}
