package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// sampleEvery is how often a run is measured.
const sampleEvery = 100 * time.Millisecond

// demoServer is the server's address, the same on every link.
var demoServer = netip.MustParseAddr("10.9.0.1")

// demoNetwork is a client and a server joined by emulated links.
type demoNetwork struct {
	links   []demoLink
	service string

	client, server *stack.Stack
	ids            []stack.LinkID    // of the links at the client
	wires          []*tuntest.Device // the client's ends
	http           *http.Server
}

func newDemoNetwork(links []demoLink, scenario string) (n *demoNetwork, err error) {
	n = &demoNetwork{links: links, service: scenario}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.client, err = stack.New(stack.Options{}); err != nil {
		return n, err
	}
	if n.server, err = stack.New(stack.Options{}); err != nil {
		return n, err
	}
	for i := range links {
		if err = n.connect(i); err != nil {
			return n, err
		}
	}
	return n, nil
}

// connect joins client and server by link i.
func (n *demoNetwork) connect(i int) error {
	l := n.links[i]
	// A queue of one and a half round trips at full rate: some buffer bloat, as
	// found in homes, but no second of it.
	queue := max(int(float64(l.Rate)/8*l.Delay.Seconds()*3), 64<<10)
	shape := tuntest.PipeOptions{Name: l.Name, Rate: l.Rate, Delay: l.Delay, Queue: queue, Offload: true, Cut: true}
	near, far := tuntest.Pipe(shape, shape)
	n.wires = append(n.wires, near)

	id, err := attach(n.client, near, stack.Link{Name: l.Name, Class: classes[l.Class], Metric: i,
		Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(i + 1), 2}), 24)}})
	if err != nil {
		return err
	}
	n.ids = append(n.ids, id)
	_, err = attach(n.server, far, stack.Link{Name: l.Name, Class: classes[l.Class], Metric: i,
		Addrs: []netip.Prefix{netip.PrefixFrom(demoServer, 32)}})
	return err
}

var classes = map[string]stack.Class{"wired": stack.Wired, "wifi": stack.WiFi, "cellular": stack.Cellular}

func attach(s *stack.Stack, d *tuntest.Device, l stack.Link) (stack.LinkID, error) {
	ep, err := link.New(d, link.Options{})
	if err != nil {
		return 0, err
	}
	l.Endpoint = ep
	return s.AttachLink(l)
}

func (n *demoNetwork) close() {
	if n.http != nil {
		n.http.Close()
	}
	for _, s := range []*stack.Stack{n.client, n.server} {
		if s != nil {
			s.Close()
		}
	}
}

// Trailers of the server's answer.
const (
	trailerCount = "X-Count"
	trailerSum   = "X-Sha256"
)

// serve starts the web server: it sends for d, then says what it sent.
func (n *demoNetwork) serve(ctx context.Context, d time.Duration) error {
	lc := mptcp.ListenConfig{Stack: n.server}
	ln, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(demoServer, 80).String())
	if err != nil {
		return err
	}
	n.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", trailerCount+", "+trailerSum)
		source, buf, sum, count := rand.NewChaCha8([32]byte{}), make([]byte, 64<<10), sha256.New(), int64(0)
		for start := time.Now(); time.Since(start) < d && r.Context().Err() == nil; {
			_, _ = source.Read(buf) // it never fails
			sum.Write(buf)
			if _, err := w.Write(buf); err != nil {
				return
			}
			count += int64(len(buf))
		}
		w.Header().Set(trailerCount, strconv.FormatInt(count, 10))
		w.Header().Set(trailerSum, hex.EncodeToString(sum.Sum(nil)))
	}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = n.http.Serve(ln) }() // ends with close
	return nil
}

// run is a download under way.
type demoRun struct {
	net   *demoNetwork
	start time.Time

	mu    sync.Mutex
	conn  *mptcp.Conn // of the download
	marks []demoMark
}

// download fetches from the server over all links, makes the scenario happen
// and measures.
func (n *demoNetwork) download(ctx context.Context, o demoOptions, show func(demoSample, []demoMark)) (*demoResult, error) {
	length := time.Duration(o.seconds) * time.Second
	if err := n.serve(ctx, length); err != nil {
		return nil, err
	}
	run := &demoRun{net: n, start: time.Now()}
	dialer := mptcp.Dialer{Stack: n.client, Service: n.service}
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if mc, ok := c.(*mptcp.Conn); ok {
				run.mu.Lock()
				run.conn = mc
				run.mu.Unlock()
			}
			return c, err
		},
	}}
	defer client.CloseIdleConnections()

	if o.scenario == "handover" {
		lose := time.AfterFunc(length/2, func() { run.lose(0) })
		defer lose.Stop()
	}
	res := &demoResult{Scenario: o.scenario, Links: append([]demoLink(nil), n.links...)}
	stop := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() { run.sample(res, stop, show) })
	err := run.fetch(ctx, &client, res)
	close(stop)
	sampling.Wait()
	if err != nil {
		return nil, err
	}
	for i, b := range run.bytes() {
		res.Links[i].Bytes = b
	}
	res.Marks = run.marks
	res.MPTCP, err = run.conn.MultipathTCP()
	return res, err
}

// fetch reads the whole answer as fast as it comes and compares it with what
// the server says that it sent.
func (r *demoRun) fetch(ctx context.Context, client *http.Client, res *demoResult) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+demoServer.String()+"/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sum, buf, last := sha256.New(), make([]byte, 128<<10), time.Time{}
	for {
		n, err := resp.Body.Read(buf)
		now := time.Now()
		if gap := now.Sub(last); gap > res.Stall && !last.IsZero() {
			res.Stall, res.StallAt = gap, last.Sub(r.start)
		}
		last = now
		sum.Write(buf[:n])
		res.Bytes += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", res.Bytes, err)
		}
	}
	res.Elapsed = last.Sub(r.start)
	res.SHA256 = hex.EncodeToString(sum.Sum(nil))
	res.Intact = resp.Trailer.Get(trailerSum) == res.SHA256 && resp.Trailer.Get(trailerCount) == strconv.FormatInt(res.Bytes, 10)
	return nil
}

// lose takes a link away as an interface going down does: nothing gets through
// and the client's stack is told, the server is not.
func (r *demoRun) lose(i int) {
	r.net.wires[i].SetDown(true)
	_ = r.net.client.SetLinkState(r.net.ids[i], false) // it fails only if the run is over
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, demoMark{At: time.Since(r.start), Link: r.net.links[i].Name})
}

// sample notes until stop how much has arrived over each link.
func (r *demoRun) sample(res *demoResult, stop <-chan struct{}, show func(demoSample, []demoMark)) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s := demoSample{At: time.Since(r.start), Bytes: r.bytes()}
			res.Samples = append(res.Samples, s)
			r.mu.Lock()
			marks := r.marks
			r.mu.Unlock()
			show(s, marks)
		}
	}
}

// bytes returns how much payload has arrived over each link.
func (r *demoRun) bytes() []int64 {
	all := make([]int64, len(r.net.links))
	r.mu.Lock()
	conn := r.conn
	r.mu.Unlock()
	if conn == nil {
		return all
	}
	info := conn.Info()
	for _, sub := range append(info.Past, info.Subflows...) {
		for i, id := range r.net.ids {
			if stack.LinkID(sub.Address.Link) == id {
				all[i] += int64(sub.Received)
			}
		}
	}
	return all
}
