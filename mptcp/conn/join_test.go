package conn

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/wire"
)

// editJoin changes the MP_JOIN of segments of one form.
func editJoin(form option.Form, edit func(*option.MPJoin)) simnet.Box {
	return simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
		var set option.Set
		option.ParseAll(s, false, &set)
		if set.Has(option.SubJoin) && set.Join.Form == form {
			edit(&set.Join)
			s.SetOther(set.Join.Append(nil))
		}
	})
}

// stripJoin takes the MP_JOIN off segments of one form.
func stripJoin(form option.Form) simnet.Box {
	return simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
		var set option.Set
		option.ParseAll(s, false, &set)
		if set.Has(option.SubJoin) && set.Join.Form == form {
			s.SetOther(nil)
		}
	})
}

// RFC 8684 §3.2: a handshake that lacks MP_JOIN, or whose HMAC is wrong, ends
// in a RST of reason 1, and never disturbs the connection.
func TestJoinRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		box     simnet.Box
		reason1 bool // an MP_TCPRST says so
	}{
		{"token", editJoin(option.OnSYN, func(j *option.MPJoin) { j.Token++ }), false},
		{"nonce", editJoin(option.OnSYN, func(j *option.MPJoin) { j.Nonce++ }), true},
		{"HMAC of the SYN-ACK", editJoin(option.OnSYNACK, func(j *option.MPJoin) { j.MAC[7]++ }), true},
		{"HMAC of the third ACK", editJoin(option.OnACK, func(j *option.MPJoin) { j.MAC[19]++ }), true},
		{"no MP_JOIN on the SYN", stripJoin(option.OnSYN), false},
		{"no MP_JOIN on the SYN-ACK", stripJoin(option.OnSYNACK), true},
		{"no MP_JOIN on the third ACK", stripJoin(option.OnACK), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			reason1 := false
			watch := simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
				var set option.Set
				option.ParseAll(s, false, &set)
				if set.Has(option.SubTCPReset) && set.Reset.Reason == option.ResetMPTCP {
					reason1 = true
				}
			})
			w := newWorld(t, setup{up: 500_000, down: 500_000, boxes: [][]simnet.Box{{}, {c.box, watch}}})
			w.run(time.Minute)
			w.finish()
			if n := count[SubflowEstablished](&w.client); n != 1 {
				t.Errorf("%d subflows stood", n)
			}
			if reason1 != c.reason1 {
				t.Errorf("MP_TCPRST of reason 1: %v, want %v", reason1, c.reason1)
			}
			if has[Fallback](&w.client) {
				t.Error("fell back")
			}
		})
	}
}

// RFC 8684 §3.2: the third ACK is repeated until the peer acknowledges it, and
// no data goes before that.
func TestThirdJoinACKLost(t *testing.T) {
	lost, early := 3, false
	box := simnet.Filter(func(_ mono.Time, d simnet.Direction, s *wire.Segment) bool {
		var set option.Set
		option.ParseAll(s, false, &set)
		if d == simnet.Forward && lost > 0 && s.Len() > 0 {
			early = true
		}
		if set.Has(option.SubJoin) && set.Join.Form == option.OnACK && lost > 0 {
			lost--
			return false
		}
		return true
	})
	w := newWorld(t, setup{up: 20 << 20, down: 1000, boxes: [][]simnet.Box{{}, {box}}})
	w.run(time.Minute)
	w.finish()
	if n := count[SubflowEstablished](&w.client); n != 2 || lost != 0 {
		t.Errorf("%d subflows stood, %d third ACKs to lose", n, lost)
	}
	if early {
		t.Error("data before the third ACK was acknowledged")
	}
}

// RFC 8684 §3.1: no MP_JOIN is sent, and none is taken, before a DSS has come.
func TestNoJoinBeforeDSS(t *testing.T) {
	w := newWorld(t, setup{up: 1000, down: 1000})
	w.dial()
	w.Sleep(15 * time.Millisecond) // SYN-ACK under way
	c := w.client.conn
	if c.phase != offered {
		t.Fatalf("phase %d", c.phase)
	}
	var syn wire.Segment
	syn.Reset()
	syn.Flags = wire.SYN
	syn.SetOther(option.MPJoin{Form: option.OnSYN, Token: c.Token(), Nonce: 1}.Append(nil))
	if _, ok := c.Join(w.Now(), localAddress(0), w.tcpConfig(netip.AddrPortFrom(clientAddrs[0], 9), serverPort), 2, &syn); ok {
		t.Error("a join was accepted")
	}
	if r := c.Refusal(); r != option.ResetMPTCP {
		t.Errorf("refused for %v", r)
	}
}

// RFC 8684 §3.1: the C flag forbids joins to the first address and port.
func TestDenyJoin(t *testing.T) {
	joins := 0
	watch := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		var set option.Set
		option.ParseAll(s, false, &set)
		if d == simnet.Forward && set.Has(option.SubJoin) {
			joins++
		}
	})
	// A path manager that does not care: the machine refuses for it.
	careless := &everyLink{}
	w := newWorld(t, setup{up: 500_000, down: 500_000, boxes: [][]simnet.Box{{watch}, {watch}},
		client: func(c *Config) { c.PathManager = ignoresDeny{careless} },
		server: func(c *Config) { c.DenyJoin = true }})
	w.run(time.Minute)
	w.finish()
	if joins != 0 {
		t.Errorf("%d MP_JOIN were sent", joins)
	}
}

type ignoresDeny struct{ *everyLink }

func (p ignoresDeny) Handle(e policy.Event, v policy.View, cmds []policy.Command) []policy.Command {
	v.DenyFirst = false
	return p.everyLink.Handle(e, v, cmds)
}

// More subflows than allowed are refused with reason 2 (RFC 8684 §3.6).
func TestTooManySubflows(t *testing.T) {
	w := newWorld(t, setup{paths: []simnet.Shape{slow, slow, slow}, up: 1 << 20, down: 1 << 20,
		server: func(c *Config) { c.MaxSubflows = 2 }})
	w.run(time.Minute)
	if r := w.server.conn.Refusal(); r != option.ResetResources {
		t.Errorf("refused for %v", r)
	}
	if n := count[SubflowEstablished](&w.server); n != 2 {
		t.Errorf("%d subflows stood", n)
	}
	w.finish()
}

// RFC 8684 §3.3.8: a subflow marked backup carries no data while another is
// usable, and carries all of it when that dies. MP_PRIO changes the mark.
func TestBackup(t *testing.T) {
	w := newWorld(t, setup{up: 2 << 20, down: 2 << 20, client: func(c *Config) {
		c.PathManager = &backupLink{}
	}})
	w.dial()
	w.Sleep(400 * time.Millisecond)
	for _, s := range []*side{&w.client, &w.server} {
		for _, sub := range s.conn.Info().Subflows {
			if sub.ID != 0 && (sub.Sent != 0 || !sub.Backup) {
				t.Errorf("%s: the backup subflow %+v", s.name, sub)
			}
		}
	}
	w.client.sock.Do(func(now mono.Time) {
		c := w.client.conn
		c.execute(now, policy.Command{Kind: policy.SetPrio, Subflow: 0, Backup: true})
		c.execute(now, policy.Command{Kind: policy.SetPrio, Subflow: 1, Backup: false})
		c.settle(now)
	})
	w.Sleep(250 * time.Millisecond) // the line has a queue
	if s := w.server.conn.sub(0); !s.join.peerBackup {
		t.Error("MP_PRIO did not arrive")
	}
	if s := w.server.conn.sub(1); s.join.peerBackup {
		t.Error("MP_PRIO did not take the mark back")
	}
	w.run(time.Minute)
	w.finish()
}

// backupLink joins from the second link, as backup.
type backupLink struct{}

func (backupLink) Deadline() mono.Time { return 0 }
func (backupLink) Handle(e policy.Event, v policy.View, cmds []policy.Command) []policy.Command {
	if e.Kind == policy.Confirmed {
		cmds = append(cmds, policy.Command{Kind: policy.Open, Address: v.Local[1], Remote: v.Remote, Backup: true})
	}
	return cmds
}

// The peer lost the connection: when all subflows are gone and a join is
// answered with a RST, there is nothing to wait for.
func TestJoinAfterPeerIsGone(t *testing.T) {
	w := newWorld(t, setup{up: 4 << 20, down: 4 << 20})
	w.dial()
	w.Sleep(300 * time.Millisecond)
	// The server forgets everything.
	w.server.sock.Close()
	w.server.host.Unknown = nil
	w.Sleep(time.Second)
	w.client.sock.Do(func(now mono.Time) {
		w.client.conn.Path(now, policy.Event{Kind: policy.LocalRemoved, Address: localAddress(1)})
		w.client.conn.Path(now, policy.Event{Kind: policy.LocalAdded, Address: localAddress(1)})
	})
	w.Sleep(5 * time.Second)
	if w.client.talker.Err == nil {
		t.Errorf("the client still waits: %+v", w.client.conn.Info())
	}
}
