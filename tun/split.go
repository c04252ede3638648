package tun

import "encoding/binary"

// TCP flag bits as they lie in byte 13 of the header.
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// Splitter turns packets that a device does not take into packets it takes:
// it cuts super-packets and computes checksums. It keeps its buffers for reuse;
// the zero Splitter is ready. Not safe for concurrent use.
type Splitter struct {
	header []byte   // the headers of the super-packet, its checksums cleared
	out    [][]byte // the packet being emitted: a copy of the headers, then payload
	head   []byte
}

// Split emits packet, cut and completed as m says, as ordinary packets with
// complete checksums. The slices given to emit are valid until it returns; an
// error of emit ends the work. Packet itself is not written to, nor kept.
func (s *Splitter) Split(packet [][]byte, m Meta, emit func(packet [][]byte) error) error {
	if m.GSO == GSONone {
		if !m.NeedsCsum {
			return emit(packet)
		}
		return s.complete(packet, m, emit)
	}
	total := 0
	for _, b := range packet {
		total += len(b)
	}
	l3, err := s.parse(packet, m, total)
	if err != nil {
		return err
	}
	rest := cursor{bufs: packet}
	rest.skip(len(s.header))
	left := total - len(s.header)
	for i := 0; ; i++ {
		n := min(left, int(m.MSS))
		left -= n
		s.out = append(s.out[:0], s.segment(l3, i, n, left == 0, m))
		s.out = rest.take(s.out, n)
		s.finish(l3, n, m.GSO)
		if err := emit(s.out); err != nil || left == 0 {
			clear(s.out)
			return err
		}
	}
}

// parse copies the headers of a super-packet into s.header and returns the
// length of the IP header.
func (s *Splitter) parse(packet [][]byte, m Meta, total int) (l3 int, err error) {
	l3 = int(m.CsumStart)
	least := 20
	if m.GSO == GSOTCPv6 {
		least = 40
	}
	if !m.NeedsCsum || m.MSS == 0 || m.CsumOffset != 16 || l3 < least || total < l3+20 || total > MaxPacket {
		return 0, ErrBadPacket
	}
	s.header = gather(s.header[:0], packet, l3+20)
	n := l3 + int(s.header[l3+12]>>4)*4
	if n < l3+20 || n > total {
		return 0, ErrBadPacket
	}
	s.header = gather(s.header[:0], packet, n)
	switch v := s.header[0] >> 4; {
	case m.GSO == GSOTCPv4 && (v != 4 || int(s.header[0]&0xf)*4 != l3),
		m.GSO == GSOTCPv6 && v != 6:
		return 0, ErrBadPacket
	}
	return l3, nil
}

// segment returns the headers of segment i with n bytes of payload, all but
// their checksums.
func (s *Splitter) segment(l3, i, n int, last bool, m Meta) []byte {
	s.head = append(s.head[:0], s.header...)
	h, tcp := s.head, s.head[l3:]
	if m.GSO == GSOTCPv4 {
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)+n))
		// RFC 6864 §4.1: with DF set the identification means nothing; without
		// it, it has to differ from segment to segment.
		id := binary.BigEndian.Uint16(h[4:])
		binary.BigEndian.PutUint16(h[4:], id+uint16(i))
	} else {
		binary.BigEndian.PutUint16(h[4:], uint16(len(h)+n-40))
	}
	seq := binary.BigEndian.Uint32(tcp[4:])
	binary.BigEndian.PutUint32(tcp[4:], seq+uint32(i)*uint32(m.MSS))
	if !last {
		tcp[13] &^= tcpFIN | tcpPSH
	}
	// RFC 3168 §6.1.2: CWR goes out once. RFC 9768 §3.2.2 counts it, with AE and
	// ECE, on every segment.
	if i > 0 && m.CWRFirst {
		tcp[13] &^= tcpCWR
	}
	return h
}

// finish computes the checksums of the segment in s.out, whose first piece is
// the headers and which has n bytes of payload.
func (s *Splitter) finish(l3, n int, t GSOType) {
	h := s.out[0]
	if t == GSOTCPv4 {
		h[10], h[11] = 0, 0
		binary.BigEndian.PutUint16(h[10:], ^fold(sum(h[:l3], 0)))
	}
	tcp := h[l3:]
	tcp[16], tcp[17] = 0, 0
	acc := pseudo(h, protoTCP, len(tcp)+n)
	acc = sum(tcp, acc) // a multiple of four bytes: what follows is aligned
	acc = sumAll(s.out[1:], acc)
	binary.BigEndian.PutUint16(tcp[16:], ^fold(acc))
}

// complete emits packet with the checksum that m leaves open.
func (s *Splitter) complete(packet [][]byte, m Meta, emit func([][]byte) error) error {
	at := int(m.CsumStart) + int(m.CsumOffset)
	total := 0
	for _, b := range packet {
		total += len(b)
	}
	if at+2 > total || m.CsumOffset%2 != 0 {
		return ErrBadPacket
	}
	s.head = gather(s.head[:0], packet, at+2)
	rest := cursor{bufs: packet}
	rest.skip(at + 2)
	s.out = rest.take(append(s.out[:0], s.head), total-at-2)
	acc := sumAll(s.out[1:], sum(s.head[m.CsumStart:], 0))
	v := ^fold(acc)
	if v == 0 {
		v = 0xffff // RFC 768: zero would mean that UDP has no checksum
	}
	binary.BigEndian.PutUint16(s.head[at:], v)
	err := emit(s.out)
	clear(s.out)
	return err
}

// gather appends the first n bytes of bufs to dst.
func gather(dst []byte, bufs [][]byte, n int) []byte {
	for _, b := range bufs {
		k := min(n, len(b))
		dst = append(dst, b[:k]...)
		if n -= k; n == 0 {
			break
		}
	}
	return dst
}

// cursor walks over the bytes of bufs.
type cursor struct {
	bufs [][]byte
	off  int // into bufs[0]
}

func (c *cursor) skip(n int) {
	for n > 0 {
		k := min(n, len(c.bufs[0])-c.off)
		n -= k
		c.advance(k)
	}
}

// take appends the next n bytes to dst, in pieces.
func (c *cursor) take(dst [][]byte, n int) [][]byte {
	for n > 0 {
		k := min(n, len(c.bufs[0])-c.off)
		if k > 0 {
			dst = append(dst, c.bufs[0][c.off:c.off+k])
		}
		n -= k
		c.advance(k)
	}
	return dst
}

func (c *cursor) advance(n int) {
	if c.off += n; c.off == len(c.bufs[0]) {
		c.bufs, c.off = c.bufs[1:], 0
	}
}
