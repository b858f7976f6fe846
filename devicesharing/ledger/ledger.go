package ledger

import (
	"errors"
	"fmt"
	"slices"
	"unique"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// ErrNotHeld says that a pod has no cards that could be assumed.
var ErrNotHeld = errors.New("pod holds no devices")

// ErrFuture says that a pod holds cards that others still have.
var ErrFuture = errors.New("pod holds devices that are not free yet")

// State is how far a pod has come.
type State string

// The states of a pod, in order.
const (
	// Held: taken by a running session; ends with it unless assumed or reserved.
	Held State = "held"
	// Assumed: handed to the binder, not yet confirmed by the API server.
	Assumed State = "assumed"
	// Bound: seen in the API with its node and allocation.
	Bound State = "bound"
	// Releasing: being deleted; keeps its cards until its containers are gone.
	Releasing State = "releasing"
)

// HoldOptions refine a hold.
type HoldOptions struct {
	// Policy orders the cards that fit; without one, that of the request does.
	Policy score.CardPolicy
	// Cards are taken if they still fit; else the policy decides.
	Cards []fit.Chosen
	// Future holds against what remains after evictions and releases.
	Future bool
	// Namespace and Name are shown in snapshots.
	Namespace, Name string
}

// SetNode registers a node or changes its cards. What pods have on it stays.
func (l *Ledger) SetNode(n device.Node) {
	s := l.nodeShard(n.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node(n.Name).register(n)
}

// RemoveNode withdraws the cards of a node. What pods have on it stays until they are forgotten.
func (l *Ledger) RemoveNode(name string) {
	s := l.nodeShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.nodes[name]; n != nil {
		n.unregister()
		s.prune(n)
	}
}

// Fits reports whether the request fits on the node now, beside all that waits for its cards.
func (l *Ledger) Fits(node string, r *request.Pod) fit.Verdict {
	return l.check(node, r, fit.Now)
}

// FitsFuture reports whether the request fits on the node after evictions and releases.
func (l *Ledger) FitsFuture(node string, r *request.Pod) fit.Verdict {
	return l.check(node, r, fit.Future)
}

func (l *Ledger) check(node string, r *request.Pod, b fit.Book) fit.Verdict {
	s := l.nodeShard(node)
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.nodes[node]
	if n == nil {
		return noDevices()
	}
	return n.view.Check(b, r)
}

func noDevices() fit.Verdict {
	return fit.Verdict{Code: fit.Never, Reason: fit.ReasonNoDevices}
}

// View copies the cards of a node into dst if the node has changed since the generation given, and
// returns its generation now. Any change of its cards or of what is taken of them gives a new one,
// zero is the generation of a node that is not known, and no generation comes back. So a copy of the
// cluster is refreshed at the cost of what changed.
func (l *Ledger) View(node string, since uint64, dst *fit.Node) (generation uint64, changed bool) {
	s := l.nodeShard(node)
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.nodes[node]
	if n == nil {
		*dst = fit.Node{Cards: dst.Cards[:0]}
		return 0, since != 0
	}
	if n.generation != since {
		n.view.CopyTo(dst)
	}
	return n.generation, n.generation != since
}

// Score returns how much the policy likes the node for the request, 0 to below score.Max; zero when the
// request fits neither now nor later. An empty policy packs.
func (l *Ledger) Score(node string, r *request.Pod, policy score.NodePolicy) int64 {
	s := l.nodeShard(node)
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.nodes[node]
	if n == nil {
		return 0
	}
	if v, ok := n.view.Score(fit.Now, r, policy); ok {
		return v
	}
	v, _ := n.view.Score(fit.Future, r, policy)
	return v
}

// Hold takes cards for a pod. A pod that already has cards on the node gets what it has, and loses
// the mark of an eviction. A hold for the future becomes one for now when asked again without Future,
// and a hold moves to another node when asked there; both leave the old hold in place when the new one
// does not fit. What is assumed, bound or reserved does not move.
func (l *Ledger) Hold(uid, node string, r *request.Pod, o HoldOptions) (wire.Allocation, fit.Verdict) {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	switch {
	case e == nil:
		e = &entry{uid: uid, name: o.Name, namespace: unique.Make(o.Namespace)}
		a, v := l.take(e, node, r, o)
		if v.OK() {
			p.entries[uid] = e
			p.enter(e)
		}
		return a, v
	case e.node.name != node && (e.state != codeHeld || p.waiting(uid)):
		return wire.Allocation{}, elsewhere(e.node.name)
	case e.node.name != node:
		return l.move(p, e, node, r, o)
	case e.future && !o.Future:
		return l.bringForward(e, r, o)
	}
	l.mark(p, e, 0)
	return l.allocation(e), fit.Verdict{}
}

// take fills an empty entry with cards of the node.
func (l *Ledger) take(e *entry, node string, r *request.Pod, o HoldOptions) (wire.Allocation, fit.Verdict) {
	s := l.nodeShard(node)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[node]
	if n == nil {
		return wire.Allocation{}, noDevices()
	}
	var inline [8]fit.Choice
	book := fit.Now
	if o.Future {
		book = fit.Future
	}
	choices, v := n.choose(book, r, o, inline[:0])
	if !v.OK() {
		return wire.Allocation{}, v
	}
	e.node, e.future = n, o.Future
	e.fill(r, choices)
	e.node.pods++
	e.charge()
	return e.allocation(), v
}

// choose takes the cards that were chosen before, if they still fit, else those that the policy likes.
func (n *node) choose(b fit.Book, r *request.Pod, o HoldOptions, dst []fit.Choice) ([]fit.Choice, fit.Verdict) {
	if len(o.Cards) > 0 {
		if choices, ok := n.view.Confirm(b, r, o.Cards, dst); ok {
			return choices, fit.Verdict{}
		}
	}
	return n.view.Place(b, r, o.Policy, dst)
}

// move gives a held pod cards on another node instead. Precondition: p.mu is held for writing.
func (l *Ledger) move(p *podShard, e *entry, node string, r *request.Pod, o HoldOptions) (wire.Allocation, fit.Verdict) {
	next := &entry{uid: e.uid, name: e.name, namespace: e.namespace}
	a, v := l.take(next, node, r, o)
	if v.OK() {
		l.drop(p, e)
		p.entries[e.uid] = next
		p.enter(next)
	}
	return a, v
}

// bringForward turns a hold for the future into one for now, on the cards that it waited for if they
// are free. All of it happens under one lock: between giving up the future hold and taking the new one,
// nobody may step in.
func (l *Ledger) bringForward(e *entry, r *request.Pod, o HoldOptions) (wire.Allocation, fit.Verdict) {
	s := l.nodeShard(e.node.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	var inline [8]fit.Choice
	e.discharge()
	defer e.charge()
	own := e.ownCards()
	choices, v := own.Place(fit.Now, r, o.Policy, inline[:0])
	if !v.OK() {
		choices, v = e.node.choose(fit.Now, r, o, inline[:0])
	}
	if !v.OK() {
		return wire.Allocation{}, v
	}
	e.clear()
	e.future = false
	e.fill(r, choices)
	return e.allocation(), v
}

// ownCards is the node as it were if only the cards of the entry could be had.
// Precondition: the lock of the node's shard is held.
func (e *entry) ownCards() fit.Node {
	own := fit.Node{Cards: slices.Clone(e.node.view.Cards)}
	for i := range own.Cards {
		own.Cards[i].Healthy = own.Cards[i].Healthy && e.firstOn(uint16(i)) >= 0
	}
	return own
}

// Held returns what a pod has, in any state.
func (l *Ledger) Held(uid string) (wire.Allocation, State, bool) {
	p := l.podShard(uid)
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.entries[uid]
	if e == nil {
		return wire.Allocation{}, "", false
	}
	return l.allocation(e), stateNames[e.state], true
}

// allocation returns what the entry has. Precondition: the pod shard's lock is held.
func (l *Ledger) allocation(e *entry) wire.Allocation {
	s := l.nodeShard(e.node.name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return e.allocation()
}

// Release drops what a pod holds or is assumed to have; with a reservation the cards wait for it again.
// A bound pod keeps its cards: only the API server can say that it is gone.
func (l *Ledger) Release(uid string) {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	switch {
	case e == nil || e.state > codeAssumed:
	case p.waiting(uid):
		l.wait(p, e)
	default:
		l.drop(p, e)
	}
}

// drop forgets an entry. Precondition: p.mu is held for writing.
func (l *Ledger) drop(p *podShard, e *entry) {
	s := l.nodeShard(e.node.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(e)
	delete(p.entries, e.uid)
	delete(p.reserved, e.uid)
	p.leave(e)
}

// Assume promotes a hold, so that it outlives the session. It may be repeated, also after the pod was
// seen bound.
func (l *Ledger) Assume(uid string) (wire.Allocation, error) {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	if e == nil {
		return wire.Allocation{}, fmt.Errorf("assume pod %s: %w", uid, ErrNotHeld)
	}
	if e.future {
		return wire.Allocation{}, fmt.Errorf("assume pod %s: %w", uid, ErrFuture)
	}
	if e.state == codeHeld {
		e.state = codeAssumed // counts in the same books
		p.leave(e)
	}
	return l.allocation(e), nil
}
