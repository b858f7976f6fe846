package ledger

import (
	"cmp"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Snapshot is the whole state of a ledger at one moment: nodes by name, pods by UID.
type Snapshot struct {
	Nodes []NodeSnapshot `json:"nodes"`
	Pods  []PodSnapshot  `json:"pods"`
}

// NodeSnapshot is one node with its cards, by index and UUID.
type NodeSnapshot struct {
	Name string `json:"name"`
	// Registered is false for a node that pods are on but whose cards are not known.
	Registered bool           `json:"registered"`
	Cards      []CardSnapshot `json:"cards"`
}

// Use is a part of a card.
type Use struct {
	Slots  device.Shares      `json:"slots"`
	Memory device.MiB         `json:"memoryMiB"`
	Cores  device.CorePercent `json:"cores"`
}

// CardSnapshot is one card of a node.
type CardSnapshot struct {
	UUID string `json:"uuid"`
	// Index is -1 for a card that the node does not register.
	Index    int         `json:"index"`
	Model    string      `json:"model,omitempty"`
	Mode     device.Mode `json:"mode,omitempty"`
	Healthy  bool        `json:"healthy"`
	Capacity Use         `json:"capacity"`
	// Used is what pods have now, Future what they will have after evictions and releases, with the
	// holds that wait for them.
	Used   Use `json:"used"`
	Future Use `json:"future"`
	// Unknown marks a card that pods have but the node does not register.
	Unknown bool `json:"unknown,omitempty"`
	// Overcommitted marks a registered card of which more is used, or promised, than it has.
	Overcommitted bool `json:"overcommitted,omitempty"`
}

// PodSnapshot is one pod.
type PodSnapshot struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	State     State  `json:"state"`
	Future    bool   `json:"future,omitempty"`
	Evicting  bool   `json:"evicting,omitempty"`
	// Reserved marks a pod whose claim outlives the session.
	Reserved bool   `json:"reserved,omitempty"`
	Node     string `json:"node"`
	// Allocation is by container name.
	Allocation map[string][]wire.Slice `json:"allocation"`
}

// Snapshot returns the whole state. It stops all changes while it copies: it is for people, metrics
// and tests, not for decisions.
func (l *Ledger) Snapshot() Snapshot {
	for i := range l.pods {
		l.pods[i].mu.RLock()
		defer l.pods[i].mu.RUnlock()
	}
	for i := range l.nodes {
		l.nodes[i].mu.RLock()
		defer l.nodes[i].mu.RUnlock()
	}
	s := Snapshot{Nodes: []NodeSnapshot{}, Pods: []PodSnapshot{}}
	for i := range l.nodes {
		for _, n := range l.nodes[i].nodes {
			s.Nodes = append(s.Nodes, n.snapshot())
		}
	}
	for i := range l.pods {
		for uid, e := range l.pods[i].entries {
			pod := e.snapshot()
			pod.Reserved = l.pods[i].waiting(uid)
			s.Pods = append(s.Pods, pod)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b NodeSnapshot) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Pods, func(a, b PodSnapshot) int { return cmp.Compare(a.UID, b.UID) })
	return s
}

// NodeSnapshot returns one node, and whether the ledger knows it.
func (l *Ledger) NodeSnapshot(name string) (NodeSnapshot, bool) {
	s := l.nodeShard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.nodes[name]
	if n == nil {
		return NodeSnapshot{}, false
	}
	return n.snapshot(), true
}

func (n *node) snapshot() NodeSnapshot {
	s := NodeSnapshot{Name: n.name, Registered: n.registered, Cards: make([]CardSnapshot, 0, len(n.view.Cards))}
	for i := range n.view.Cards {
		c := &n.view.Cards[i]
		if c.Gone && c.Now == (device.Amount{}) && c.Future == (device.Amount{}) {
			continue
		}
		s.Cards = append(s.Cards, cardSnapshot(c))
	}
	slices.SortFunc(s.Cards, func(a, b CardSnapshot) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.UUID, b.UUID))
	})
	return s
}

func cardSnapshot(c *fit.Card) CardSnapshot {
	index := c.Index
	if c.Gone {
		index = -1
	}
	return CardSnapshot{
		UUID:          c.UUID,
		Index:         index,
		Model:         c.Model,
		Mode:          c.Mode,
		Healthy:       c.Healthy,
		Capacity:      use(c.Capacity),
		Used:          use(c.Now),
		Future:        use(c.Future),
		Unknown:       c.Gone,
		Overcommitted: !c.Gone && !c.Now.Max(c.Future).Within(c.Capacity),
	}
}

func use(a device.Amount) Use {
	return Use{Slots: a.Slots, Memory: a.Memory, Cores: a.Cores}
}

func (e *entry) snapshot() PodSnapshot {
	return PodSnapshot{
		UID:        e.uid,
		Namespace:  e.namespace.Value(),
		Name:       e.name,
		State:      stateNames[e.state],
		Future:     e.future,
		Evicting:   e.evicting > 0,
		Node:       e.node.name,
		Allocation: e.containers(),
	}
}
