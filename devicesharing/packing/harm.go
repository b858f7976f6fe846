package packing

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// fragmentation judges a node for a shape and chooses its cards. Precondition: what the shape takes
// beside cards fits.
func (p *Pool) fragmentation(n *node, s *shape, dst []fit.Choice) (Score, []fit.Choice, bool) {
	free := n.Free.sub(s.Resources)
	t := trial{pool: p, node: n, free: free, step: p.mix.step(free.MilliCPU), left: n.left, usable: n.usable, admitting: n.admitting}
	ok := true
	switch r := s.Request; {
	case r == nil:
	case len(r.Containers) == 1 && ownChoice(r):
		dst, ok = t.choose(s, dst)
	default:
		dst, ok = t.follow(r, dst)
	}
	if !ok {
		return Score{}, dst, false
	}
	after := n.value
	if t.step != n.step {
		after = p.mix.value(t.step, n.usable)
	}
	harm := n.value - (after - t.lost) + p.mix.stranded(free, t.left) - n.stranded
	return Score{Harm: harm, Room: int64(n.left)}, dst, true
}

// ownChoice reports whether the pod leaves the choice of its cards to the pool.
func ownChoice(r *request.Pod) bool {
	return r.Policy.Card.Keys() == score.CardDefault && !r.Policy.Card.Topology() && !r.Selector.NUMABind
}

// trial is a node while cards are taken from it one after the other.
type trial struct {
	pool      *Pool
	node      *node
	free      Resources // beside cards, when the shape is there
	step      int       // of the CPU in it
	left      int32
	lost      float64
	usable    []int32
	admitting []uint8
	taken     bool
}

// option is a card that could be taken, and what would become of it.
type option struct {
	card   int // -1 for none
	amount device.Amount
	admits classSet
	free   int32
	lost   float64 // to the mix
	cost   float64 // what is lost, and stranded on the node
}

// choose takes cards for the only container of a pod, each time the one that costs least.
func (t *trial) choose(s *shape, dst []fit.Choice) ([]fit.Choice, bool) {
	c := &s.Request.Containers[0]
	class := t.pool.classOfShape(s)
	if class != noClass && int(t.admitting[class]) < c.Count {
		return dst, false
	}
	start := len(dst)
	for range c.Count {
		var o option
		if class != noClass {
			o = t.cheapestOfClass(class, dst[start:])
		} else {
			o = t.cheapest(s, c, dst[start:])
		}
		if o.card < 0 {
			return dst[:start], false
		}
		dst = append(dst, fit.Choice{Card: o.card, Amount: o.amount})
		t.take(&o, len(dst)-start == c.Count)
	}
	return dst, true
}

// cheapestOfClass returns the card that costs least of those that admit the class.
func (t *trial) cheapestOfClass(class int, taken []fit.Choice) option {
	best := option{card: -1}
	for i := range t.node.cards {
		v := &t.node.cards[i]
		if v.admits&(1<<class) != 0 && !t.skips(i, taken) {
			t.consider(&best, i, t.pool.kinds[v.kind].needs[class])
		}
	}
	return best
}

// cheapest returns the card that costs least of those that admit the container.
func (t *trial) cheapest(s *shape, c *request.Container, taken []fit.Choice) option {
	best := option{card: -1}
	cards := t.node.Cards.Cards
	for i := range cards {
		if t.skips(i, taken) && s.onlyByKind() || isTaken(taken, i) || !t.pool.allows(s, t.node, i) {
			continue
		}
		if amount, ok := cards[i].Room(t.pool.options.Book, s.Request, c); ok {
			t.consider(&best, i, amount)
		}
	}
	return best
}

// consider makes a card the best one if it costs less, or is fuller among equals.
func (t *trial) consider(best *option, i int, amount device.Amount) {
	o := t.weigh(i, amount)
	if best.card < 0 || o.cost < best.cost || o.cost == best.cost && t.fuller(i, best.card) {
		*best = o
	}
}

// skips reports whether a card is taken, or like one that is looked at anyway.
func (t *trial) skips(i int, taken []fit.Choice) bool {
	if len(taken) == 0 {
		return int(t.node.cards[i].like) != i
	}
	return isTaken(taken, i)
}

func (t *trial) fuller(i, k int) bool {
	if a, b := t.node.cards[i].free, t.node.cards[k].free; a != b {
		return a < b
	}
	return t.node.Cards.Cards[i].Before(&t.node.Cards.Cards[k])
}

func isTaken(taken []fit.Choice, card int) bool {
	for i := range taken {
		if taken[i].Card == card {
			return true
		}
	}
	return false
}

// weigh returns what becomes of a card when the amount is taken of it.
func (t *trial) weigh(card int, amount device.Amount) option {
	v := &t.node.cards[card]
	k := &t.pool.kinds[v.kind]
	used := v.used.Add(amount)
	o := option{card: card, amount: amount, admits: k.admits(used), free: k.free(used)}
	if t.step >= 0 {
		o.lost = t.loses(v, &o)
	}
	o.cost = o.lost + t.pool.mix.stranded(t.free, t.left+o.free-v.free)
	return o
}

// loses returns what is lost to the mix: of each class that the card serves now, what it serves no
// more, and all of the node when too few cards remain for it.
func (t *trial) loses(v *cardView, o *option) float64 {
	worth, classes := t.pool.mix.worth[t.step], t.pool.mix.classes
	sum := 0.0
	for c := v.admits; c != 0; c &= c - 1 {
		j := c.first()
		lost := v.free
		switch {
		case t.usable[j] == 0:
			continue
		case o.admits&(1<<j) != 0:
			lost -= o.free
		case int(t.admitting[j]) == classes[j].container().Count:
			lost = t.usable[j]
		}
		sum += worth[j] * float64(lost)
	}
	return sum
}

// take takes a card. All but the last one count in what is looked at next.
func (t *trial) take(o *option, last bool) {
	v := &t.node.cards[o.card]
	t.lost += o.lost
	t.left += o.free - v.free
	if last {
		return
	}
	p := t.pool
	if !t.taken {
		t.taken = true
		p.usableScratch = append(p.usableScratch[:0], t.usable...)
		p.admittingScratch = append(p.admittingScratch[:0], t.admitting...)
		t.usable, t.admitting = p.usableScratch, p.admittingScratch
	}
	for c := v.admits; c != 0; c &= c - 1 {
		j := c.first()
		lost := v.free
		if o.admits&(1<<j) != 0 {
			lost -= o.free
		} else {
			t.admitting[j]--
		}
		if t.usable[j] -= min(lost, t.usable[j]); int(t.admitting[j]) < p.mix.classes[j].container().Count {
			t.usable[j] = 0
		}
	}
}

// follow takes the cards that package fit chooses: for pods of several containers, and for those that
// ask how their cards are chosen.
func (t *trial) follow(r *request.Pod, dst []fit.Choice) ([]fit.Choice, bool) {
	start := len(dst)
	dst, v := t.node.Cards.Place(t.pool.options.Book, r, cardPolicy(r, score.NodeBinpack), dst)
	if !v.OK() {
		return dst[:start], false
	}
	fit.Sums(r, dst[start:], func(card int, amount device.Amount) {
		o := t.weigh(card, amount)
		t.take(&o, false)
	})
	return dst, true
}
