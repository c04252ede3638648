package tcp

// PathMTU returns the MTU the connection holds to, in bytes of an IP packet:
// after Control it tells whether the error was believed. sub is ignored.
func (s *Stream) PathMTU(sub int) int { return s.conn.opt.mtu }
