package gang

import (
	"cmp"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// ref names a pending member.
type ref struct {
	role, member int32
}

// kind is the pending members that are alike in shape and candidates, whatever their role: a gang of
// ten thousand has one to four kinds in practice.
type kind struct {
	shape packing.ShapeID
	// base is the candidates, nodes the same less the banned ones; nil is all nodes.
	base, nodes *packing.Set
	// banned is the role whose bans nodes leaves out; -1 for a kind that any role without bans may join.
	banned int
	// members: first those that minimums of roles need, then those preferred for the rest of the gang's
	// minimum, then those beyond it.
	members []ref
	strict  int
	// required is strict and the preferred rest.
	required int
	// next is the first member without a planned place.
	next int
}

func (r ref) compare(o ref) int {
	return cmp.Or(cmp.Compare(r.role, o.role), cmp.Compare(r.member, o.member))
}

// left returns how many members have no planned place.
func (k *kind) left() int { return len(k.members) - k.next }

// compress sorts the pending members into kinds, and the kinds from hard to place to easy.
func (p *planner) compress(n need) {
	p.extra = n.extra
	of := make([]int, len(p.gang.Roles)) // the kind of each role
	preferred := make([]int, len(p.gang.Roles))
	extra := n.extra
	for r := range p.gang.Roles {
		if len(p.gang.Roles[r].Members) == 0 {
			continue
		}
		of[r] = p.kindOf(r)
		preferred[r] = min(extra, len(p.gang.Roles[r].Members)-n.strict[r])
		extra -= preferred[r]
		k := &p.kinds[of[r]]
		k.strict += n.strict[r]
		k.required += n.strict[r] + preferred[r]
	}
	add := func(r, from, to int) {
		for m := from; m < to; m++ {
			k := &p.kinds[of[r]]
			k.members = append(k.members, ref{role: int32(r), member: int32(m)})
		}
	}
	for r := range p.gang.Roles {
		add(r, 0, n.strict[r])
	}
	for r := range p.gang.Roles {
		add(r, n.strict[r], n.strict[r]+preferred[r])
	}
	for r := range p.gang.Roles {
		add(r, n.strict[r]+preferred[r], len(p.gang.Roles[r].Members))
	}
	p.harden()
}

// kindOf returns the kind that the role belongs to, by its place, adding it if need be.
func (p *planner) kindOf(r int) int {
	role := &p.gang.Roles[r]
	banned := -1
	if slices.ContainsFunc(p.gang.Bans, func(b Ban) bool { return b.Role == r }) {
		banned = r
	}
	for i := range p.kinds {
		k := &p.kinds[i]
		if k.shape == role.Shape && k.base == role.Nodes && k.banned == banned {
			return i
		}
	}
	k := kind{shape: role.Shape, base: role.Nodes, nodes: role.Nodes, banned: banned}
	if banned >= 0 {
		k.nodes = p.without(role.Nodes, r)
	}
	p.kinds = append(p.kinds, k)
	return len(p.kinds) - 1
}

// without returns the set less the nodes that refused the role.
func (p *planner) without(nodes *packing.Set, role int) *packing.Set {
	set := &packing.Set{}
	for i := range p.pool.Len() {
		if nodes.Has(i) {
			set.Add(i)
		}
	}
	for _, b := range p.gang.Bans {
		if b.Role == role {
			set.Remove(b.Node)
		}
	}
	return set
}

// hardness is what makes a kind hard to place, in the order in which it counts.
type hardness struct {
	cards     int
	exclusive bool
	memory    device.MiB
	cores     device.CorePercent
	cpu, ram  int64
}

// harden sorts the kinds: what needs much of a node is placed while nodes are empty. Kinds alike in
// size go by how few nodes they fit on, and last by the order of the roles.
func (p *planner) harden() {
	if len(p.kinds) < 2 {
		return
	}
	order := make([]hardness, len(p.kinds))
	places := make([]int, len(p.kinds))
	index := make([]int, len(p.kinds))
	for i := range p.kinds {
		order[i], places[i], index[i] = p.hardness(p.kinds[i].shape), -1, i
	}
	fits := func(i int) int {
		if places[i] < 0 {
			places[i] = p.feasible(&p.kinds[i])
		}
		return places[i]
	}
	slices.SortFunc(index, func(a, b int) int {
		if c := order[b].compare(order[a]); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(fits(a), fits(b)), cmp.Compare(a, b))
	})
	sorted := make([]kind, len(p.kinds))
	for i, k := range index {
		sorted[i] = p.kinds[k]
	}
	p.kinds = sorted
}

func (h hardness) compare(o hardness) int {
	exclusive := 0
	if h.exclusive != o.exclusive {
		exclusive = -1
		if h.exclusive {
			exclusive = 1
		}
	}
	return cmp.Or(cmp.Compare(h.cards, o.cards), exclusive, cmp.Compare(h.memory, o.memory),
		cmp.Compare(h.cores, o.cores), cmp.Compare(h.cpu, o.cpu), cmp.Compare(h.ram, o.ram))
}

// reference is the card on which parts of cards are compared with amounts in MiB.
const reference device.MiB = 80 << 10

func (p *planner) hardness(s packing.ShapeID) hardness {
	shape := p.pool.Shape(s)
	h := hardness{cpu: shape.Resources.MilliCPU, ram: shape.Resources.Memory}
	if shape.Request == nil {
		return h
	}
	for i := range shape.Request.Containers {
		c := &shape.Request.Containers[i]
		h.cards = max(h.cards, c.Count)
		h.exclusive = h.exclusive || c.Cores >= device.WholeCard
		h.memory = h.memory.Add(c.MemoryOn(reference))
		h.cores = h.cores.Add(c.Cores)
	}
	return h
}

// feasible counts the candidates that have room for one member.
func (p *planner) feasible(k *kind) int {
	n := 0
	for i := range p.pool.Len() {
		if k.nodes.Has(i) && p.pool.Fits(i, k.shape).OK() {
			n++
		}
	}
	return n
}
