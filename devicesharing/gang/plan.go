package gang

import (
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// planner is one planning. What it places in the pool it takes back.
type planner struct {
	pool  *packing.Pool
	gang  *Gang
	kinds []kind
	extra int // needed beyond the minimums of roles, of any kind
	// home is a domain to try before all others.
	home  spot
	taken []taken
	// names caches the order of the nodes by name.
	names []int
	// places caches how many members of a kind fit on a node: by kind, then node; see capacity.
	places [][]int32
	// most is the largest number of required members that any attempt placed, short the kind that the
	// last attempt to place the preferred members did not place.
	most, short int
}

// taken is a planned place.
type taken struct {
	kind   int
	member ref
	at     packing.Placement
}

// attempt is one way of looking for places for the required members.
type attempt struct {
	// first takes the first node that fits instead of the best one, and ignores topology.
	first bool
	// flexible lets any members make up the part of the gang's minimum that no role's minimum asks;
	// otherwise those that the order of the roles prefers.
	flexible bool
}

var attempts = []attempt{{}, {flexible: true}, {first: true}, {first: true, flexible: true}}

// Plan looks for places for the members of a gang: all that its minimums need, or none, and of the rest
// as many as fit. The pool is left as it was.
func Plan(pool *packing.Pool, g Gang) Result {
	if g.Hard {
		return Result{Skip: SkipHardTopology}
	}
	p := planner{pool: pool, gang: &g}
	r := p.search()
	p.undo(0)
	r.gang = g
	return r
}

// search makes the plan, and leaves in the pool what it planned.
func (p *planner) search() Result {
	n := p.gang.needs()
	if missing := p.gang.missing(n); missing > 0 {
		needed := n.total()
		return p.rejected(&Reject{Code: fit.NotNow, Role: -1, Needed: needed, Fits: needed - missing, Counted: true})
	}
	p.compress(n)
	if n.total() == 0 {
		return p.result(0, spot{})
	}
	p.taken = make([]taken, 0, n.total())
	if reject := p.count(); reject != nil {
		return p.rejected(reject)
	}
	for _, a := range attempts {
		// Of one kind every way of filling nodes places equally many.
		if a.flexible && !p.choosable() || a.first && len(p.kinds) == 1 {
			continue
		}
		if at, ok := p.try(a); ok {
			return p.result(len(p.taken), at)
		}
		p.failed(a)
	}
	return p.rejected(p.refusal())
}

// failed notes how far an attempt came, and takes it back.
func (p *planner) failed(a attempt) {
	p.most = max(p.most, len(p.taken))
	if !a.flexible {
		p.short = slices.IndexFunc(p.kinds, func(k kind) bool { return k.next < k.required })
	}
	p.undo(0)
}

// try places the required members.
func (p *planner) try(a attempt) (spot, bool) {
	demand := make([]int, len(p.kinds))
	total := 0
	for i := range p.kinds {
		demand[i] = p.kinds[i].required
		if a.flexible {
			demand[i] = p.kinds[i].strict
		}
		total += demand[i]
	}
	at := p.arrange(demand, a.first)
	if len(p.taken) < total || !a.flexible {
		return at, len(p.taken) == total
	}
	// Easy kinds first: any member serves.
	extra := p.extra
	for i := len(p.kinds) - 1; i >= 0 && extra > 0; i-- {
		extra -= p.fill(i, nil, min(extra, p.kinds[i].left()), a.first)
	}
	return at, extra == 0
}

// choosable reports whether other members than the preferred ones could make up the gang's minimum.
func (p *planner) choosable() bool {
	spare := 0
	for i := range p.kinds {
		spare += len(p.kinds[i].members) - p.kinds[i].strict
	}
	return len(p.kinds) > 1 && p.extra > 0 && p.extra < spare
}

// undo takes back all but the first n places.
func (p *planner) undo(n int) {
	for i := len(p.taken) - 1; i >= n; i-- {
		t := &p.taken[i]
		p.pool.Undo(t.at)
		p.kinds[t.kind].next--
		p.touched(t.at.Node)
	}
	p.taken = p.taken[:n]
}

// result adds the members beyond the minimum to the required ones, which are placed, and reads the plan.
func (p *planner) result(required int, at spot) Result {
	p.elastic(at)
	r := Result{Required: required, Tier: at.tier, Domain: at.name, Members: make([]Member, 0, len(p.taken))}
	for i := range p.taken {
		t := &p.taken[i]
		r.Members = append(r.Members, Member{
			UID: p.uid(t.member), Role: int(t.member.role), Node: t.at.Node, Cards: t.at.Choices,
		})
	}
	r.Left = p.leftover()
	return r
}

func (p *planner) uid(m ref) string { return p.gang.Roles[m.role].Members[m.member] }

// leftover returns the UIDs without a plan, in the order of roles and members.
func (p *planner) leftover() []string {
	var refs []ref
	for i := range p.kinds {
		refs = append(refs, p.kinds[i].members[p.kinds[i].next:]...)
	}
	slices.SortFunc(refs, ref.compare)
	var left []string
	for _, m := range refs {
		left = append(left, p.uid(m))
	}
	return left
}

func (p *planner) rejected(r *Reject) Result {
	var left []string
	for i := range p.gang.Roles {
		left = append(left, p.gang.Roles[i].Members...)
	}
	return Result{Reject: r, Left: left}
}
