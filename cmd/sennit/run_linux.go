package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/uplink"
)

var services = []string{"none", "handover", "interactive", "aggregate"}

// runCommand is `sennit run`.
func runCommand(o runOptions, args []string) error {
	links, err := parseLinks(o.links)
	if err != nil {
		return &exitError{exitOwn, err}
	}
	if !slices.Contains(services, o.service) {
		return &exitError{exitOwn, fmt.Errorf("--service %s: there are %s", o.service, strings.Join(services, ", "))}
	}
	as, err := callerIdentity(o.root)
	if err != nil {
		return &exitError{exitOwn, err}
	}
	if _, err := findCommand(args[0]); err != nil {
		return err
	}
	signals := catchSignals()
	r := &run{options: o, args: args, as: as}
	err = r.execute(links, signals)
	if cerr := r.close(); cerr != nil {
		fmt.Fprintln(os.Stderr, "sennit:", advise(cerr))
		if err == nil {
			err = &exitError{exitOwn, nil}
		}
	}
	var e *exitError
	if err != nil && !errors.As(err, &e) {
		err = &exitError{exitOwn, errors.New(advise(err))}
	}
	return err
}

// run is everything that one `sennit run` has open.
type run struct {
	options runOptions
	args    []string
	as      *identity

	log     *eventLog
	capture *capture
	host    *uplink.Host
	outer   *uplinks
	inner   *inner
	relay   *relay
	stop    context.CancelFunc
}

// execute sets up, runs COMMAND and returns its end.
func (r *run) execute(links []uplink.LinkConfig, signals <-chan os.Signal) error {
	if err := r.setup(links); err != nil {
		return err
	}
	select {
	case s := <-signals: // it came before there was anybody to pass it to
		return &exitError{128 + int(s.(syscall.Signal)), nil}
	default:
	}
	spec := &childSpec{Args: r.args, Env: r.as.env(), Identity: *r.as,
		ResolvConf: r.relay.dns.resolvConf(), Scratch: uplink.DefaultStateDir}
	c, err := startCommand(spec, r.inner.ns)
	if err != nil {
		return err
	}
	c.passSignals(signals)
	hurry := make(chan struct{})
	go func() { <-signals; close(hurry) }()
	r.relay.drain(hurry)
	return c.exitStatus()
}

func (r *run) setup(links []uplink.LinkConfig) (err error) {
	if r.log, err = newEventLog(r.options.events, r.as); err != nil {
		return fmt.Errorf("--events: %w", err)
	}
	if r.capture, err = newCapture(r.options.pcap, r.as); err != nil {
		return fmt.Errorf("--pcap: %w", err)
	}
	if r.host, err = uplink.Setup(uplink.Config{Links: links}); err != nil {
		return err
	}
	if r.outer, err = attachLinks(r.host, r.log, r.capture); err != nil {
		return err
	}
	v4, v6, err := r.host.Spare()
	if err != nil {
		return err
	}
	mtu := 0
	for _, l := range r.host.Links() {
		if mtu == 0 || l.MTU < mtu {
			mtu = l.MTU
		}
	}
	if r.inner, err = newInner(max(mtu, 1280), v4, v6, onLoopback()); err != nil {
		return err
	}
	r.outer.follow(func(v4, v6 bool) {
		if err := r.inner.setFamilies(v4, v6); err != nil {
			r.log.trouble("families", err)
		}
	})
	r.startRelay()
	return nil
}

func (r *run) startRelay() {
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	dialer := mptcp.Dialer{Stack: r.outer.stack, Service: r.options.service}
	r.relay = &relay{ctx: ctx, inner: r.inner, outer: r.outer, dialer: dialer, log: r.log,
		dns: &forwarder{ctx: ctx, ours: r.inner.resolvers(), outer: r.outer, dialer: dialer}}
	r.relay.start()
	r.relay.dns.serveLoopback(r.inner.packets, r.inner.streams)
}

// close takes everything away, in the order in which nothing is used after it
// is gone.
func (r *run) close() error {
	var errs []error
	if r.stop != nil {
		r.stop()
	}
	if r.inner != nil {
		errs = append(errs, r.inner.close())
	}
	if r.relay != nil {
		r.relay.active.Wait()
	}
	if r.outer != nil {
		errs = append(errs, r.outer.stack.Close())
	}
	if r.host != nil {
		errs = append(errs, r.host.Close())
	}
	return errors.Join(append(errs, r.capture.close(), r.log.close())...)
}

// advise turns an error into one line that says what to do.
func advise(err error) string {
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, uplink.ErrPermission), errors.Is(err, tun.ErrPermission), errors.Is(err, syscall.EPERM):
		return line + "; try: sudo " + strings.Join(os.Args[:min(len(os.Args), 2)], " ") + " ..."
	case errors.Is(err, tun.ErrNoDriver):
		return "no TUN devices here: " + line
	}
	return line
}
