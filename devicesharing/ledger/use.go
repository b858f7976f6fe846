package ledger

import "github.com/basalt-gpu/basalt/devicesharing/fit"

// Slices appends what a pod has to dst, and returns the pod's state: empty when it has nothing.
func (l *Ledger) Slices(uid string, dst []fit.Placed) ([]fit.Placed, State) {
	p := l.podShard(uid)
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.entries[uid]
	if e == nil {
		return dst, ""
	}
	s := l.nodeShard(e.node.name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e.each(func(sl *slice) {
		dst = append(dst, fit.Placed{Amount: sl.amount(), Span: sl.span, Card: kind(&e.node.view.Cards[sl.card])})
	})
	return dst, stateNames[e.state]
}

// EachCard calls visit for every registered card, node by node in no order. The card carries no sums
// and no UUID. Visit must not call the ledger.
func (l *Ledger) EachCard(visit func(node string, card fit.Card)) {
	for i := range l.nodes {
		l.nodes[i].eachCard(visit)
	}
}

func (s *nodeShard) eachCard(visit func(node string, card fit.Card)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, n := range s.nodes {
		for i := range n.view.Cards {
			if !n.view.Cards[i].Gone {
				visit(name, kind(&n.view.Cards[i]))
			}
		}
	}
}

// kind is what a card has in common with others of its kind.
func kind(c *fit.Card) fit.Card {
	return fit.Card{Model: c.Model, Mode: c.Mode, Healthy: c.Healthy, Gone: c.Gone, Capacity: c.Capacity}
}
