package cc

import (
	"math"

	"github.com/sennit-net/sennit/stack/mono"
)

// bbrLoss is what BBR remembers of losses.
type bbrLoss struct {
	roundNext  uint64 // loss_round_delivered
	roundStart bool   // loss_round_start
	inRound    bool   // is_loss_in_round
	ranges     int    // discontiguous ranges lost in this round
	end        uint64 // end of the last range
	repairing  bool   // recovery goes on
	since      int    // the round it began in
	undo       bbrUndo
}

// bbrUndo is what is given back after a recovery for nothing
// (draft-ietf-ccwg-bbr §5.5.11).
type bbrUndo struct {
	valid   bool
	moved   bool // loss ended state, which is Startup or ProbeBW_UP
	state   bbrState
	bwShort float64
	short   int
	long    int
}

// note is NoteLoss: the first loss in a round begins the round anew.
func (b *BBR) note(total uint64) {
	if !b.loss.inRound {
		b.loss.roundNext = total
		b.save()
	}
	b.loss.inRound = true
}

// save is SaveStateUponLoss.
func (b *BBR) save() {
	b.saveCwnd()
	b.loss.undo = bbrUndo{valid: true, bwShort: b.bound.bwShort, short: b.bound.short, long: b.bound.long}
}

// Lost is HandleLostPacket (draft-ietf-ccwg-bbr §5.5.10.2): what was lost of what
// was sent while probing tells how much in flight was too much.
func (b *BBR) Lost(l Lost) {
	b.note(l.Total)
	if b.loss.ranges == 0 || l.Off != b.loss.end {
		b.loss.ranges++
	}
	b.loss.end = l.Off + uint64(l.Bytes)
	if !b.cycle.sample || !b.tooHigh(l.Since, l.InFlight) {
		return
	}
	b.handleTooHigh(b.inflightAtLoss(&l), l.AppLimited, l.Total)
}

// tooHigh is IsInflightTooHigh.
//
// Departs from draft-ietf-ccwg-bbr §5.5.10.2: the threshold has to be exceeded by
// more than chance would (two standard deviations). At a random loss of 1 % a
// flight of a hundred segments loses more than 2 % in every fifth round, and
// the bound would come down to what is in flight for no reason.
func (b *BBR) tooHigh(lost, inFlight int) bool {
	most := bbrLossThresh * float64(inFlight)
	return float64(lost) > most+2*math.Sqrt(most*float64(b.mss)) || lost > 0 && b.noSACK
}

// inflightAtLoss estimates at which volume in flight losses crossed the
// threshold, which may be within a super-segment.
func (b *BBR) inflightAtLoss(l *Lost) int {
	prev := l.InFlight - l.Bytes
	lost := l.Since - l.Bytes
	prefix := (bbrLossThresh*float64(prev) - float64(lost)) / (1 - bbrLossThresh)
	return prev + int(prefix)
}

// handleTooHigh is HandleInflightTooHigh.
func (b *BBR) handleTooHigh(inFlight int, appLimited bool, total uint64) {
	c := &b.cycle
	c.tooHigh, c.sample = true, false // once per probe
	if !appLimited {
		b.bound.long = max(inFlight, int(bbrBeta*float64(b.target())))
	}
	if b.state == bbrUp {
		b.loss.undo.state, b.loss.undo.moved = bbrUp, true
		b.down(total)
	}
}

// Congested tells of a recovery that begins, a timeout, or marks.
func (b *BBR) Congested(e Event) {
	b.save()
	switch e.Kind {
	case Timeout:
		// draft-ietf-ccwg-bbr §5.6.4.4: one segment may leave.
		b.cwnd = max(e.InFlight-e.Lost, 0) + b.mss
		b.repair()
	case Loss:
		b.repair()
	case ECN:
		// draft-ietf-ccwg-bbr §3.5: where packets say that they understand ECN,
		// a mark is a sign of congestion as a loss is (RFC 3168 §5).
		b.loss.inRound = true
		switch {
		case b.state == bbrStartup:
			b.leaveStartup()
			b.loss.undo.valid = false
		case b.cycle.sample:
			b.handleTooHigh(e.InFlight, false, b.round.next)
		}
	}
}

func (b *BBR) repair() {
	if !b.loss.repairing {
		b.loss.repairing, b.loss.since = true, b.round.count
	}
}

// trackRepair restores the window when recovery is over.
func (b *BBR) trackRepair(a *Ack) {
	if b.loss.repairing && !a.Repairing {
		b.loss.repairing = false
		b.restoreCwnd()
	}
}

// Undo is HandleSpuriousLossDetection (draft-ietf-ccwg-bbr §5.5.11.2).
func (b *BBR) Undo(mono.Time) {
	u := b.loss.undo
	if !u.valid {
		return
	}
	b.loss.undo = bbrUndo{}
	b.loss.repairing = false
	b.restoreCwnd()
	b.loss.inRound = false
	b.full.reset(0)
	b.bound.bwShort = max(b.bound.bwShort, u.bwShort)
	b.bound.short = max(b.bound.short, u.short)
	b.bound.long = max(b.bound.long, u.long)
	switch {
	case !u.moved || u.state == b.state:
	case u.state == bbrStartup:
		b.full.reached = false
		if b.state != bbrProbeRTT {
			b.state = bbrStartup
		}
	case b.state != bbrProbeRTT:
		b.startRefill(b.round.next)
	}
}
