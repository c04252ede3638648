package conn

import "github.com/sennit-net/sennit/mptcp/policy"

// PathMTU returns the MTU that subflow sub holds to, in bytes of an IP packet;
// 0: there is no such subflow. After Control it tells whether the error was
// believed.
func (c *Conn) PathMTU(sub int) int {
	if s := c.sub(policy.Subflow(sub)); s != nil {
		return s.tcp.Info().MTU
	}
	return 0
}
