package uplink

import (
	"errors"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Firewalls of others (Docker, ufw, firewalld) often drop whatever is
// forwarded. Our packets are forwarded only in form: they are this host's own.
// So their forward chains get two rules for each link that let these pass;
// which answers come back is still decided in our own table.

// chainID names a chain.
type chainID struct {
	Family nftables.TableFamily `json:"family"`
	Table  string               `json:"table"`
	Chain  string               `json:"chain"`
}

func (c chainID) chain() *nftables.Chain {
	return &nftables.Chain{Name: c.Chain, Table: &nftables.Table{Name: c.Table, Family: c.Family}}
}

// filterFamilies are the families whose forward hooks see IP packets.
var filterFamilies = []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}

// foreignChains lists the forward chains of everybody but Sennit.
func foreignChains(c *nftables.Conn) ([]*nftables.Chain, error) {
	var found []*nftables.Chain
	for _, family := range filterFamilies {
		chains, err := c.ListChainsOfTableFamily(family)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			return nil, nftError(err)
		}
		for _, ch := range chains {
			if ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward && ch.Type == nftables.ChainTypeFilter && !ownTable(ch.Table.Name) {
				found = append(found, ch)
			}
		}
	}
	return found, nil
}

// ownTable reports whether a table belongs to an instance of Sennit.
func ownTable(name string) bool { return name == nftName || strings.HasPrefix(name, nftName+"_") }

// passForeign inserts the two rules of a link into each foreign forward chain.
func (h *Host) passForeign(l *Link) error {
	c, err := nftables.New()
	if err != nil {
		return nftError(err)
	}
	chains, err := foreignChains(c)
	if err != nil {
		return err
	}
	for _, ch := range chains {
		id := chainID{Family: ch.Table.Family, Table: ch.Table.Name, Chain: ch.Name}
		if err := h.journal.note(step{Kind: stepPass, Name: l.tunName, Where: id}); err != nil {
			return err
		}
		for _, match := range [][]expr.Any{append(iif(l.tunName), oif(l.Name)...), append(iif(l.Name), oif(l.tunName)...)} {
			// Counter and verdict as iptables writes them, so that it can still
			// list the chains that are its own.
			c.InsertRule(&nftables.Rule{Table: ch.Table, Chain: id.chain(), UserData: mark(l.tunName),
				Exprs: append(match, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept})})
		}
		if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			return nftError(err)
		}
	}
	return nil
}

// mark is the comment by which our rules are known.
func mark(device string) []byte {
	return userdata.AppendString(nil, userdata.TypeComment, device)
}

// removePass undoes passForeign for one chain.
func (s step) removePass() error {
	c, err := nftables.New()
	if err != nil {
		return nftError(err)
	}
	ch := s.Where.chain()
	rules, err := c.GetRules(ch.Table, ch)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return nftError(err)
	}
	for _, r := range rules {
		if comment, ok := userdata.GetString(r.UserData, userdata.TypeComment); ok && comment == s.Name {
			if err := c.DelRule(&nftables.Rule{Table: ch.Table, Chain: ch, Handle: r.Handle}); err != nil {
				return nftError(err)
			}
		}
	}
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return nftError(err)
	}
	return nil
}
