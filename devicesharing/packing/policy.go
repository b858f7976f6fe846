package packing

import (
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// Policy says what makes one node better than another.
type Policy string

// The policies.
const (
	// Fragmentation takes the node on which the pod makes the least free capacity useless to the recent
	// mix of shapes.
	Fragmentation Policy = "fragmentation"
	// Binpack takes the fullest node.
	Binpack = Policy(score.NodeBinpack)
	// Spread takes the emptiest node.
	Spread = Policy(score.NodeSpread)
)

// Score is how good a node is for a shape. Less of Harm is better, in steps of 1/64; among equals less
// Room, so that ties go to the fuller node; then the name decides.
type Score struct {
	Harm float64
	Room int64
}

// Judge decides about one node by itself. It appends the cards it would take to dst. What the shape
// takes beside cards is known to fit. The same node and shape always get the same answer.
type Judge interface {
	Judge(n *Node, s *Shape, dst []fit.Choice) (Score, []fit.Choice, bool)
}

// usage judges by how much of the cards is in use.
type usage struct {
	policy score.NodePolicy
	book   fit.Book
}

// Judge implements the interface.
func (u usage) Judge(n *Node, s *Shape, dst []fit.Choice) (Score, []fit.Choice, bool) {
	var used, left, cards int64
	for i := range n.Cards.Cards {
		if c := &n.Cards.Cards[i]; !c.Gone {
			use := c.Used(u.book)
			used, left, cards = used+score.Use(use, c.Capacity), left+score.Free(use, c.Capacity), cards+1
		}
	}
	mean := used * score.Grain / max(cards, 1)
	points := score.Node(score.Fit{Chosen: mean, All: mean}, u.policy)
	if s.Request != nil {
		var fits bool
		if points, fits = n.Cards.Score(u.book, s.Request, u.policy); !fits {
			return Score{}, dst, false
		}
		dst, _ = n.Cards.Place(u.book, s.Request, cardPolicy(s.Request, u.policy), dst)
	}
	if u.policy == score.NodeSpread {
		left = -left
	}
	return Score{Harm: -float64(points), Room: left}, dst, true
}

// cardPolicy is how the cards of a pod are chosen on a node: as the pod asks, else like nodes.
func cardPolicy(r *request.Pod, p score.NodePolicy) score.CardPolicy {
	switch {
	case r.Policy.Card != score.CardDefault:
		return r.Policy.Card
	case p == score.NodeSpread:
		return score.Spread
	default:
		return score.Binpack
	}
}

// PolicyOf returns the policy by which nodes are chosen for a shape: what the pod asks, else the pool's.
// A pod that asks for linked cards goes by the links that a node offers, which the use of cards knows
// and fragmentation does not.
func (p *Pool) PolicyOf(s ShapeID) Policy { return p.policyOf(&p.shapes[s].Shape) }

func (p *Pool) policyOf(s *Shape) Policy {
	switch {
	case s.Request == nil:
		return p.options.Policy
	case s.Request.Policy.Node != score.NodeDefault:
		return Policy(s.Request.Policy.Node)
	case s.Request.Policy.Card.Topology() && p.options.Policy == Fragmentation:
		return Binpack
	}
	return p.options.Policy
}

// score judges a node for a shape. The choices stand in the pool's own buffer.
func (p *Pool) score(i int, s *shape) (Score, []fit.Choice, bool) {
	p.look(i)
	n := &p.nodes[i]
	if !n.present || !n.Free.Holds(s.Resources) {
		return Score{}, nil, false
	}
	var v Score
	var ok bool
	switch policy := p.policyOf(&s.Shape); {
	case p.judge != nil:
		v, p.choices, ok = p.judge.Judge(&n.Node, &s.Shape, p.choices[:0])
	case policy == Fragmentation:
		v, p.choices, ok = p.fragmentation(n, s, p.choices[:0])
	default:
		by := usage{policy: score.NodePolicy(policy), book: p.options.Book}
		v, p.choices, ok = by.Judge(&n.Node, &s.Shape, p.choices[:0])
	}
	return v, p.choices, ok
}
