package packing

import (
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

const (
	// maxClasses and maxSteps bound the mix: the heaviest are told apart, the tail is left out.
	maxClasses = 64
	maxSteps   = 64
	// window is the weight that the mix remembers. When it is reached, all that was seen counts half.
	window = 8192
	// leastShare bounds how scarce a class can become: one of which next to nothing is left would
	// otherwise decide alone.
	leastShare = 0.02
	// leastServed bounds how much less a resource serves where there is too little of it.
	leastServed = 0.5
)

// class is what a container asks of cards, whatever else its pod takes.
type class struct {
	request *request.Pod // with that container only
}

func (c *class) container() *request.Container { return &c.request.Containers[0] }

// mix is the recent shapes with their weights, and what was made of them at the last refresh.
type mix struct {
	weights []float64 // by shape
	live    []ShapeID // shapes that have weight
	total   float64
	since   float64 // weight observed since the last refresh
	last    float64 // total at the last refresh
	moved   int     // nodes set or removed since the last refresh
	known   int     // nodes at the last refresh

	classes []class
	places  map[string]int // of classes, by content
	// steps are the amounts of CPU that pods ask, in rising order.
	steps []int64
	// worth is, for the nodes between two steps and for each class, what a thousandth of a card is worth
	// that the class can use.
	worth [][]float64
	// serves is how many thousandths of a card one unit of CPU, memory and pods serves in the mean.
	serves [3]float64
}

// Observe adds to the weight of a shape in the recent mix.
func (p *Pool) Observe(s ShapeID, weight int) {
	if weight <= 0 {
		return
	}
	m := &p.mix
	for len(m.weights) < len(p.shapes) {
		m.weights = append(m.weights, 0)
	}
	if m.weights[s] == 0 {
		m.live = append(m.live, s)
	}
	w := float64(min(weight, window))
	m.weights[s] += w
	m.total += w
	m.since += w
	if m.total > window {
		m.age()
	}
}

// age halves all weights and forgets the smallest.
func (m *mix) age() {
	m.total = 0
	m.live = slices.DeleteFunc(m.live, func(s ShapeID) bool {
		m.weights[s] /= 2
		if m.weights[s] < 0.25 {
			m.weights[s] = 0
		}
		m.total += m.weights[s]
		return m.weights[s] == 0
	})
}

// stale reports whether the mix or the pool changed so much that the worth of cards must be found anew:
// with the first weights, each time that three times as much came as there was, later twice a window,
// and when more nodes came and went than there were. Every refresh costs a look at all nodes for all
// shapes, so it must be rare.
func (p *Pool) stale() bool {
	m := &p.mix
	return p.judge == nil && m.total > 0 && (m.since >= min(3*m.last, window/2) || m.moved > m.known)
}
