// Package victim judges what a node's cards would be like without some of the pods on them. Cards are
// concrete: a pod that goes frees what it has of its own cards and nothing of others. The package owns
// which sets of pods are worth looking at for a slice; what a pod's eviction costs, and whether other
// resources suffice, is the caller's.
package victim

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Part is what a pod has of one card, by the card's place in the node.
type Part struct {
	Card   int
	Amount device.Amount
}

// Trial is a private copy of a node, from which pods are taken away in thought. It is judged by the
// future book: what is on its way out anyway needs no victim.
type Trial struct {
	node    fit.Node
	request *request.Pod
	pods    [][]Part
	away    []bool
}

// New starts a trial with all pods in place. It takes the node over; pods[i] is what candidate i has,
// nothing if its eviction frees nothing.
func New(node fit.Node, r *request.Pod, pods [][]Part) *Trial {
	return &Trial{node: node, request: r, pods: pods, away: make([]bool, len(pods))}
}

// Fits reports whether the request fits while the removed pods are away.
func (t *Trial) Fits() bool { return t.node.Check(fit.Future, t.request).OK() }

// Remove takes a pod away.
func (t *Trial) Remove(i int) {
	if !t.away[i] {
		t.away[i] = true
		for _, p := range t.pods[i] {
			c := &t.node.Cards[p.Card]
			c.Future = c.Future.Sub(p.Amount)
		}
	}
}

// Restore puts a pod back.
func (t *Trial) Restore(i int) {
	if t.away[i] {
		t.away[i] = false
		for _, p := range t.pods[i] {
			c := &t.node.Cards[p.Card]
			c.Future = c.Future.Add(p.Amount)
		}
	}
}
