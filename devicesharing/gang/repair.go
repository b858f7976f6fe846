package gang

import (
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// MaxRepairs is how often a plan is repaired before the refused members are left to scoring: nodes that
// refuse for reasons the planner does not see could be many.
const MaxRepairs = 3

// Repair plans anew for the members whose node refused them, and keeps what was not refused. The bans
// add up over repairs. Members for which placed is true have their place: they must be in the pool
// already, and are in the new plan no more. A nil placed means none.
//
// Required members that find no place around those that stay make all of the gang be planned anew. After
// MaxRepairs the refused members are Left.
func (r Result) Repair(pool *packing.Pool, placed func(uid string) bool, bans ...Ban) Result {
	if r.Skip != "" {
		return r
	}
	x := repair{pool: pool, last: &r, gang: r.gang.after(placed, bans)}
	if r.Reject == nil {
		x.sort(placed)
		if r.Repairs >= MaxRepairs {
			return x.giveUp()
		}
		if repaired, ok := x.around(); ok {
			return repaired
		}
	}
	fresh := Plan(pool, x.gang)
	fresh.Repairs = r.Repairs + 1
	return fresh
}

// after returns the gang with more bans and without the members that have their place by now.
func (g Gang) after(placed func(uid string) bool, bans []Ban) Gang {
	g.Bans = slices.Concat(g.Bans, bans)
	g.Roles = slices.Clone(g.Roles)
	for i := range g.Roles {
		role := &g.Roles[i]
		pending := make([]string, 0, len(role.Members))
		for _, uid := range role.Members {
			if placed == nil || !placed(uid) {
				pending = append(pending, uid)
			}
		}
		role.Placed += len(role.Members) - len(pending)
		role.Members = pending
	}
	return g
}

// repair is one repair of a plan.
type repair struct {
	pool *packing.Pool
	last *Result
	gang Gang

	// required and elastic members that keep their node, and those of each that were refused.
	required, elastic               []Member
	requiredRefused, elasticRefused []Member
	pinned                          []packing.Placement
}

// sort divides the members of the last plan.
func (x *repair) sort(placed func(uid string) bool) {
	for i, m := range x.last.Members {
		keep, refused := &x.required, &x.requiredRefused
		if i >= x.last.Required {
			keep, refused = &x.elastic, &x.elasticRefused
		}
		switch {
		case placed != nil && placed(m.UID):
		case slices.Contains(x.gang.Bans, Ban{Role: m.Role, Node: m.Node}):
			*refused = append(*refused, m)
		default:
			*keep = append(*keep, m)
		}
	}
}

// giveUp leaves the refused members to scoring.
func (x *repair) giveUp() Result {
	r := *x.last
	r.gang = x.gang
	r.Members = slices.Concat(x.required, x.elastic)
	r.Required = len(x.required)
	r.Left = slices.Clone(r.Left)
	for _, m := range slices.Concat(x.requiredRefused, x.elasticRefused) {
		r.Left = append(r.Left, m.UID)
	}
	return r
}

// around plans the refused members around those that stay.
func (x *repair) around() (Result, bool) {
	defer x.unpin()
	required, lost := x.pin(x.required)
	a := planner{pool: x.pool, gang: x.only(slices.Concat(x.requiredRefused, lost), true), home: x.home()}
	defer a.undo(0)
	first := a.search()
	if first.Reject != nil {
		return Result{}, false
	}
	elastic, lost := x.pin(x.elastic)
	b := planner{pool: x.pool, gang: x.only(slices.Concat(x.elasticRefused, lost), false), home: a.home}
	defer b.undo(0)
	rest := b.search()
	r := Result{
		Members:  slices.Concat(required, first.Members, elastic, rest.Members),
		Required: len(required) + len(first.Members),
		Left:     rest.Left, Repairs: x.last.Repairs + 1, gang: x.gang,
	}
	r.Tier, r.Domain = x.spot(r.Members[:r.Required])
	return r, true
}

// pin takes the places of members that stay, and returns those that still have them. The pool may have
// changed since the plan.
func (x *repair) pin(members []Member) (kept, lost []Member) {
	for _, m := range members {
		at, ok := x.pool.Place(m.Node, x.gang.Roles[m.Role].Shape)
		if !ok {
			lost = append(lost, m)
			continue
		}
		x.pinned = append(x.pinned, at)
		m.Cards = at.Choices
		kept = append(kept, m)
	}
	return kept, lost
}

func (x *repair) unpin() {
	for _, at := range slices.Backward(x.pinned) {
		x.pool.Undo(at)
	}
}

// only is the gang of these members alone, all of them needed or none. Those that are not needed come
// with the ones that the last plan left.
func (x *repair) only(members []Member, needed bool) *Gang {
	g := Gang{Roles: slices.Clone(x.gang.Roles), Tiers: x.gang.Tiers, Bans: x.gang.Bans}
	wanted := map[string]bool{}
	for _, m := range members {
		wanted[m.UID] = true
	}
	if needed {
		g.MinAvailable = len(members)
	} else {
		for _, uid := range x.last.Left {
			wanted[uid] = true
		}
	}
	for i := range g.Roles {
		role := &g.Roles[i]
		role.Placed, role.Min = 0, 0
		role.Members = slices.DeleteFunc(slices.Clone(role.Members), func(uid string) bool { return !wanted[uid] })
	}
	return &g
}

// home is the domain of the last plan.
func (x *repair) home() spot {
	for _, t := range x.gang.Tiers {
		for _, d := range t.Domains {
			if t.Name == x.last.Tier && d.Name == x.last.Domain {
				return spot{tier: t.Name, name: d.Name, nodes: d.Nodes}
			}
		}
	}
	return spot{}
}

// spot names the tightest domain that holds all the members.
func (x *repair) spot(members []Member) (tier, domain string) {
	for _, t := range x.gang.Tiers {
		for _, d := range t.Domains {
			if !slices.ContainsFunc(members, func(m Member) bool { return !d.Nodes.Has(m.Node) }) {
				return t.Name, d.Name
			}
		}
	}
	return "", ""
}
