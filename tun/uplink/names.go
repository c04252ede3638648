package uplink

import (
	"fmt"
	"hash/fnv"
)

// devicePrefix is what the names of all our devices start with, and what rules
// of other instances recognise them by.
const devicePrefix = "sennit-"

// maxName is the longest name of an interface (IFNAMSIZ less its NUL).
const maxName = 15

// deviceName makes the name of the n-th TUN device (from 1) for a link. A name
// that is too long keeps its beginning and gets a hash of the whole.
func deviceName(link string, n int) string {
	suffix := ""
	if n > 1 {
		suffix = fmt.Sprintf(".%d", n)
	}
	room := maxName - len(devicePrefix) - len(suffix)
	if len(link) > room {
		h := fnv.New32a()
		h.Write([]byte(link))
		const hash = 4
		link = link[:room-hash] + fmt.Sprintf("%08x", h.Sum32())[:hash]
	}
	return devicePrefix + link + suffix
}
