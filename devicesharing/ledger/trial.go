package ledger

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/victim"
)

// Try starts a trial of a node for a pod: what would fit there without some of the candidates. What is
// reserved for the pod itself is not in its way. The trial shares nothing with the ledger, so its
// result is a proposal: only Hold decides.
func (l *Ledger) Try(uid, node string, r *request.Pod, candidates []string) *victim.Trial {
	var view fit.Node
	l.View(node, 0, &view)
	for _, p := range l.parts(uid, node, view) {
		c := &view.Cards[p.Card]
		c.Future = c.Future.Sub(p.Amount)
	}
	pods := make([][]victim.Part, len(candidates))
	for i, candidate := range candidates {
		pods[i] = l.parts(candidate, node, view)
	}
	return victim.New(view, r, pods)
}

// parts returns what a pod has in the future book of the node. Cards that the view does not know, and
// pods that are elsewhere or on their way out, free nothing.
func (l *Ledger) parts(uid, node string, view fit.Node) []victim.Part {
	p := l.podShard(uid)
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.entries[uid]
	if e == nil || e.node.name != node {
		return nil
	}
	s := l.nodeShard(node)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, future := e.books(); !future {
		return nil
	}
	parts := make([]victim.Part, 0, e.slices)
	e.sums(func(card int, a device.Amount) {
		if card < len(view.Cards) {
			parts = append(parts, victim.Part{Card: card, Amount: a})
		}
	})
	return parts
}
