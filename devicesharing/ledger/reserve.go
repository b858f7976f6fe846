package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// A reservation is a hold that outlives its session: cards that others were evicted from, or that a
// failed Binding left, wait for their pod. While it waits it counts in the future book only, so that
// nobody else gets the cards and the pod itself may still take them now. The reservation stands behind
// a hold of the pod: whatever ends the hold without binding the pod makes it wait again.

// Reservation is one pod's claim.
type Reservation struct {
	UID, Namespace, Name string
	Node                 string
	// Until is when the claim ends, on the clock of whoever made it.
	Until int64
}

// Reserve makes what a pod holds, or is assumed to have, wait for it beyond the session. It ends when
// the pod is seen bound, is forgotten, or when Expire passes until. A pod that has a reservation keeps
// its first time limit: who fails again and again may not wait for ever.
func (l *Ledger) Reserve(uid string, until int64) error {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	if e == nil || e.state > codeAssumed {
		return fmt.Errorf("reserve devices for pod %s: %w", uid, ErrNotHeld)
	}
	if !p.waiting(uid) {
		p.reserved[uid] = until
	}
	l.wait(p, e)
	return nil
}

// Unreserve ends a reservation, and the hold that stands before it. What is assumed goes on.
func (l *Ledger) Unreserve(uid string) {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting(uid) {
		return
	}
	delete(p.reserved, uid)
	if e := p.entries[uid]; e.state == codeHeld {
		l.drop(p, e)
	}
}

// Expire ends the reservations whose time is over and returns them, by UID. Call it between sessions.
func (l *Ledger) Expire(now int64) []Reservation {
	ended := l.reservations(func(r Reservation) bool { return r.Until <= now })
	for _, r := range ended {
		l.Unreserve(r.UID)
	}
	return ended
}

// Reservations returns the reservations of pods that are not assumed, by UID.
func (l *Ledger) Reservations() []Reservation {
	return l.reservations(func(Reservation) bool { return true })
}

func (l *Ledger) reservations(want func(Reservation) bool) []Reservation {
	var out []Reservation
	for i := range l.pods {
		p := &l.pods[i]
		p.mu.RLock()
		for uid, until := range p.reserved {
			e := p.entries[uid]
			r := Reservation{UID: uid, Namespace: e.namespace.Value(), Name: e.name, Node: e.node.name, Until: until}
			if e.state == codeHeld && want(r) {
				out = append(out, r)
			}
		}
		p.mu.RUnlock()
	}
	slices.SortFunc(out, func(a, b Reservation) int { return cmp.Compare(a.UID, b.UID) })
	return out
}

// Reserved returns the node on which cards wait for the pod.
func (l *Ledger) Reserved(uid string) (node string, ok bool) {
	p := l.podShard(uid)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.waiting(uid) {
		return "", false
	}
	return p.entries[uid].node.name, true
}

// wait makes an entry wait for its cards instead of having them now.
// Precondition: p.mu is held for writing, the entry is held or assumed.
func (l *Ledger) wait(p *podShard, e *entry) {
	s := l.nodeShard(e.node.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.discharge()
	e.state, e.future, e.evicting = codeHeld, true, 0
	e.charge()
	p.enter(e)
}

// FitsFor is Fits for a pod that may have a reservation: what waits for it is not in its way.
func (l *Ledger) FitsFor(uid, node string, r *request.Pod) fit.Verdict {
	return l.checkFor(uid, node, r, fit.Now)
}

// FitsFutureFor is FitsFuture for a pod that may have a reservation.
func (l *Ledger) FitsFutureFor(uid, node string, r *request.Pod) fit.Verdict {
	return l.checkFor(uid, node, r, fit.Future)
}

func (l *Ledger) checkFor(uid, node string, r *request.Pod, b fit.Book) fit.Verdict {
	p := l.podShard(uid)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.waiting(uid) {
		return l.check(node, r, b)
	}
	e := p.entries[uid]
	if e.node.name != node {
		return elsewhere(e.node.name)
	}
	s := l.nodeShard(node)
	s.mu.RLock()
	defer s.mu.RUnlock()
	without := e.without()
	return without.Check(b, r)
}

// without is a copy of the entry's node as it were without the entry.
// Precondition: the lock of the node's shard is held.
func (e *entry) without() fit.Node {
	n := fit.Node{Cards: slices.Clone(e.node.view.Cards)}
	now, future := e.books()
	e.sums(func(card int, a device.Amount) {
		c := &n.Cards[card]
		if now {
			c.Now = c.Now.Sub(a)
		}
		if future {
			c.Future = c.Future.Sub(a)
		}
	})
	return n
}

func elsewhere(node string) fit.Verdict {
	return fit.Verdict{Code: fit.NotNow, Reason: fit.ReasonElsewhere, Detail: node}
}
