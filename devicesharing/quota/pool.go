package quota

import (
	"cmp"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Pool is the kinds of cards there are. It resolves what a request leaves to the card: percentages,
// whole cards and shares. The zero value is a pool without cards.
type Pool struct {
	kinds []fit.Card
	total Vector
}

// Add takes a registered card into the pool. Sick cards count in no total: nobody can be given them.
func (p *Pool) Add(card fit.Card) {
	if !card.Healthy || card.Mode == "" {
		return
	}
	p.total = p.total.Add(total(card.Capacity))
	kind := fit.Card{Model: card.Model, Mode: card.Mode, Healthy: true, Capacity: card.Capacity}
	for i := range p.kinds {
		if p.kinds[i] == kind {
			return
		}
	}
	p.kinds = append(p.kinds, kind)
}

// Total is what all healthy cards have together.
func (p *Pool) Total() Vector { return p.total }

// Uniform reports whether all cards are of one kind, so that a charge does not depend on the card.
func (p *Pool) Uniform() bool { return len(p.kinds) < 2 }

// largest returns the largest kind that may serve a pod with this selector. Lists of UUIDs do not
// narrow it down: a kind has none.
func (p *Pool) largest(s request.Selector) *fit.Card {
	s.UseUUIDs, s.NoUseUUIDs = nil, nil
	var best *fit.Card
	for i := range p.kinds {
		if k := &p.kinds[i]; k.Serves(&s) && (best == nil || larger(k, best)) {
			best = k
		}
	}
	return best
}

func larger(a, b *fit.Card) bool {
	return cmp.Or(
		cmp.Compare(a.Capacity.Memory, b.Capacity.Memory),
		cmp.Compare(a.Capacity.Cores, b.Capacity.Cores),
		cmp.Compare(b.Model, a.Model),
		cmp.Compare(b.Mode, a.Mode),
		cmp.Compare(a.Capacity.Slots, b.Capacity.Slots),
	) > 0
}
