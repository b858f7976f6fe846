package gang

import (
	"github.com/basalt-gpu/basalt/devicesharing/fit"
)

// required returns how many members must be placed.
func (p *planner) required() int {
	required := p.extra
	for i := range p.kinds {
		required += p.kinds[i].strict
	}
	return required
}

// count refuses the gang when there are too few places for a kind, each kind counted by itself. It stops
// where there are enough. One member is tried as fast as counted.
func (p *planner) count() *Reject {
	if p.required() == 1 || p.enough(func(k *kind) int { return k.required }) {
		return nil
	}
	// Other members than the preferred ones may make up the minimum.
	total, held := p.extra, 0
	for i := range p.kinds {
		k := &p.kinds[i]
		total += k.strict
		places := p.upTo(i, len(k.members))
		if places < k.strict {
			return p.refuse(i, k.strict, places)
		}
		held += places
	}
	if held >= total {
		return nil
	}
	return p.refuse(p.shortKind(), total, held)
}

// enough reports whether each kind has as many places as asked.
func (p *planner) enough(asked func(*kind) int) bool {
	for i := range p.kinds {
		if want := asked(&p.kinds[i]); p.upTo(i, want) < want {
			return false
		}
	}
	return true
}

// upTo counts places of a kind until there are limit.
func (p *planner) upTo(kind, limit int) int {
	places := 0
	if _, any := p.pool.Best(p.kinds[kind].shape, p.kinds[kind].nodes); !any {
		return 0 // known without a look at every node
	}
	for node := 0; node < p.pool.Len() && places < limit; node++ {
		places += p.placesOn(kind, node)
	}
	return min(places, limit)
}

// shortKind returns the first kind that has too few places for its preferred members.
func (p *planner) shortKind() int {
	for i := range p.kinds {
		if p.upTo(i, p.kinds[i].required) < p.kinds[i].required {
			return i
		}
	}
	return 0
}

// refuse is the refusal by count.
func (p *planner) refuse(kind, needed, fits int) *Reject {
	return &Reject{
		Code: p.code(), Role: int(p.kinds[kind].members[0].role), Shape: p.kinds[kind].shape,
		Needed: needed, Fits: fits, Counted: true,
	}
}

// refusal is the refusal after all attempts. A single member was tried on every node.
func (p *planner) refusal() *Reject {
	k := &p.kinds[p.short]
	needed := p.required()
	return &Reject{
		Code: p.code(), Role: int(k.members[0].role), Shape: k.shape, Needed: needed, Fits: p.most, Counted: needed == 1,
	}
}

// code says whether the gang could fit on its candidates when they are idle and healthy. It is Never
// only if a kind by itself has too few places there: a gang that may have a chance is not refused for
// good.
func (p *planner) code() fit.Code {
	total, held := p.extra, 0
	for i := range p.kinds {
		k := &p.kinds[i]
		places := p.idleUpTo(i, len(k.members))
		if places < k.strict {
			return fit.Never
		}
		total += k.strict
		held += places
	}
	if held < total {
		return fit.Never
	}
	return fit.NotNow
}

// idleUpTo counts the places of a kind on idle, healthy nodes until there are limit. Banned nodes count:
// what they refused by may change.
func (p *planner) idleUpTo(kind, limit int) int {
	places := 0
	for node := 0; node < p.pool.Len() && places < limit; node++ {
		if p.kinds[kind].base.Has(node) {
			places += p.pool.IdleReplicas(node, p.kinds[kind].shape, limit-places)
		}
	}
	return places
}
