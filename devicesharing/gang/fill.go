package gang

import (
	"cmp"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// fill places up to want members of a kind on nodes of the set, and returns how many found a place.
func (p *planner) fill(kind int, among *packing.Set, want int, first bool) int {
	nodes := p.kinds[kind].nodes
	if among != nil {
		nodes = packing.Intersect(nodes, among)
	}
	if first {
		return p.fillFirst(kind, nodes, want)
	}
	placed := 0
	for placed < want {
		i, ok := p.pool.Best(p.kinds[kind].shape, nodes)
		if !ok {
			break
		}
		n := p.pack(kind, i, want-placed)
		if n == 0 {
			break
		}
		placed += n
	}
	return placed
}

// pack places members of a kind on the node that the policy chose, for as long as the choice stands: a
// policy that spreads chooses anew for each, the others when the next member would open an idle card,
// because somewhere else may be one that is open.
func (p *planner) pack(kind, node, want int) int {
	if want == 0 || !p.place(kind, node, p.pool.Place) {
		return 0
	}
	if p.pool.PolicyOf(p.kinds[kind].shape) == packing.Spread {
		return 1
	}
	return 1 + p.stack(kind, node, want-1, p.pool.Join)
}

// fillFirst is fill on the first nodes that fit. As all members of a kind are alike, a node that has no
// room for one has none for the next: the walk never turns back.
func (p *planner) fillFirst(kind int, nodes *packing.Set, want int) int {
	placed := 0
	for _, i := range p.byName() {
		if placed == want {
			break
		}
		if nodes.Has(i) {
			placed += p.stack(kind, i, want-placed, p.pool.Place)
		}
	}
	return placed
}

// byName returns the nodes by name.
func (p *planner) byName() []int {
	if p.names == nil {
		p.names = make([]int, p.pool.Len())
		for i := range p.names {
			p.names[i] = i
		}
		slices.SortFunc(p.names, func(a, b int) int { return cmp.Compare(p.pool.Name(a), p.pool.Name(b)) })
	}
	return p.names
}

// take takes what a shape asks on a node: Pool.Place or Pool.Join.
type take func(node int, s packing.ShapeID) (packing.Placement, bool)

// stack places members of a kind on one node until it takes no more or want are placed.
func (p *planner) stack(kind, node, want int, by take) int {
	placed := 0
	for placed < want && p.place(kind, node, by) {
		placed++
	}
	return placed
}

// place gives the next member of a kind a place on the node.
func (p *planner) place(kind, node int, by take) bool {
	k := &p.kinds[kind]
	at, ok := by(node, k.shape)
	if !ok {
		return false
	}
	p.taken = append(p.taken, taken{kind: kind, member: k.members[k.next], at: at})
	k.next++
	p.touched(node)
	return true
}

// elastic places the members beyond the minimum: first on cards of the gang's own nodes that somebody
// uses already, so that they open no card that others could use whole, then in the gang's domain, then
// anywhere.
func (p *planner) elastic(at spot) {
	nodes := p.opened()
	for i := range p.kinds {
		for _, node := range nodes {
			if p.kinds[i].nodes.Has(node) {
				p.stack(i, node, p.kinds[i].left(), p.pool.Join)
			}
		}
	}
	for i := range p.kinds {
		if at.nodes != nil {
			p.fill(i, at.nodes, p.kinds[i].left(), false)
		}
		p.fill(i, nil, p.kinds[i].left(), false)
	}
}

// opened returns the nodes of the gang's planned members, in the order in which they were opened.
func (p *planner) opened() []int {
	var seen packing.Set
	var nodes []int
	for i := range p.taken {
		if node := p.taken[i].at.Node; !seen.Has(node) {
			seen.Add(node)
			nodes = append(nodes, node)
		}
	}
	return nodes
}
