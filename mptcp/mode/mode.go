// Package mode is the service modes: bundles of a scheduler and a path manager
// under a name that a person can choose.
//
// It has no rule of its own. Read the package docs of mptcp/sched and
// mptcp/pathman first, and RFC 8684 §3.9.
package mode

import (
	"fmt"

	"github.com/sennit-net/sennit/mptcp/pathman"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/mptcp/sched"
)

// The modes by name.
const (
	None        = "none"        // plain TCP
	Handover    = "handover"    // all links joined, the lowest round trip first
	Interactive = "interactive" // the same, for short exchanges
	Aggregate   = "aggregate"   // all links at once
)

// Mode is what one connection is run with. Its parts hold state: make one for
// every connection.
type Mode struct {
	Name        string
	MPTCP       bool  // offer MPTCP at all
	Service     uint8 // handed to the scheduler
	Scheduler   policy.Scheduler
	PathManager policy.PathManager
}

// bundle is a row of the table: names of parts.
type bundle struct {
	name  string
	mptcp bool
	sched string
}

// table is the modes; the place of one is its Service. One scheduler serves
// all that join links: it fills a link before it takes the next, so that a
// transfer larger than the best link's window uses all of them, and an exchange
// that fits uses one.
var table = [...]bundle{
	{None, false, "minrtt"},
	{Handover, true, "minrtt"},
	{Interactive, true, "minrtt"},
	{Aggregate, true, "minrtt"},
}

// New returns a mode for one connection.
func New(name string) (Mode, error) {
	for i, b := range table {
		if b.name != name {
			continue
		}
		s, err := sched.New(b.sched)
		if err != nil {
			return Mode{}, fmt.Errorf("mode %s: %w", name, err)
		}
		return Mode{Name: name, MPTCP: b.mptcp, Service: uint8(i), Scheduler: s,
			PathManager: pathman.NewPerLink()}, nil
	}
	return Mode{}, fmt.Errorf("mode: no mode %q, there are %v", name, Names())
}

// Names returns the modes that New knows, in the order to show them.
func Names() []string {
	names := make([]string, len(table))
	for i, b := range table {
		names[i] = b.name
	}
	return names
}
