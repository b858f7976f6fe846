package ledger

import (
	"hash/maphash"
	"sync"
)

// shardCount is a power of two, well above the workers of a scheduler (16 by default).
const shardCount = 64

// podShard is a part of the pods.
type podShard struct {
	mu sync.RWMutex
	// entries are the pods by UID. Guarded by mu.
	entries map[string]*entry
	// reserved are the time limits of reservations by UID; each has an entry. Guarded by mu.
	reserved map[string]int64
	// open are the entries that the end of a session touches: holds, and marked evictions. It is a list
	// that entries know their place in, because each hold goes in and out. Guarded by mu.
	open []*entry
}

// waiting reports whether the pod has a reservation. Precondition: p.mu is held.
func (p *podShard) waiting(uid string) bool {
	_, ok := p.reserved[uid]
	return ok
}

// enter puts an entry on the list of open ones. Precondition: p.mu is held for writing.
func (p *podShard) enter(e *entry) {
	if e.open == 0 {
		p.open = append(p.open, e)
		e.open = uint32(len(p.open))
	}
}

// leave takes it off, and moves the last one to its place. Precondition: p.mu is held for writing.
func (p *podShard) leave(e *entry) {
	if e.open == 0 {
		return
	}
	end := len(p.open) - 1
	p.open[e.open-1] = p.open[end]
	p.open[e.open-1].open = e.open
	p.open[end] = nil
	p.open = p.open[:end]
	e.open = 0
}

// nodeShard is a part of the nodes.
type nodeShard struct {
	mu sync.RWMutex
	// nodes by name, with their sums. Guarded by mu.
	nodes map[string]*node
	// changes counts the changes of all nodes of the shard. A node that is forgotten and comes back
	// goes on where the count stands, so that no generation is ever used twice. Guarded by mu.
	changes uint64
}

// Ledger is the state of all nodes and pods. It is safe for concurrent use.
type Ledger struct {
	// seed spreads keys over shards; no decision depends on it.
	seed  maphash.Seed
	pods  [shardCount]podShard
	nodes [shardCount]nodeShard
}

// New returns an empty ledger.
func New() *Ledger {
	l := &Ledger{seed: maphash.MakeSeed()}
	for i := range shardCount {
		l.pods[i].entries = map[string]*entry{}
		l.pods[i].reserved = map[string]int64{}
		l.nodes[i].nodes = map[string]*node{}
	}
	return l
}

func (l *Ledger) podShard(uid string) *podShard {
	return &l.pods[maphash.String(l.seed, uid)%shardCount]
}

func (l *Ledger) nodeShard(name string) *nodeShard {
	return &l.nodes[maphash.String(l.seed, name)%shardCount]
}

// node returns the node with the name, adding one without cards if need be.
// Precondition: s.mu is held for writing.
func (s *nodeShard) node(name string) *node {
	n := s.nodes[name]
	if n == nil {
		n = &node{name: name, shard: s}
		s.nodes[name] = n
	}
	return n
}

// drop takes back what the entry has and forgets its place on the node. The entry must not be used
// again but to be filled anew. Precondition: s.mu is held for writing.
func (s *nodeShard) drop(e *entry) {
	e.discharge()
	e.node.pods--
	e.node.trim()
	s.prune(e.node)
}

// prune forgets a node that nothing refers to. Precondition: s.mu is held for writing.
func (s *nodeShard) prune(n *node) {
	if n.unused() && s.nodes[n.name] == n {
		delete(s.nodes, n.name)
	}
}
