package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// eventLog writes JSON lines. What records events may hold a connection's lock,
// so lines are queued here and written by a goroutine of its own. A nil eventLog
// writes nothing.
type eventLog struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	more   sync.Cond
	queue  []entry
	closed bool
	links  map[policy.Link]string
	last   int // number of the last connection
	err    error
}

// entry is one line.
type entry struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"`
	Connection int       `json:"connection,omitempty"`
	Subflow    *int      `json:"subflow,omitempty"`
	Link       string    `json:"link,omitempty"`
	Local      string    `json:"local,omitempty"`
	Remote     string    `json:"remote,omitempty"`
	MPTCP      *bool     `json:"mptcp,omitempty"`
	Backup     bool      `json:"backup,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Cause      string    `json:"cause,omitempty"`
	Error      string    `json:"error,omitempty"`
	Service    string    `json:"service,omitempty"`
	Bytes      int       `json:"bytes,omitempty"`

	Sent     *uint64              `json:"sent,omitempty"`
	Received *uint64              `json:"received,omitempty"`
	Links    map[string]linkBytes `json:"links,omitempty"`
}

type linkBytes struct {
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
}

// newEventLog opens path for JSON lines; an empty path is no log.
func newEventLog(path string, as *identity) (*eventLog, error) {
	if path == "" {
		return nil, nil
	}
	f, err := as.create(path)
	if err != nil {
		return nil, err
	}
	l := &eventLog{file: f, done: make(chan struct{}), links: map[policy.Link]string{}}
	l.more.L = &l.mu
	go l.write()
	return l, nil
}

func (l *eventLog) write() {
	defer close(l.done)
	buf := bufio.NewWriter(l.file)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.more.Wait()
		}
		queue, closed := l.queue, l.closed
		l.queue = nil
		l.mu.Unlock()
		var errs []error
		for _, e := range queue {
			errs = append(errs, enc.Encode(e))
		}
		if err := errors.Join(append(errs, buf.Flush())...); err != nil {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
		}
		if closed && len(queue) == 0 {
			return
		}
	}
}

func (l *eventLog) add(e entry) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.err != nil {
		return
	}
	l.queue = append(l.queue, e)
	l.more.Signal()
}

// close writes what is queued and returns the first failure to write.
func (l *eventLog) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.closed = true
	l.more.Signal()
	l.mu.Unlock()
	<-l.done
	if err := errors.Join(l.err, l.file.Close()); err != nil {
		return fmt.Errorf("--events: %w", err)
	}
	return nil
}

func (l *eventLog) linkName(id stack.LinkID, name string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links[policy.Link(id)] = name
}

func (l *eventLog) nameOf(id policy.Link) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links[id]
}

func (l *eventLog) link(event, name, cause string) {
	l.add(entry{Event: event, Link: name, Cause: cause})
}

// trouble notes what should not fail but does not end the run.
func (l *eventLog) trouble(what string, err error) {
	l.add(entry{Event: "trouble", Reason: what, Error: err.Error()})
}

// connLog is the log of one connection; nil writes nothing.
type connLog struct {
	log    *eventLog
	number int
	local  netip.AddrPort // the application's end
	remote netip.AddrPort

	mu   sync.Mutex
	won  *attempt // the attempt that became the connection
	over bool     // the application has done with it
}

// connection numbers a new connection.
func (l *eventLog) connection(local, remote netip.AddrPort) *connLog {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	return &connLog{log: l, number: l.last, local: local, remote: remote}
}

// attempt is one of the attempts that race to become a connection. What it
// tells counts only if it wins.
type attempt struct {
	conn *connLog
	held []entry // until it is known
}

// recorder returns what the machine of one attempt tells its events to.
func (c *connLog) recorder() tcp.Recorder {
	if c == nil {
		return nil
	}
	return &attempt{conn: c}
}

// Record implements tcp.Recorder.
func (a *attempt) Record(_ mono.Time, e tcp.Event) {
	c := a.conn
	out := entry{Event: e.Name(), Connection: c.number}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := e.(type) {
	case conn.ConnectionOpened:
		if c.won == nil {
			c.won = a
		}
		out.Local, out.Remote, out.MPTCP = c.local.String(), c.remote.String(), &e.MPTCP
	case conn.SubflowEstablished:
		out.Subflow, out.Link, out.Local, out.Remote = number(e.Sub), c.log.nameOf(e.Link), e.Local.String(), e.Remote.String()
		out.MPTCP, out.Backup = &e.MPTCP, e.Backup
	case conn.SubflowClosed:
		out.Subflow, out.Link, out.Reason = number(e.Sub), c.log.nameOf(e.Link), "closed"
		out.Sent, out.Received = &e.Sent, &e.Received
		// What is aborted after the application has done with it only lingered.
		if e.Reason != nil && (!c.over || !errors.Is(e.Reason, tcp.ErrAborted)) {
			out.Reason = e.Reason.Error()
		}
	case conn.Fallback:
		out.Subflow, out.Cause = number(e.Sub), e.Cause.String()
	case conn.ResetReceived:
		out.Subflow, out.Reason = number(e.Sub), fmt.Sprint(e.Reason)
	case conn.AddAddrReceived:
		out.Remote = e.Addr.String()
	case conn.PathStale:
		out.Subflow = number(e.Sub)
	case conn.PathRevived:
		out.Subflow = number(e.Sub)
	case conn.Reinjected:
		out.Subflow, out.Bytes = number(e.Sub), e.Len
	default:
		return
	}
	out.Time = time.Now()
	switch c.won {
	case nil:
		a.held = append(a.held, out)
	case a:
		for _, h := range a.held {
			c.log.add(h)
		}
		a.held = nil
		c.log.add(out)
	}
}

func number(s policy.Subflow) *int { n := int(s); return &n }

// failed tells that the connection could not be opened.
func (c *connLog) failed(err error) {
	if c == nil {
		return
	}
	c.log.add(entry{Event: "connection_failed", Connection: c.number, Local: c.local.String(), Remote: c.remote.String(), Error: err.Error()})
}

// closed tells the end: what the connection was, how much the application gave
// and got, and why it ended, if not in good order.
func (c *connLog) closed(info conn.Info, sent, received uint64, cause error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	links := map[string]linkBytes{}
	for _, s := range slices.Concat(info.Past, info.Subflows) {
		name := c.log.nameOf(s.Address.Link)
		b := links[name]
		links[name] = linkBytes{b.Sent + s.Sent, b.Received + s.Received}
	}
	e := entry{Event: "connection_closed", Connection: c.number, Local: c.local.String(), Remote: c.remote.String(),
		Sent: &sent, Received: &received, Links: links}
	if cause != nil {
		e.Error = cause.Error()
	}
	c.log.add(e)
}
