package ledger

import (
	"math"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// node is a node and the sums of its cards. Cards keep their place while anything refers to them, so
// pods name cards by place. A card that pods have but the node does not register is in the table too,
// as gone: there it waits for a registration.
type node struct {
	name       string
	registered bool
	pods       int // entries that refer to the node
	view       fit.Node
	shard      *nodeShard
	generation uint64 // see View
}

// touch gives the node a new generation. Precondition: the lock of the node's shard is held for
// writing, and the view changes before it is let go.
func (n *node) touch() {
	n.shard.changes++
	n.generation = n.shard.changes
}

// register takes over the cards of n. Cards that are no longer there keep their sums.
func (n *node) register(d device.Node) {
	n.touch()
	n.registered = true
	for i := range n.view.Cards {
		retire(&n.view.Cards[i])
	}
	n.trim()
	n.view.Cards = slices.Grow(n.view.Cards, max(0, len(d.Cards)-len(n.view.Cards)))
	for i := range d.Cards {
		c := &d.Cards[i]
		card := &n.view.Cards[n.place(c.UUID)]
		card.Model, card.Mode, card.Index, card.NUMA = c.Model, c.Mode, c.Index, int32(c.NUMA)
		card.Healthy, card.Cordoned, card.Gone = c.Healthy, c.Cordoned, false
		card.Capacity = device.Amount{Memory: min(c.Memory, request.MaxMemory), Cores: c.Cores, Slots: c.Slots}
	}
	n.view.Pairs = n.pairs(d)
}

// pairs returns the links of the registered cards by their places in the table.
func (n *node) pairs(d device.Node) *device.Pairs {
	from := make([]int, len(n.view.Cards))
	moved := len(d.Cards) != len(n.view.Cards)
	for i := range from {
		from[i] = slices.IndexFunc(d.Cards, func(c device.Card) bool { return c.UUID == n.view.Cards[i].UUID })
		moved = moved || from[i] != i
	}
	if !moved {
		return d.Pairs
	}
	return d.Pairs.Reordered(len(from), func(i int) int { return from[i] })
}

// unregister keeps only what pods refer to.
func (n *node) unregister() {
	n.touch()
	n.registered = false
	n.view.Pairs = nil
	for i := range n.view.Cards {
		retire(&n.view.Cards[i])
	}
	n.trim()
}

// retire makes the card one that was never registered: what is known of it must not depend on what
// the node once said.
func retire(c *fit.Card) {
	*c = fit.Card{UUID: c.UUID, Gone: true, Index: math.MaxInt, Now: c.Now, Future: c.Future}
}

// maxCards bounds the table: entries name cards by 16 bits. Only a node full of pods with made-up
// UUIDs comes near it; what is beyond is booked on the last card, which is gone as well.
const maxCards = 1 << 16

// place returns where the card with the UUID is in the table, adding it as gone if need be.
func (n *node) place(uuid string) int {
	for i := range n.view.Cards {
		if n.view.Cards[i].UUID == uuid {
			return i
		}
	}
	if len(n.view.Cards) < maxCards {
		n.view.Cards = append(n.view.Cards, fit.Card{UUID: uuid, Gone: true, Index: math.MaxInt})
	}
	return len(n.view.Cards) - 1
}

// trim drops gone cards that nothing is on, from the end of the table only: cards keep their place.
func (n *node) trim() {
	cards := n.view.Cards
	for len(cards) > 0 {
		last := &cards[len(cards)-1]
		if !last.Gone || last.Now != (device.Amount{}) || last.Future != (device.Amount{}) {
			break
		}
		*last = fit.Card{}
		cards = cards[:len(cards)-1]
	}
	n.view.Cards = cards
}

// unused reports whether nothing refers to the node.
func (n *node) unused() bool {
	return !n.registered && n.pods == 0
}
