package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// cluster is equal nodes of whole cards.
type cluster struct {
	nodes, cards int
}

// pods returns the cards of each pod of a job: pods of all the cards of a node, and of the rest, if
// together, one pod, else as many pods of one card.
func (c cluster) pods(cards int, together bool) []int {
	var pods []int
	for ; cards > c.cards; cards -= c.cards {
		pods = append(pods, c.cards)
	}
	if together || len(pods) > 0 {
		return append(pods, cards)
	}
	for range cards {
		pods = append(pods, 1)
	}
	return pods
}

// order says which of the nodes that fit a greedy placement takes.
type order string

const (
	fullest  order = "fullest"
	emptiest order = "emptiest"
	anyNode  order = "any"
)

// greedy places one pod after the other, each on the node that suits it best alone, and takes all back
// when one of the job finds no place: Volcano's allocate with gang as commit condition.
type greedy struct {
	cluster
	order    order
	together bool
	free     []int // cards, by node
	random   *rand.Rand
	placed   map[string][]held
}

type held struct {
	node, cards int
}

// newGreedy returns a greedy placement on the idle cluster. The lot matters to anyNode only.
func newGreedy(c cluster, o order, together bool, lot uint64) *greedy {
	g := &greedy{cluster: c, order: o, together: together, free: make([]int, c.nodes),
		random: rand.New(rand.NewPCG(lot, 1)), placed: map[string][]held{}}
	for i := range g.free {
		g.free[i] = c.cards
	}
	return g
}

func (g *greedy) place(j *job) bool {
	var taken []held
	for _, cards := range g.pods(j.cards, g.together) {
		node := g.choose(cards)
		if node < 0 {
			g.giveBack(taken)
			return false
		}
		g.free[node] -= cards
		taken = append(taken, held{node: node, cards: cards})
	}
	g.placed[j.id] = taken
	return true
}

func (g *greedy) end(j *job) {
	g.giveBack(g.placed[j.id])
	delete(g.placed, j.id)
}

func (g *greedy) giveBack(taken []held) {
	for _, h := range taken {
		g.free[h.node] += h.cards
	}
}

// choose returns the node for a pod, -1 if none fits.
func (g *greedy) choose(cards int) int {
	best, seen := -1, 0
	for i, free := range g.free {
		if free < cards {
			continue
		}
		seen++
		better := best < 0
		switch g.order {
		case fullest:
			better = better || free < g.free[best]
		case emptiest:
			better = better || free > g.free[best]
		case anyNode:
			better = better || g.random.IntN(seen) == 0
		}
		if better {
			best = i
		}
	}
	return best
}

// planned places jobs by the gang planner.
type planned struct {
	cluster
	together bool
	pool     *packing.Pool
	placed   map[string][]packing.Placement
}

const cardMemory device.MiB = 80 << 10

func newPlanned(c cluster, together bool) *planned {
	p := &planned{cluster: c, together: together, pool: packing.New(packing.Options{}), placed: map[string][]packing.Placement{}}
	whole := device.Amount{Memory: cardMemory, Cores: device.WholeCard, Slots: 1}
	for i := range c.nodes {
		n := packing.Node{Name: fmt.Sprintf("node-%04d", i), Free: packing.Resources{Pods: int64(c.cards)}}
		for k := range c.cards {
			n.Cards.Cards = append(n.Cards.Cards, fit.Card{
				UUID: fmt.Sprintf("%s-%d", n.Name, k), Index: k, Healthy: true, Mode: device.ModeHAMiCore, Capacity: whole,
			})
		}
		p.pool.Set(n)
	}
	return p
}

func (p *planned) gang(j *job) gang.Gang {
	var g gang.Gang
	for i, cards := range p.pods(j.cards, p.together) {
		shape := p.shape(cards)
		if last := len(g.Roles) - 1; last < 0 || g.Roles[last].Shape != shape {
			g.Roles = append(g.Roles, gang.Role{Shape: shape})
		}
		role := &g.Roles[len(g.Roles)-1]
		role.Members = append(role.Members, fmt.Sprintf("%s-%d", j.id, i))
		g.MinAvailable++
	}
	return g
}

// shape is a pod of whole cards.
func (p *planned) shape(cards int) packing.ShapeID {
	return p.pool.Intern(packing.Shape{Resources: packing.Resources{Pods: 1}, Request: &request.Pod{
		Containers: []request.Container{{Name: "main", Count: cards, Memory: cardMemory, Cores: device.WholeCard}},
	}})
}

func (p *planned) place(j *job) bool {
	g := p.gang(j)
	plan := gang.Plan(p.pool, g)
	if plan.Reject != nil {
		return false
	}
	var taken []packing.Placement
	for _, m := range plan.Members {
		at, ok := p.pool.Place(m.Node, g.Roles[m.Role].Shape)
		if !ok {
			panic(fmt.Sprintf("job %s: the plan does not fit the pool it was made on", j.id))
		}
		taken = append(taken, at)
		p.pool.Observe(g.Roles[m.Role].Shape, 1)
	}
	p.placed[j.id] = taken
	return true
}

func (p *planned) end(j *job) {
	for _, at := range p.placed[j.id] {
		p.pool.Undo(at)
	}
	delete(p.placed, j.id)
}
