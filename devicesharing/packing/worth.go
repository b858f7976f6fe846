package packing

import (
	"cmp"
	"slices"
	"sort"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// refresh finds the worth of cards anew.
func (p *Pool) refresh() {
	m := &p.mix
	m.since, m.last, m.moved, m.known = 0, m.total, 0, len(p.names)
	demands := p.demands()
	for k := range p.kinds {
		p.kinds[k].learn(m.classes)
		p.kinds[k].cards = 0
	}
	for i := range p.nodes {
		n := &p.nodes[i]
		for d := range n.cards {
			p.kinds[n.cards[d].kind].cards++
		}
	}
	m.worth = m.worth[:0]
	for range m.steps {
		m.worth = append(m.worth, make([]float64, len(m.classes)))
	}
	for i := range p.nodes {
		p.view(i)
	}
	p.appraise(demands)
	p.balance()
	for i := range p.nodes {
		p.assess(&p.nodes[i])
	}
	p.epoch++
}

// demand is one container of the mix: its class, the CPU of its pod, and its weight.
type demand struct {
	class    int
	milliCPU int64
	weight   float64
}

// demands lists the heaviest demands of the mix, and sets classes and steps.
func (p *Pool) demands() []demand {
	m := &p.mix
	slices.SortFunc(m.live, func(a, b ShapeID) int {
		return cmp.Or(cmp.Compare(m.weights[b], m.weights[a]), cmp.Compare(a, b))
	})
	m.classes, m.steps = m.classes[:0], append(m.steps[:0], 0)
	m.places = map[string]int{}
	var all []demand
	for _, s := range m.live {
		shape := &p.shapes[s]
		if shape.Request == nil || len(shape.Request.Selector.UseUUIDs) > 0 {
			continue // a pod that names its cards competes with nobody elsewhere
		}
		if len(m.steps) < maxSteps && !slices.Contains(m.steps, shape.Resources.MilliCPU) {
			m.steps = append(m.steps, shape.Resources.MilliCPU)
		}
		for i := range shape.Request.Containers {
			if c, known := p.classOf(shape.Request, i, true); known {
				all = append(all, demand{class: c, milliCPU: shape.Resources.MilliCPU, weight: m.weights[s]})
			}
		}
	}
	slices.Sort(m.steps)
	return all
}

// classOf returns the class of a container. One that is not in the mix is added if wanted and there is
// room; else there is none.
func (p *Pool) classOf(r *request.Pod, i int, add bool) (int, bool) {
	container := r.Containers[i]
	container.Name, container.Kind = "", request.App
	c := class{request: &request.Pod{Containers: []request.Container{container}, Selector: r.Selector}}
	c.request.Selector.NoUseUUIDs = nil // a few cards less are no other demand
	if r.Policy.Card.Mutex() {
		c.request.Policy.Card = score.Mutex
	}
	p.key = appendRequest(p.key[:0], c.request)
	if at, known := p.mix.places[string(p.key)]; known {
		return at, true
	}
	if !add || len(p.mix.classes) == maxClasses {
		return 0, false
	}
	p.mix.places[string(p.key)] = len(p.mix.classes)
	p.mix.classes = append(p.mix.classes, c)
	return len(p.mix.classes) - 1, true
}

// need returns the first step that suffices for an amount of CPU, the last if none does.
func (m *mix) need(cpu int64) int {
	return min(sort.Search(len(m.steps), func(k int) bool { return m.steps[k] >= cpu }), len(m.steps)-1)
}

// step returns the last step that a node with this much CPU reaches; -1 for none.
func (m *mix) step(cpu int64) int {
	return sort.Search(len(m.steps), func(k int) bool { return m.steps[k] > cpu }) - 1
}

// appraise sets what a thousandth of a card is worth to each class: its part of the mix, and the more
// the less of all free cards it can use.
func (p *Pool) appraise(demands []demand) {
	m := &p.mix
	usable, all := p.usable()
	weights := 0.0
	for _, d := range demands {
		weights += d.weight
	}
	for _, d := range demands {
		step := m.need(d.milliCPU)
		share := max(usable[step][d.class]/max(all, 1), leastShare)
		m.worth[step][d.class] += d.weight / weights / share
	}
	for k := 1; k < len(m.worth); k++ {
		for j := range m.worth[k] {
			m.worth[k][j] += m.worth[k-1][j]
		}
	}
}

// usable returns how much of the free cards is usable at each step by each class, and how much is free.
func (p *Pool) usable() (usable [][]float64, all float64) {
	m := &p.mix
	for range m.steps {
		usable = append(usable, make([]float64, len(m.classes)))
	}
	for i := range p.nodes {
		n := &p.nodes[i]
		if !n.present {
			continue
		}
		all += float64(n.left)
		if n.step < 0 {
			continue
		}
		for j := range n.usable {
			usable[n.step][j] += float64(n.usable[j])
		}
	}
	for k := len(usable) - 2; k >= 0; k-- {
		for j := range usable[k] {
			usable[k][j] += usable[k+1][j]
		}
	}
	return usable, all
}

// balance sets how much of a card one unit of each resource serves, from what pods with cards take.
// Where the mix as a whole, pods without cards included, asks more of a resource for each card than is
// left, cards will stand idle for want of it: there it serves that much less, so that nodes keep it.
func (p *Pool) balance() {
	m := &p.mix
	var cards float64
	var beside, all [3]float64
	for _, s := range m.live {
		shape, w := &p.shapes[s], m.weights[s]
		for k, amount := range shape.Resources.parts() {
			all[k] += w * float64(amount)
			if shape.Request != nil {
				beside[k] += w * float64(amount)
			}
		}
		if shape.Request != nil {
			cards += w * p.portion(shape.Request)
		}
	}
	free, left := p.remaining()
	m.serves = [3]float64{}
	for k := range beside {
		if beside[k] == 0 {
			continue
		}
		m.serves[k] = cards / beside[k]
		if asked, there := all[k]*left, free[k]*cards; asked > there {
			m.serves[k] *= max(there/asked, leastServed)
		}
	}
}

// remaining returns what is free beside cards in the whole pool, and on cards.
func (p *Pool) remaining() (free [3]float64, left float64) {
	for i := range p.nodes {
		left += float64(p.nodes[i].left)
		for k, amount := range p.nodes[i].Free.parts() {
			free[k] += float64(max(amount, 0))
		}
	}
	return free, left
}

// portion returns how much of the mean card a pod takes, in thousandths.
func (p *Pool) portion(r *request.Pod) float64 {
	sum := 0.0
	for i := range r.Containers {
		c := &r.Containers[i]
		if c.Kind == request.Init {
			continue
		}
		taken, cards := int64(0), int64(0)
		for k := range p.kinds {
			card := p.kinds[k].card()
			if !card.Allows(&r.Selector) {
				continue
			}
			amount, alone := card.Need(r, c)
			part := score.Full - score.Free(amount, card.Capacity)
			if alone {
				part = score.Full
			}
			n := int64(p.kinds[k].cards)
			taken, cards = taken+n*part, cards+n
		}
		sum += float64(c.Count) * float64(taken) / float64(max(cards, 1))
	}
	return sum
}

// stranded returns how much of what is free on cards the rest of the node cannot serve: for each other
// resource, what is left when pods of the mean of the mix have used it up.
func (m *mix) stranded(free Resources, left int32) float64 {
	sum := 0.0
	for k, amount := range free.parts() {
		if m.serves[k] > 0 {
			sum += max(0, float64(left)-float64(max(amount, 0))*m.serves[k])
		}
	}
	return sum
}

// value returns what the usable parts of a node's cards are worth at a step.
func (m *mix) value(step int, usable []int32) float64 {
	if step < 0 {
		return 0
	}
	sum := 0.0
	worth := m.worth[step]
	for j, u := range usable {
		sum += worth[j] * float64(u)
	}
	return sum
}
