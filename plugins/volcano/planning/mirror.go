package planning

import (
	"slices"

	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// mirror is a copy of the cluster to plan on. It outlives sessions: each brings in only what changed.
type mirror struct {
	options Options
	book    fit.Book
	pool    *packing.Pool
	known   map[string]*known
	round   uint64
	nodes   map[string]*api.NodeInfo // of the open session
	touched []string
	scratch fit.Node
}

// known is what the pool was told of a node.
type known struct {
	free       packing.Resources
	generation uint64
	refused    bool
	round      uint64
}

func newMirror(o Options, book fit.Book) *mirror {
	return &mirror{
		options: o, book: book, known: map[string]*known{},
		pool: packing.New(packing.Options{Book: book}),
	}
}

// refresh takes over all nodes of a session.
func (m *mirror) refresh(nodes map[string]*api.NodeInfo) {
	m.nodes, m.touched = nodes, m.touched[:0]
	m.round++
	var added []string
	for name, node := range nodes {
		if m.known[name] == nil {
			added = append(added, name)
			continue
		}
		m.update(name, node)
	}
	// Where the planner takes the first node that fits, nodes come in the order of their arrival.
	slices.Sort(added)
	for _, name := range added {
		m.known[name] = &known{}
		m.set(name, nodes[name])
	}
	for name, k := range m.known {
		if k.round != m.round {
			delete(m.known, name)
			m.pool.Remove(name)
		}
	}
}

// touch marks a node as changed. It is looked at when the pool is used next.
func (m *mirror) touch(node string) {
	if m.nodes[node] != nil && !slices.Contains(m.touched, node) {
		m.touched = append(m.touched, node)
	}
}

// current returns the pool with all changes.
func (m *mirror) current() *packing.Pool {
	for _, name := range m.touched {
		m.update(name, m.nodes[name])
	}
	m.touched = m.touched[:0]
	return m.pool
}

// update takes over a known node if it changed.
func (m *mirror) update(name string, node *api.NodeInfo) {
	k := m.known[name]
	k.round = m.round
	_, changed := m.options.Cards.View(name, k.generation, &m.scratch)
	if changed || k.free != m.free(node) || k.refused != (m.options.Refusal(name) != "") {
		m.set(name, node)
	}
}

// set takes over a node as it is.
func (m *mirror) set(name string, node *api.NodeInfo) {
	generation, _ := m.options.Cards.View(name, 0, &m.scratch)
	k := known{free: m.free(node), generation: generation, refused: m.options.Refusal(name) != "", round: m.round}
	cards := m.scratch
	if k.refused {
		cards = fit.Node{}
	}
	*m.known[name] = k
	m.pool.Set(packing.Node{Name: name, Free: k.free, Capacity: capacity(node), Cards: cards})
}

// capacity returns what a node has beside its cards when nothing runs on it.
func capacity(n *api.NodeInfo) packing.Resources {
	return packing.Resources{
		MilliCPU: int64(n.Allocatable.MilliCPU),
		Memory:   int64(n.Allocatable.Memory),
		Pods:     int64(n.Allocatable.MaxTaskNum),
	}
}

// free returns what is free on a node beside its cards.
func (m *mirror) free(n *api.NodeInfo) packing.Resources {
	r := packing.Resources{
		MilliCPU: int64(n.Idle.MilliCPU),
		Memory:   int64(n.Idle.Memory),
		Pods:     int64(n.Allocatable.MaxTaskNum - len(n.Tasks)),
	}
	if m.book == fit.Future {
		r.MilliCPU += int64(n.Releasing.MilliCPU - n.Pipelined.MilliCPU)
		r.Memory += int64(n.Releasing.Memory - n.Pipelined.Memory)
	}
	return r
}

// cards names the cards of a planned place.
func (m *mirror) cards(at gang.Member) []fit.Chosen {
	cards := make([]fit.Chosen, 0, len(at.Cards))
	for _, c := range at.Cards {
		cards = append(cards, fit.Chosen{Container: c.Container, UUID: m.pool.CardUUID(at.Node, c.Card)})
	}
	return cards
}

// shape returns what a task takes, as the pool names it.
func (m *mirror) shape(task *api.TaskInfo) packing.ShapeID {
	return m.pool.Intern(packing.Shape{
		Resources: packing.Resources{
			MilliCPU: int64(task.InitResreq.MilliCPU), Memory: int64(task.InitResreq.Memory), Pods: 1,
		},
		Request: m.options.Request(task.Pod),
	})
}
