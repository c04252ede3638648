package uplink

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// closeFence builds the filter first as if all forwarding had been off, then
// finds out by switching it on, then builds it as it shall be.
func (h *Host) closeFence() error {
	if err := h.journal.note(step{Kind: stepNft, Name: h.nft}); err != nil {
		return err
	}
	for _, l := range h.links {
		h.fences = append(h.fences, fence{tun: l.tunName, link: l.Name, peer4: l.IPv4.Peer, peer6: l.IPv6.Peer,
			closed4: true, closed6: true})
	}
	if err := buildNft(h.nft, h.fences, true); err != nil {
		return err
	}
	for i := range h.fences {
		f := &h.fences[i]
		old, err := h.claim(conf("ipv4", f.link, "forwarding"), "1")
		if err != nil {
			return fmt.Errorf("link %s: switch on IPv4 forwarding: %w", f.link, err)
		}
		f.closed4 = old == "0"
		if f.peer6.IsValid() {
			if err := h.forward6(f); err != nil {
				return fmt.Errorf("link %s: switch on IPv6 forwarding: %w", f.link, err)
			}
		}
	}
	return buildNft(h.nft, h.fences, h.closed6)
}

// forward6 lets IPv6 packets from the link in. Linux 6.17 can do that per
// device. Before, only for the whole host, which then also stops to listen to
// routers unless accept_ra is 2.
func (h *Host) forward6(f *fence) error {
	f.closed6 = false
	all := conf("ipv6", "all", "forwarding")
	if v, err := readSysctl(all); err == nil && v != "0" {
		if _, ours := h.claimed(all); !ours && !h.closed6 {
			return nil // it forwards anyway
		}
	}
	single := conf("ipv6", f.link, "force_forwarding")
	if haveSysctl(single) && !h.config.AllForwarding {
		old, err := h.claim(single, "1")
		f.closed6 = old == "0"
		return err
	}
	if h.closed6 {
		return nil // switched on for an earlier link
	}
	devices, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, d := range devices {
		name := d.Attrs().Name
		ra := conf("ipv6", name, "accept_ra")
		if v, err := readSysctl(ra); err == nil && v == "1" {
			if _, err := h.claim(ra, "2"); err != nil {
				return err
			}
		}
		own := conf("ipv6", name, "forwarding")
		if v, err := readSysctl(own); err == nil && v == "1" {
			if err := h.keep(own, v); err != nil {
				return err
			}
		}
	}
	old, err := h.claim(all, "1")
	h.closed6 = old == "0"
	return err
}
