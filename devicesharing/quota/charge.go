package quota

import (
	"cmp"
	"math"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// part is what runs in a span of phases.
type part struct {
	charge Vector
	span   fit.Span
}

// peak returns the largest sum over the phases, dimension by dimension. A sum can only be largest in a
// phase in which some part begins.
func peak(parts []part) Vector {
	if len(parts) == 1 {
		return parts[0].charge
	}
	var most Vector
	for i := range parts {
		phase := parts[i].span.First
		var sum Vector
		for k := range parts {
			if p := &parts[k]; p.span.First <= phase && phase <= p.span.Last {
				sum = sum.Add(p.charge)
			}
		}
		most = most.Max(sum)
	}
	return most
}

// Ask returns what a request is charged before it is placed: percentages and whole cards are those of
// the largest card that may serve it.
func Ask(r *request.Pod, pool *Pool) Vector {
	if r == nil {
		return Vector{}
	}
	var inlineSpans [8]fit.Span
	var inlineParts [8]part
	spans, _ := fit.Spans(r.Containers, inlineSpans[:0])
	parts := inlineParts[:0]
	card := pool.largest(r.Selector)
	for i := range r.Containers {
		c := &r.Containers[i]
		parts = append(parts, part{charge: askOf(r, c, card).Mul(c.Count), span: spans[i]})
	}
	return peak(parts)
}

func askOf(r *request.Pod, c *request.Container, card *fit.Card) Vector {
	if card == nil {
		return onCard(device.Amount{Memory: c.Memory, Cores: c.Cores, Slots: 1}, &fit.Card{})
	}
	amount, _ := card.Need(r, c)
	return onCard(amount, card)
}

// Charge returns what a placed pod is charged: what it has, of the cards that it has it on. A card of
// unknown size counts as the largest of the pool.
func Charge(placed []fit.Placed, pool *Pool) Vector {
	var inline [8]part
	parts := inline[:0]
	for i := range placed {
		s := &placed[i]
		card := &s.Card
		if card.Capacity.Memory == 0 {
			if known := pool.largest(request.Selector{}); known != nil {
				card = known
			}
		}
		parts = append(parts, part{charge: onCard(s.Amount, card), span: s.Span})
	}
	return peak(parts)
}

// onCard is the charge of one place on a card. Whoever takes more than one share takes all of them: to
// the queue it has the card alone, as on a card in exclusive mode.
func onCard(a device.Amount, card *fit.Card) Vector {
	v := Vector{Slots: 1, Memory: uint64(a.Memory), Cores: uint64(a.Cores)}
	if card.Mode == device.ModeExclusive || a.Slots > 1 {
		v[Cores] = max(v[Cores], uint64(device.WholeCard))
		v[Cards] = WholeCard
		return v
	}
	v[Cards] = max(share(v[Memory], uint64(card.Capacity.Memory)), share(v[Cores], uint64(card.Capacity.Cores)))
	return v
}

// share returns part of whole in thousandths, rounded up. A part of a card of unknown size is taken
// for all of it.
func share(part, whole uint64) uint64 {
	switch {
	case part == 0:
		return 0
	case whole == 0:
		return WholeCard
	case part > math.MaxUint64/WholeCard-whole:
		return math.MaxUint64
	}
	return (part*WholeCard + whole - 1) / whole
}

// Shape is pods of a gang that ask for the same.
type Shape struct {
	Charge   Vector
	Replicas int
	// MinAvailable of the shape's pods must run for the gang to run.
	MinAvailable int
}

// GangCharge returns the least that a gang needs in order to start: of each shape what it must have,
// and the cheapest pods up to minAvailable.
func GangCharge(shapes []Shape, minAvailable int) Vector {
	order := make([]int, len(shapes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int {
		a, b := shapes[i].Charge, shapes[k].Charge
		return cmp.Or(cmp.Compare(a[Cards], b[Cards]), cmp.Compare(a[Memory], b[Memory]),
			cmp.Compare(a[Cores], b[Cores]), cmp.Compare(a[Slots], b[Slots]), cmp.Compare(i, k))
	})
	var sum Vector
	left := minAvailable
	for _, s := range shapes {
		n := min(s.MinAvailable, s.Replicas)
		sum = sum.Add(s.Charge.Mul(n))
		left -= max(n, 0)
	}
	for _, i := range order {
		n := min(left, shapes[i].Replicas-max(min(shapes[i].MinAvailable, shapes[i].Replicas), 0))
		if n > 0 {
			sum = sum.Add(shapes[i].Charge.Mul(n))
			left -= n
		}
	}
	return sum
}
