package packing

import (
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
)

// Node is a node as it enters the pool: what is free beside its cards, and the cards with what is used
// of them.
type Node struct {
	Name string
	Free Resources
	// Capacity is what there is when nothing runs on the node; zero when it is not known.
	Capacity Resources
	Cards    fit.Node
}

// Options sets how a pool decides.
type Options struct {
	// Policy is Fragmentation when empty.
	Policy Policy
	// Judge, when set, decides in place of a policy.
	Judge Judge
	// Book is what cards are judged by.
	Book fit.Book
}

// Pool is the nodes and what is free on them.
type Pool struct {
	options  Options
	judge    Judge // nil for Fragmentation
	nodes    []node
	asked    []uint64 // by node, the last use of a ranking that took in its change
	prints   []uint64 // by node, equal for equal nodes
	names    map[string]int
	vacant   []int // indexes of removed nodes
	shapes   []shape
	shapeIDs map[string]ShapeID
	kinds    []cardKind
	kindIDs  map[kindKey]int32
	mix      mix
	// epoch counts the refreshes of the mix.
	epoch uint32
	// changes is the latest nodes that changed, for the rankings; dropped counts those left out.
	changes  []int32
	dropped  int
	rankings []*ranking
	// maxRanked bounds the nodes in all rankings together.
	maxRanked int
	clock     uint64 // counts uses of rankings

	key              []byte
	choices          []fit.Choice
	twins            []twin // by print, while a ranking is made
	usableScratch    []int32
	admittingScratch []uint8
}

// node is a node with what the policy knows of it.
type node struct {
	Node
	present bool
	// generation tells the states of the node that Set brought apart.
	generation uint32

	// changed: what follows, and the print, are of an earlier state. Only score and refresh read them.
	changed   bool
	cards     []cardView
	left      int32   // what is free on all cards, in thousandths of a card
	usable    []int32 // what of it each class of the mix can use
	admitting []uint8 // how many cards admit each class
	step      int     // of the free CPU
	value     float64
	stranded  float64
}

// New returns an empty pool.
func New(o Options) *Pool {
	if o.Policy == "" {
		o.Policy = Fragmentation
	}
	p := &Pool{options: o, names: map[string]int{}, shapeIDs: map[string]ShapeID{}, kindIDs: map[kindKey]int32{},
		maxRanked: maxRanked}
	p.judge = o.Judge
	return p
}

// Set adds the node, or replaces the one with its name, and returns its index. The cards are copied.
// What was placed on a replaced node is forgotten: the new state has it or not.
func (p *Pool) Set(n Node) int {
	i, known := p.names[n.Name]
	if !known {
		i = p.newIndex()
		p.names[n.Name] = i
	}
	at := &p.nodes[i]
	cards := append(at.Cards.Cards[:0], n.Cards.Cards...)
	at.Node, at.present = n, true
	at.Cards.Cards = cards
	at.generation++
	at.cards = zeroed(at.cards, len(cards))
	for d := range cards {
		at.cards[d].kind = p.kindOf(&cards[d])
	}
	p.mix.moved++
	p.changed(i)
	return i
}

func (p *Pool) newIndex() int {
	if last := len(p.vacant) - 1; last >= 0 {
		i := p.vacant[last]
		p.vacant = p.vacant[:last]
		return i
	}
	p.nodes = append(p.nodes, node{})
	p.asked, p.prints = append(p.asked, 0), append(p.prints, 0)
	return len(p.nodes) - 1
}

// Remove takes the node out. Its index may be given to a node that is added later.
func (p *Pool) Remove(name string) {
	i, known := p.names[name]
	if !known {
		return
	}
	delete(p.names, name)
	n := &p.nodes[i]
	*n = node{generation: n.generation + 1}
	p.vacant = append(p.vacant, i)
	p.mix.moved++
	p.changed(i)
}

// changed notes that a node is not what it was. Gangs are placed and taken back many pods at a time, so
// what is known of the node is found again only when it is asked for.
func (p *Pool) changed(i int) {
	n := &p.nodes[i]
	if n.changed {
		return // and nobody has looked since, no ranking either
	}
	n.changed = true
	if len(p.changes) > 2*len(p.nodes)+64 {
		half := len(p.changes) / 2
		p.changes = append(p.changes[:0], p.changes[half:]...)
		p.dropped += half
	}
	p.changes = append(p.changes, int32(i))
}

// look brings what is known of a node in line with its state.
func (p *Pool) look(i int) {
	if n := &p.nodes[i]; n.changed {
		n.changed = false
		p.view(i)
		p.assess(n)
	}
}

// Index returns the index of the node with that name.
func (p *Pool) Index(name string) (int, bool) {
	i, known := p.names[name]
	return i, known
}

// Name returns the name of a node, empty for an index that no node has.
func (p *Pool) Name(i int) string { return p.nodes[i].Name }

// Len returns the number of indexes in use or once used: every index is below it.
func (p *Pool) Len() int { return len(p.nodes) }

// Free returns what is free on the node beside its cards.
func (p *Pool) Free(i int) Resources { return p.nodes[i].Free }

// Cards returns a copy of the node's cards as they are now.
func (p *Pool) Cards(i int) fit.Node { return fit.Node{Cards: slices.Clone(p.nodes[i].Cards.Cards)} }

// Shapes returns how many shapes the pool knows.
func (p *Pool) Shapes() int { return len(p.shapes) }

// CardUUID returns the UUID of a card by its place on the node.
func (p *Pool) CardUUID(i, card int) string { return p.nodes[i].Cards.Cards[card].UUID }
