package gang

import (
	"cmp"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// maxTrials bounds the domains of one tier that are tried for the whole gang. That a domain has enough
// places for each kind does not say that all kinds fit together; with one kind it does.
const maxTrials = 8

// spot is the domain that holds all required members; the zero spot is everywhere.
type spot struct {
	tier, name string
	nodes      *packing.Set
}

// room is a domain and the places in it.
type room struct {
	name   string
	nodes  *packing.Set
	places []int // by kind, each as if it were alone
}

// holds returns how many of the demanded members find a place if each kind is alone, and how many more
// places there are.
func (r *room) holds(demand []int) (held, surplus int) {
	for k, want := range demand {
		held += min(r.places[k], want)
		surplus += max(0, r.places[k]-want)
	}
	return held, surplus
}

// arrange places the demanded number of each kind: in the tightest domain that holds all, else in few
// domains. It places what it can.
func (p *planner) arrange(demand []int, first bool) spot {
	if first {
		p.fillAll(demand, nil, true)
		return spot{}
	}
	total := sum(demand)
	if p.home.nodes != nil {
		if p.fillAll(demand, p.home.nodes, false); len(p.taken) == total {
			return p.home
		}
		p.undo(0)
	}
	for t := range p.gang.Tiers {
		tier := &p.gang.Tiers[t]
		for trial, r := range p.holding(tier, demand) {
			if trial == maxTrials {
				break
			}
			p.spill(demand, r.nodes, t)
			if len(p.taken) == total {
				return spot{tier: tier.Name, name: r.name, nodes: r.nodes}
			}
			p.undo(0)
		}
	}
	p.spill(demand, nil, len(p.gang.Tiers))
	return spot{}
}

// holding returns the domains of a tier that have places for the whole demand, the tightest first.
func (p *planner) holding(t *Tier, demand []int) []*room {
	total := sum(demand)
	var holding []*room
	rooms := p.rooms(t, nil)
	for i := range rooms {
		if held, _ := rooms[i].holds(demand); held == total {
			holding = append(holding, &rooms[i])
		}
	}
	slices.SortFunc(holding, func(a, b *room) int { return a.compare(b, demand) })
	return holding
}

// spill places a demand that no domain of the tiers below t holds: it takes domains of the next tier
// one after the other, the tightest that holds all that is left, else the one that holds most, and
// inside of each goes on with the tier below, down to single nodes.
func (p *planner) spill(demand []int, within *packing.Set, t int) {
	left := slices.Clone(demand)
	if t > 0 {
		rooms := p.rooms(&p.gang.Tiers[t-1], within)
		for sum(left) > 0 && len(rooms) > 0 {
			best := &rooms[0]
			for i := range rooms {
				if rooms[i].compare(best, left) < 0 {
					best = &rooms[i]
				}
			}
			if held, _ := best.holds(left); held == 0 {
				break
			}
			before := len(p.taken)
			p.spill(left, best.nodes, t-1)
			p.subtract(left, before)
			p.measure(best)
			if len(p.taken) == before {
				clear(best.places)
			}
		}
	}
	p.fillAll(left, within, false)
}

// subtract takes from a demand what was placed since.
func (p *planner) subtract(demand []int, since int) {
	for i := since; i < len(p.taken); i++ {
		demand[p.taken[i].kind]--
	}
}

// fillAll places a demand on nodes of a set, hard kinds first.
func (p *planner) fillAll(demand []int, among *packing.Set, first bool) {
	for i, want := range demand {
		p.fill(i, among, want, first)
	}
}

// rooms measures the domains of a tier.
func (p *planner) rooms(t *Tier, within *packing.Set) []room {
	rooms := make([]room, len(t.Domains))
	for i := range t.Domains {
		d := &t.Domains[i]
		rooms[i] = room{name: d.Name, nodes: packing.Intersect(within, d.Nodes), places: make([]int, len(p.kinds))}
		p.measure(&rooms[i])
	}
	return rooms
}

func (p *planner) measure(r *room) {
	for k := range r.places {
		r.places[k] = p.placesIn(k, r.nodes)
	}
}

// compare orders domains: what holds more of the demand first, tight before wide.
func (r *room) compare(o *room, demand []int) int {
	held, surplus := r.holds(demand)
	otherHeld, otherSurplus := o.holds(demand)
	return cmp.Or(cmp.Compare(otherHeld, held), cmp.Compare(surplus, otherSurplus), cmp.Compare(r.name, o.name))
}

// placesIn counts the places for a kind on nodes of the set, each kind by itself.
func (p *planner) placesIn(kind int, among *packing.Set) int {
	n := 0
	among.Each(func(node int) bool {
		n += p.placesOn(kind, node)
		return true
	})
	return n
}

// unknown marks a number of places that is not counted yet.
const unknown = -1

// placesOn returns how many members of a kind fit on the node as it is now.
func (p *planner) placesOn(kind, node int) int {
	if !p.kinds[kind].nodes.Has(node) {
		return 0
	}
	if p.places == nil {
		p.places = make([][]int32, len(p.kinds))
	}
	if p.places[kind] == nil {
		p.places[kind] = slices.Repeat([]int32{unknown}, p.pool.Len())
	}
	at := &p.places[kind][node]
	if *at == unknown {
		k := &p.kinds[kind]
		*at = int32(p.pool.MaxReplicas(node, k.shape, len(k.members)))
	}
	return int(*at)
}

// touched forgets the places on a node that changed.
func (p *planner) touched(node int) {
	for _, nodes := range p.places {
		if nodes != nil {
			nodes[node] = unknown
		}
	}
}

func sum(list []int) int {
	total := 0
	for _, v := range list {
		total += v
	}
	return total
}
