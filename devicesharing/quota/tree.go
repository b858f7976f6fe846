package quota

import (
	"cmp"
	"fmt"
	"slices"
)

// Queue is a queue as the tree is built from it.
type Queue struct {
	Name string
	// Parent is empty for a queue at the top.
	Parent string
	Limits Limits
	// Problem says why the limits cannot be read; nothing with devices may then be placed in the queue.
	Problem string
}

// node is a queue in the tree.
type node struct {
	Queue
	parent   int // -1 at the top
	depth    int
	children []int
	// wall is the tightest limit that the queue's own capability and the guarantees of others leave;
	// reserved marks where it is the latter. Both take no account of parents' walls: those are checked
	// for themselves.
	wall     Bounds
	reserved [dimensions]bool
}

// Tree is the queues of one session with their limits. It is immutable; what is used of them is kept
// in Sums.
type Tree struct {
	nodes  []node
	byName map[string]int
	// limited is false where no queue says anything about devices.
	limited bool
}

// Sums are what is used of every queue, its children's use included, in the order of the tree.
type Sums []Vector

// NewTree builds the tree. The total is what all cards have together: guarantees are taken out of it.
// Queues whose parents form a circle, or whose parent does not exist, stand at the top with a problem.
func NewTree(queues []Queue, total Vector) *Tree {
	queues = slices.Clone(queues)
	slices.SortFunc(queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	t := &Tree{byName: make(map[string]int, len(queues)), nodes: make([]node, 0, len(queues))}
	for _, q := range queues {
		t.byName[q.Name] = len(t.nodes)
		t.nodes = append(t.nodes, node{Queue: q, parent: -1})
		t.limited = t.limited || !q.Limits.Empty() || q.Problem != ""
	}
	t.link()
	t.build(total)
	return t
}

// link resolves the parents.
func (t *Tree) link() {
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.Parent == "" {
			continue
		}
		parent, ok := t.byName[n.Parent]
		if !ok {
			n.fail(fmt.Sprintf("parent queue %s does not exist", n.Parent))
			continue
		}
		n.parent = parent
	}
	for i := range t.nodes {
		if t.inCircle(i) {
			t.nodes[i].fail("its parent queues form a circle")
		}
	}
	for i := range t.nodes {
		if t.nodes[i].parent >= 0 && t.inCircle(i) {
			t.nodes[i].parent = -1
		}
	}
	for i := range t.nodes {
		for p := t.nodes[i].parent; p >= 0; p = t.nodes[p].parent {
			t.nodes[i].depth++
		}
		if p := t.nodes[i].parent; p >= 0 {
			t.nodes[p].children = append(t.nodes[p].children, i)
		}
	}
}

func (n *node) fail(problem string) {
	if n.Problem == "" {
		n.Problem = problem
	}
}

// inCircle reports whether going up from a queue leads back to a queue that was passed.
func (t *Tree) inCircle(i int) bool {
	for steps := 0; i >= 0; steps++ {
		if steps > len(t.nodes) {
			return true
		}
		i = t.nodes[i].parent
	}
	return false
}

// build computes the walls from the top down.
func (t *Tree) build(total Vector) {
	top := Bounds{Value: total}
	for d := range top.Set {
		top.Set[d] = true
	}
	var tops []int
	for i := range t.nodes {
		if t.nodes[i].parent < 0 {
			tops = append(tops, i)
		}
	}
	t.divide(top, tops)
}

// divide gives siblings what is there less what is guaranteed to their siblings. Where nothing is
// guaranteed to others, only the queue's own capability holds.
func (t *Tree) divide(there Bounds, siblings []int) {
	var guaranteed Vector
	for _, i := range siblings {
		guaranteed = guaranteed.Add(t.guarantee(i))
	}
	for _, i := range siblings {
		n := &t.nodes[i]
		others := guaranteed.Sub(t.guarantee(i))
		n.wall = n.Limits.Capability
		for d := range others {
			left := there.Value[d] - min(there.Value[d], others[d])
			if there.Set[d] && others[d] > 0 && (!n.wall.Set[d] || left < n.wall.Value[d]) {
				n.wall.set(Dimension(d), left)
				n.reserved[d] = true
			}
		}
		below := there
		for d := range n.wall.Set {
			if n.wall.Set[d] && (!below.Set[d] || n.wall.Value[d] < below.Value[d]) {
				below.set(Dimension(d), n.wall.Value[d])
			}
		}
		t.divide(below, n.children)
	}
}

// guarantee is what a queue and those below it are guaranteed: what it says itself, at least the sum
// of its children.
func (t *Tree) guarantee(i int) Vector {
	var children Vector
	for _, c := range t.nodes[i].children {
		children = children.Add(t.guarantee(c))
	}
	return t.nodes[i].Limits.Guarantee.Value.Max(children)
}

// Limited reports whether any queue says anything about devices.
func (t *Tree) Limited() bool { return t.limited }

// NewSums returns sums of nothing.
func (t *Tree) NewSums() Sums { return make(Sums, len(t.nodes)) }

// Clone returns sums that change on their own.
func (s Sums) Clone() Sums { return slices.Clone(s) }

// Used returns what is used of a queue.
func (t *Tree) Used(s Sums, queue string) Vector {
	if i, ok := t.byName[queue]; ok {
		return s[i]
	}
	return Vector{}
}

// Add charges a queue and all its parents.
func (t *Tree) Add(s Sums, queue string, v Vector) {
	t.up(queue, func(i int) bool { s[i] = s[i].Add(v); return true })
}

// Remove takes back what Add charged.
func (t *Tree) Remove(s Sums, queue string, v Vector) {
	t.up(queue, func(i int) bool { s[i] = s[i].Sub(v); return true })
}

// up visits a queue and its parents, from below, while visit wants more.
func (t *Tree) up(queue string, visit func(i int) bool) {
	i, ok := t.byName[queue]
	for ok && i >= 0 && visit(i) {
		i = t.nodes[i].parent
	}
}

// Parent returns the parent of a queue, or "".
func (t *Tree) Parent(queue string) string {
	if i, ok := t.byName[queue]; ok && t.nodes[i].parent >= 0 {
		return t.nodes[t.nodes[i].parent].Name
	}
	return ""
}

// Problems returns what is wrong with queues, by name.
func (t *Tree) Problems() map[string]string {
	problems := map[string]string{}
	for i := range t.nodes {
		if t.nodes[i].Problem != "" {
			problems[t.nodes[i].Name] = t.nodes[i].Problem
		}
	}
	return problems
}
