package tcp

// Stretch is a part of the sent stream: Len bytes from stream offset Off on.
type Stretch struct {
	Off uint64
	Len int
}

// Missing appends to dst what was sent and the peer has not acknowledged,
// neither cumulatively nor by SACK (RFC 2018), in order. An Upper that can
// send the same bytes elsewhere asks for it.
func (c *Conn) Missing(dst []Stretch) []Stretch {
	first := len(dst)
	for _, p := range c.snd.spans.live() {
		if p.mark.has(sacked) {
			continue
		}
		if n := len(dst); n > first && dst[n-1].Off+uint64(dst[n-1].Len) == p.off {
			dst[n-1].Len += int(p.n)
			continue
		}
		dst = append(dst, Stretch{p.off, int(p.n)})
	}
	return dst
}
