//go:build linux

package drill

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
)

// Override names the environment variable that names a file of settings, lines
// of `key = value`, which count before those of the namespace: for what the
// kernel at hand refuses.
const Override = "SENNIT_PACKETDRILL_SYSCTL"

// settings are the namespace's. They are read when they are first asked for,
// after whatever the script set up.
type settings struct {
	override map[string]string
	read     func(path string) (string, error)
}

func readFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}

func loadSettings() *settings {
	s := &settings{override: map[string]string{}, read: readFile}
	if name := os.Getenv(Override); name != "" {
		if text, err := readFile(name); err == nil {
			s.override = parseSettings(text)
		}
	}
	return s
}

// parseSettings reads lines of `key = value`; # and ; begin a comment.
func parseSettings(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || line[0] == '#' || line[0] == ';' {
			continue
		}
		key = strings.TrimPrefix(strings.TrimSpace(key), "/proc/sys/")
		m[strings.ReplaceAll(key, "/", ".")] = strings.TrimSpace(value)
	}
	return m
}

// text returns a setting by its dotted name, "" if there is none.
func (s *settings) text(key string) string {
	if v, ok := s.override[key]; ok {
		return v
	}
	v, err := s.read("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(v)
}

// number returns the first number of a setting, or what holds without one.
func (s *settings) number(key string, otherwise int) int { return s.nth(key, 0, otherwise) }

func (s *settings) nth(key string, i, otherwise int) int {
	if w := strings.Fields(s.text(key)); i < len(w) {
		if n, err := strconv.ParseInt(w[i], 0, 64); err == nil {
			return int(n)
		}
	}
	return otherwise
}

// controller returns what makes the congestion controller called name, or the
// namespace's, or nil: the default.
func (s *settings) controller(name string) func(cc.Config) cc.Controller {
	if name == "" {
		name = s.text("net.ipv4.tcp_congestion_control")
	}
	name = ourName(name)
	if _, err := cc.New(name, cc.Config{MSS: 1460}); err != nil {
		return nil
	}
	idle := s.number("net.ipv4.tcp_slow_start_after_idle", 1) != 0
	return func(c cc.Config) cc.Controller {
		ctl, err := cc.New(name, c)
		if err != nil {
			ctl = cc.NewCubic(c)
		}
		if _, models := ctl.(cc.Modeller); idle || models {
			return ctl
		}
		return restless{ctl}
	}
}

// restless is a controller that keeps its window over a pause
// (tcp_slow_start_after_idle = 0).
type restless struct{ cc.Controller }

// Idle does nothing.
func (restless) Idle(mono.Time, time.Duration) {}

// Resize tells the controller of a new segment size, if it wants to know.
func (r restless) Resize(mss int) {
	if c, ok := r.Controller.(interface{ Resize(mss int) }); ok {
		c.Resize(mss)
	}
}

// ourName is the name here of a controller that Linux calls otherwise.
func ourName(name string) string {
	if name == "reno" {
		return "newreno"
	}
	return name
}

// endpoints are the further addresses that Multipath TCP may use, from the
// setting sennit.mptcp_endpoints.
func (s *settings) endpoints() []netip.Addr {
	var all []netip.Addr
	for _, w := range strings.Fields(s.text("sennit.mptcp_endpoints")) {
		if a, err := netip.ParseAddr(w); err == nil {
			all = append(all, a)
		}
	}
	return all
}
