package ledger

import (
	"maps"
	"slices"
	"unique"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// PodState is what the API server says of a bound pod.
type PodState struct {
	UID, Namespace, Name string
	Node                 string
	Allocation           wire.Allocation
	// Request tells which containers run beside each other. Without it all are taken to.
	Request   *request.Pod
	Releasing bool
}

// code returns the state of a bound pod.
func (p *PodState) code() stateCode {
	if p.Releasing {
		return codeReleasing
	}
	return codeBound
}

// Observe records what the API server says of a bound pod; a pod without node is ignored. It trusts
// the node only together with an allocation that names it. What it records is a fact of the cluster,
// so it is never refused, even where it over-commits a card.
func (l *Ledger) Observe(state PodState) {
	if state.Node == "" {
		return
	}
	p := l.podShard(state.UID)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[state.UID]
	if e != nil && e.node.name != state.Node {
		// Bound elsewhere than we thought: what we took for it here is not used.
		l.drop(p, e)
		e = nil
	}
	trusted := state.Allocation.Node == state.Node && len(state.Allocation.Containers) > 0
	if e == nil {
		if !trusted {
			return
		}
		e = &entry{uid: state.UID}
		p.entries[state.UID] = e
	}
	l.confirm(e, &state, trusted)
	delete(p.reserved, state.UID)
	if e.evicting == 0 {
		p.leave(e)
	}
}

// confirm makes the entry say what the API server says. Without a trusted allocation a pod keeps the
// cards that it was given: it runs where we sent it, so somebody uses them.
// Precondition: the pod shard's lock is held for writing.
func (l *Ledger) confirm(e *entry, state *PodState, trusted bool) {
	s := l.nodeShard(state.Node)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.node == nil {
		e.node = s.node(state.Node)
		e.node.pods++
	} else {
		e.discharge()
	}
	e.name, e.namespace = state.Name, unique.Make(state.Namespace)
	e.state, e.future = state.code(), false
	if state.Releasing {
		e.evicting = 0
	}
	if trusted {
		e.clear()
		e.take(state.Allocation.Containers, state.Request)
	}
	e.charge()
	e.node.trim()
}

// take fills an empty entry from an allocation, in the order of container names.
// Precondition: the lock of the node's shard is held for writing.
func (e *entry) take(containers map[string][]wire.Slice, r *request.Pod) {
	names := slices.Sorted(maps.Keys(containers))
	for _, name := range names {
		span := spanOf(name, r)
		for _, s := range containers[name] {
			amount := device.Amount{Memory: s.Memory, Cores: s.Cores, Slots: s.Shares}
			e.add(newSlice(name, e.node.place(s.UUID), amount, span))
		}
	}
}

// spanOf returns when a container runs. One that the request does not name runs all the time.
func spanOf(name string, r *request.Pod) fit.Span {
	if r == nil {
		return fit.Span{}
	}
	var inline [8]fit.Span
	spans, phases := fit.Spans(r.Containers, inline[:0])
	for i := range r.Containers {
		if r.Containers[i].Name == name {
			return spans[i]
		}
	}
	return fit.Span{Last: uint8(phases - 1)}
}

// Forget drops a pod in any state: it is gone, or its containers have ended.
func (l *Ledger) Forget(uid string) {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[uid]; e != nil {
		l.drop(p, e)
	}
}
