package packing

import (
	"encoding/binary"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// Resources is what a node has beside its cards, or what a pod takes of it. A pod itself counts in Pods.
type Resources struct {
	MilliCPU int64
	Memory   int64 // bytes
	Pods     int64
}

// Holds reports whether o fits into r.
func (r Resources) Holds(o Resources) bool {
	return o.MilliCPU <= r.MilliCPU && o.Memory <= r.Memory && o.Pods <= r.Pods
}

func (r Resources) sub(o Resources) Resources {
	return Resources{MilliCPU: r.MilliCPU - o.MilliCPU, Memory: r.Memory - o.Memory, Pods: r.Pods - o.Pods}
}

func (r Resources) add(o Resources) Resources {
	return Resources{MilliCPU: r.MilliCPU + o.MilliCPU, Memory: r.Memory + o.Memory, Pods: r.Pods + o.Pods}
}

// Shape is what one pod takes. A nil Request asks no cards.
type Shape struct {
	Resources Resources
	Request   *request.Pod
}

// ShapeID names a shape in one pool.
type ShapeID int

// parts returns the amounts in a fixed order.
func (r Resources) parts() [3]int64 { return [3]int64{r.MilliCPU, r.Memory, r.Pods} }

// Intern returns the name of the shape; shapes of equal content have the same. The pool keeps the
// request, which must not change afterwards. The priority of a container is no part of a shape.
func (p *Pool) Intern(s Shape) ShapeID {
	p.key = s.appendKey(p.key[:0])
	if id, known := p.shapeIDs[string(p.key)]; known {
		return id
	}
	id := ShapeID(len(p.shapes))
	p.shapes = append(p.shapes, shape{Shape: s, class: noClass, epoch: p.epoch - 1})
	p.shapeIDs[string(p.key)] = id
	return id
}

// Shape returns the content of a shape.
func (p *Pool) Shape(s ShapeID) Shape { return p.shapes[s].Shape }

// shape is a shape and what was found out about it.
type shape struct {
	Shape
	// open says for each kind of card whether the selector allows it.
	open []answer
	// class is the shape's place in the mix if its only container is there, else -1; it holds for epoch.
	class int
	epoch uint32
	// ranking is the nodes by how good they are for the shape; nil until it is wanted.
	ranking *ranking
}

// noClass says that a shape is not in the mix.
const noClass = -1

// classOfShape returns the place in the mix of a shape with one container.
func (p *Pool) classOfShape(s *shape) int {
	if s.epoch == p.epoch {
		return s.class
	}
	s.class, s.epoch = noClass, p.epoch
	if r := s.Request; len(r.Containers) == 1 && s.onlyByKind() {
		if c, known := p.classOf(r, 0, false); known {
			s.class = c
		}
	}
	return s.class
}

type answer uint8

const (
	unknown answer = iota
	yes
	no
)

// onlyByKind reports whether it is the kind of a card that decides if the shape may have it.
func (s *Shape) onlyByKind() bool {
	return s.Request == nil || len(s.Request.Selector.UseUUIDs) == 0 && len(s.Request.Selector.NoUseUUIDs) == 0
}

// looksAtPlaces reports whether it matters to the shape where in the node cards are: nodes that are
// equal in all else are not equal to it.
func (s *Shape) looksAtPlaces() bool {
	if s.Request == nil {
		return false
	}
	policy := s.Request.Policy.Card
	keys := policy.Keys()
	return policy.Topology() || s.Request.Selector.NUMABind ||
		keys != score.CardDefault && keys != score.Binpack && keys != score.Spread
}

// allows reports whether the selector of the shape allows a card.
func (p *Pool) allows(s *shape, n *node, card int) bool {
	sel, c := &s.Request.Selector, &n.Cards.Cards[card]
	if !s.onlyByKind() {
		return c.Allows(sel)
	}
	kind := n.cards[card].kind
	for len(s.open) < len(p.kinds) {
		s.open = append(s.open, unknown)
	}
	if s.open[kind] == unknown {
		s.open[kind] = no
		if c.Allows(sel) {
			s.open[kind] = yes
		}
	}
	return s.open[kind] == yes
}

// appendKey appends a text that is equal for equal shapes only.
func (s *Shape) appendKey(b []byte) []byte {
	b = appendInts(b, s.Resources.MilliCPU, s.Resources.Memory, s.Resources.Pods)
	if s.Request == nil {
		return b
	}
	return appendRequest(b, s.Request)
}

func appendRequest(b []byte, r *request.Pod) []byte {
	b = appendInts(b, int64(len(r.Containers)))
	for i := range r.Containers {
		b = appendContainer(b, &r.Containers[i])
	}
	b = appendStrings(appendSelector(b, &r.Selector), string(r.Policy.Node))
	b = appendInts(b, int64(r.Policy.Card))
	w := r.Policy.Weights
	return appendInts(b, int64(w.Slot), int64(w.Core), int64(w.Memory))
}

func appendContainer(b []byte, c *request.Container) []byte {
	b = appendStrings(b, c.Name)
	return appendInts(b, int64(c.Kind), int64(c.Count), int64(c.Memory), int64(c.Percent), int64(c.Cores))
}

func appendSelector(b []byte, s *request.Selector) []byte {
	for _, list := range [...][]string{s.UseUUIDs, s.NoUseUUIDs, s.UseTypes, s.NoUseTypes} {
		b = appendStrings(binary.AppendVarint(b, int64(len(list))), list...)
	}
	if s.NUMABind {
		b = append(b, 1)
	}
	return appendStrings(b, string(s.Mode))
}

func appendInts(b []byte, values ...int64) []byte {
	for _, v := range values {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func appendStrings(b []byte, values ...string) []byte {
	for _, v := range values {
		b = append(binary.AppendVarint(b, int64(len(v))), v...)
	}
	return b
}
