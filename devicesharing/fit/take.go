package fit

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Take adds what the choices of a request occupy to both books, Give takes it back. They use the same
// sums, so that one undoes the other exactly.
func (n *Node) Take(r *request.Pod, choices []Choice) {
	Sums(r, choices, func(card int, a device.Amount) {
		c := &n.Cards[card]
		c.Now, c.Future = c.Now.Add(a), c.Future.Add(a)
	})
}

// Give undoes Take.
func (n *Node) Give(r *request.Pod, choices []Choice) {
	Sums(r, choices, func(card int, a device.Amount) {
		c := &n.Cards[card]
		c.Now, c.Future = c.Now.Sub(a), c.Future.Sub(a)
	})
}

// Sums calls visit once for each chosen card, with the largest sum over the phases of the pod.
func Sums(r *request.Pod, choices []Choice, visit func(card int, a device.Amount)) {
	if len(r.Containers) == 1 {
		for i := range choices {
			visit(choices[i].Card, choices[i].Amount)
		}
		return
	}
	var inline [8]Span
	spans, _ := Spans(r.Containers, inline[:0])
	for i := range choices {
		if !has(choices[:i], choices[i].Card) {
			visit(choices[i].Card, peak(choices, spans, choices[i].Card))
		}
	}
}

// peak returns what the choices take of a card. The sum can only be largest in a phase in which some
// container begins, so no other phase is looked at.
func peak(choices []Choice, spans []Span, card int) device.Amount {
	var peak device.Amount
	for i := range choices {
		phase := spans[choices[i].Container].First
		var sum device.Amount
		for k := range choices {
			if s := spans[choices[k].Container]; choices[k].Card == card && s.First <= phase && phase <= s.Last {
				sum = sum.Add(choices[k].Amount)
			}
		}
		peak = peak.Max(sum)
	}
	return peak
}

// Allows reports whether a pod with this selector may be given the card at all.
func (c *Card) Allows(s *request.Selector) bool {
	return c.offered() && c.allowed(s)
}

// Need returns what a container takes of this card, and whether it must have the card alone.
func (c *Card) Need(r *request.Pod, ct *request.Container) (amount device.Amount, alone bool) {
	return c.need(r, ct)
}

// Room returns what a container takes of this card, and whether it fits beside what is on it.
func (c *Card) Room(b Book, r *request.Pod, ct *request.Container) (device.Amount, bool) {
	amount, alone := c.need(r, ct)
	used := c.Used(b)
	return amount, (!alone || used.Slots == 0) && c.hasRoom(amount, used)
}

// Before is the fixed order of cards that are otherwise alike.
func (c *Card) Before(o *Card) bool { return c.before(o) }
