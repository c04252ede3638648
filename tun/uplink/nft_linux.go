package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// nftName is the name of our nftables table; further instances count on.
const nftName = "sennit"

// fence is what the filter needs to know of one link.
type fence struct {
	tun, link string
	peer4     netip.Addr // the stack's addresses
	peer6     netip.Addr
	// Closed4 and closed6: forwarding was off for packets from the link, so
	// nothing that arrives there may be forwarded except to our devices.
	closed4, closed6 bool
}

// freeNftName returns a table name that no table has.
func freeNftName() (string, error) {
	c, err := nftables.New()
	if err != nil {
		return "", err
	}
	tables, err := c.ListTables()
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, t := range tables {
		taken[t.Name] = true
	}
	name := nftName
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s_%d", nftName, n)
	}
	return name, nil
}

// buildNft makes our table in one transaction, or replaces its content: filter
// and masquerade. closedAll6 tells that IPv6 forwarding was off for the whole
// host.
func buildNft(name string, fences []fence, closedAll6 bool) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: name}
	c.AddTable(t) // no error if it exists
	c.DelTable(t)
	c.AddTable(t)
	forward := c.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	nat := c.AddChain(&nftables.Chain{Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	rule := func(chain *nftables.Chain, parts ...[]expr.Any) {
		var e []expr.Any
		for _, p := range parts {
			e = append(e, p...)
		}
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: e})
	}
	for _, f := range fences {
		rule(forward, iif(f.tun), ctState(expr.CtStateBitINVALID), drop)
		rule(forward, iif(f.tun), oif(f.link), accept)
		rule(forward, iif(f.tun), drop)
		rule(forward, oif(f.tun), iif(f.link), ctState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept)
		rule(forward, oif(f.tun), drop)
		if f.closed4 {
			rule(forward, iif(f.link), family(unix.NFPROTO_IPV4), notOursOut, drop)
		}
		if f.closed6 {
			rule(forward, iif(f.link), family(unix.NFPROTO_IPV6), notOursOut, drop)
		}
		if f.peer4.IsValid() {
			rule(nat, oif(f.link), family(unix.NFPROTO_IPV4), source(f.peer4), masquerade)
		}
		if f.peer6.IsValid() {
			rule(nat, oif(f.link), family(unix.NFPROTO_IPV6), source(f.peer6), masquerade)
		}
	}
	if closedAll6 {
		rule(forward, family(unix.NFPROTO_IPV6), notOursIn, notOursOut, drop)
	}
	return nftError(c.Flush())
}

// nftError explains the commonest refusal.
func nftError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("nftables: this kernel cannot masquerade (module nft_masq, nft_chain_nat): %w", err)
	}
	return fmt.Errorf("nftables: %w", err)
}

var (
	accept     = []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop       = []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
	masquerade = []expr.Any{&expr.Masq{}}
	// All instances' devices share a prefix, so one's filter spares the
	// others' packets: a comparison shorter than the name matches its start.
	notOursOut = []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte(devicePrefix)}}
	notOursIn = []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte(devicePrefix)}}
)

// deviceField is a device name as nftables compares it.
func deviceField(name string) []byte {
	return append([]byte(name), bytes.Repeat([]byte{0}, unix.IFNAMSIZ-len(name))...)
}

func iif(name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: deviceField(name)}}
}

func oif(name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: deviceField(name)}}
}

func family(proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
}

// source matches the source address of the IP header.
func source(a netip.Addr) []expr.Any {
	offset := uint32(12) // RFC 791 §3.1
	if a.Is6() {
		offset = 8 // RFC 8200 §3
	}
	b := a.AsSlice()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(b))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b}}
}

// ctState matches packets whose connection is in one of the states.
func ctState(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)}}
}
