package packing

import (
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
)

// Scalar says which resource beside the cards does not suffice; empty when all do.
type Scalar string

// The resources beside cards.
const (
	ScalarCPU    Scalar = "cpu"
	ScalarMemory Scalar = "memory"
	ScalarPods   Scalar = "pods"
)

// Verdict says whether a shape fits on a node, and if not, why. The cards are judged only when all
// else suffices.
type Verdict struct {
	Scalar Scalar
	Cards  fit.Verdict
}

// OK reports whether the shape fits.
func (v Verdict) OK() bool { return v.Scalar == "" && v.Cards.OK() }

// Fits judges a shape by what is free on a node.
func (p *Pool) Fits(i int, s ShapeID) Verdict {
	n, shape := &p.nodes[i], &p.shapes[s]
	free, asked := n.Free, shape.Resources
	switch {
	case !n.present:
		return Verdict{Cards: fit.Verdict{Code: fit.Never, Reason: fit.ReasonNoDevices}}
	case asked.MilliCPU > free.MilliCPU:
		return Verdict{Scalar: ScalarCPU}
	case asked.Memory > free.Memory:
		return Verdict{Scalar: ScalarMemory}
	case asked.Pods > free.Pods:
		return Verdict{Scalar: ScalarPods}
	case shape.Request == nil:
		return Verdict{}
	}
	return Verdict{Cards: n.Cards.Check(p.options.Book, shape.Request)}
}

// Placement is what Place took: the value that Undo gives back.
type Placement struct {
	Node    int
	Shape   ShapeID
	Choices []fit.Choice
	// generation is that of the node's state which was taken from.
	generation uint32
}

// Place takes what the shape asks on the node, on the cards that the policy likes best, if it fits.
func (p *Pool) Place(i int, s ShapeID) (Placement, bool) {
	_, choices, ok := p.score(i, &p.shapes[s])
	if !ok {
		return Placement{}, false
	}
	return p.take(i, s, choices), true
}

// Join is Place where none of the cards is idle: it fails when the policy would open one.
func (p *Pool) Join(i int, s ShapeID) (Placement, bool) {
	n := &p.nodes[i]
	_, choices, ok := p.score(i, &p.shapes[s])
	if !ok {
		return Placement{}, false
	}
	for k := range choices {
		if n.Cards.Cards[choices[k].Card].Used(p.options.Book).Slots == 0 {
			return Placement{}, false
		}
	}
	return p.take(i, s, choices), true
}

func (p *Pool) take(i int, s ShapeID, choices []fit.Choice) Placement {
	n, shape := &p.nodes[i], &p.shapes[s]
	pl := Placement{Node: i, Shape: s, generation: n.generation}
	n.Free = n.Free.sub(shape.Resources)
	if shape.Request != nil {
		pl.Choices = slices.Clone(choices)
		n.Cards.Take(shape.Request, pl.Choices)
	}
	p.changed(i)
	return pl
}

// Undo gives back what Place took, in any order. It changes nothing when the node was set anew or
// removed since.
func (p *Pool) Undo(pl Placement) {
	n := &p.nodes[pl.Node]
	if n.generation != pl.generation {
		return
	}
	shape := &p.shapes[pl.Shape]
	n.Free = n.Free.add(shape.Resources)
	if shape.Request != nil {
		n.Cards.Give(shape.Request, pl.Choices)
	}
	p.changed(pl.Node)
}
