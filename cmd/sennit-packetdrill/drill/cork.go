//go:build linux

package drill

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// held is the end of what was written under TCP_CORK or MSG_MORE: less than a
// segment, kept back for more to come.
type held struct {
	bytes []byte
	until mono.Time // when it goes anyway
}

// corkTime is Linux's limit for it.
const corkTime = 200 * time.Millisecond

// write gives bytes to the machine. With more set, only whole segments go; the
// rest is held until more comes, the cork is taken out, or time is up.
func (f *flow) write(p []byte, more bool) (n int, err error) {
	if !more && len(f.held.bytes) == 0 {
		return f.push(p)
	}
	if len(f.held.bytes) == 0 {
		f.held.until = f.h.clock.now.Add(corkTime)
	}
	f.held.bytes = append(f.held.bytes, p...)
	whole := len(f.held.bytes)
	if more {
		whole -= whole % max(f.info().MSS, 1)
	}
	taken, err := f.push(f.held.bytes[:whole])
	f.held.bytes = f.held.bytes[taken:]
	if len(f.held.bytes) == 0 {
		f.held = held{}
	} else if taken > 0 {
		f.held.until = f.h.clock.now.Add(corkTime)
	}
	if taken < whole {
		// No room: what was not taken of this write is the caller's again.
		back := min(len(f.held.bytes), len(p))
		f.held.bytes = f.held.bytes[:len(f.held.bytes)-back]
		return len(p) - back, err
	}
	return len(p), nil
}

// push writes to the machine and lets it send.
func (f *flow) push(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	f.h.do(f, func(now mono.Time) { n, err = f.app().Write(now, p) })
	return n, err
}

// release lets go what is held.
func (f *flow) release() {
	b := f.held.bytes
	f.held = held{}
	if n, _ := f.push(b); n < len(b) && !f.over() {
		f.held = held{b[n:], f.h.clock.now.Add(corkTime)}
	}
}
