package fit

import (
	"strings"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Book selects the sums that a request is judged by.
type Book int

const (
	// Now is what pods occupy at this moment. A request must leave room for what waits in the future
	// book too: else a pod that waits for an eviction would be robbed of the card it waits for.
	Now Book = iota
	// Future is what remains after evictions and releases, with all that waits for them.
	Future
)

// Card is one card as the search sees it: capacity and sums.
type Card struct {
	UUID     string
	Model    string
	Mode     device.Mode
	Index    int
	NUMA     int32
	Healthy  bool
	Cordoned bool // not given to new pods
	Gone     bool // not registered any more, or never was
	Capacity device.Amount
	Now      device.Amount
	Future   device.Amount
}

// Node is the cards of one node. Readers share it; only its owner changes it.
type Node struct {
	Cards []Card
	// Pairs is how well the cards are linked, by place; nil where the node does not say.
	Pairs *device.Pairs
}

// CopyTo makes dst the same, in memory of its own.
func (n *Node) CopyTo(dst *Node) {
	cards := append(dst.Cards[:0], n.Cards...)
	*dst = *n
	dst.Cards = cards
}

// Used returns the sums that count in a book.
func (c *Card) Used(b Book) device.Amount {
	if b == Future {
		return c.Future
	}
	return c.Now.Max(c.Future)
}

// before is the fixed order of cards that are otherwise alike.
func (c *Card) before(o *Card) bool {
	if c.Index != o.Index {
		return c.Index < o.Index
	}
	return c.UUID < o.UUID
}

// need returns what a container takes of this card, and whether it must have the card alone.
func (c *Card) need(r *request.Pod, ct *request.Container) (amount device.Amount, alone bool) {
	amount = device.Amount{Memory: ct.MemoryOn(c.Capacity.Memory), Cores: ct.Cores, Slots: 1}
	if r.Policy.Card.Mutex() {
		// All shares, so that nobody joins later either.
		amount.Slots = max(amount.Slots, c.Capacity.Slots)
		return amount, true
	}
	// All cores of an unscaled card mean the card itself. On a card whose cores are scaled up, a hundred
	// is a number like others.
	alone = c.Mode == device.ModeExclusive ||
		(ct.Cores >= device.WholeCard && c.Capacity.Cores == device.WholeCard)
	return amount, alone
}

// admits reports whether a container fits on the card beside the given use of other pods.
func (c *Card) admits(r *request.Pod, ct *request.Container, used device.Amount) bool {
	amount, alone := c.need(r, ct)
	if alone && used.Slots > 0 {
		return false
	}
	return c.hasRoom(amount, used)
}

func (c *Card) hasRoom(amount, used device.Amount) bool {
	return c.Capacity.Holds(used, amount) && !c.soldOut(amount, used)
}

// offered reports whether new pods may get the card in the state that it is in.
func (c *Card) offered() bool { return c.Healthy && !c.Cordoned }

// serves reports whether the container may have the card now, beside what others have of it.
func (n *Node) serves(b Book, r *request.Pod, ct *request.Container, i int) bool {
	card := &n.Cards[i]
	return card.offered() && card.admits(r, ct, card.Used(b)) && card.shared() &&
		(r.Selector.Empty() || card.allowed(&r.Selector))
}

// soldOut reports whether the container promises itself idle cores of a card that has none left to
// be idle: without a number it gets what others leave, and here others own all.
func (c *Card) soldOut(amount, used device.Amount) bool {
	return amount.Cores == 0 && c.Capacity.Cores > 0 && used.Cores >= c.Capacity.Cores
}

// shared reports whether the card is there to be sliced. Cards in MIG mode never are: instances have
// to be cut out of them, which needs a plan of its own.
func (c *Card) shared() bool {
	return !c.Gone && c.Mode != device.ModeMIG
}

// allowed reports whether a pod with this selector may have the card at all.
func (c *Card) allowed(s *request.Selector) bool {
	return c.shared() && c.wanted(s) && !c.excluded(s) && c.ofType(s) && c.inMode(s)
}

func (c *Card) wanted(s *request.Selector) bool {
	return len(s.UseUUIDs) == 0 || contains(s.UseUUIDs, c.UUID)
}

func (c *Card) excluded(s *request.Selector) bool {
	return contains(s.NoUseUUIDs, c.UUID)
}

func (c *Card) ofType(s *request.Selector) bool {
	return (len(s.UseTypes) == 0 || anyPart(c.Model, s.UseTypes)) && !anyPart(c.Model, s.NoUseTypes)
}

func (c *Card) inMode(s *request.Selector) bool {
	return c.shared() && (s.Mode == "" || strings.Contains(string(s.Mode), string(c.Mode)))
}

func contains(list []string, s string) bool {
	for i := range list {
		if list[i] == s {
			return true
		}
	}
	return false
}

// anyPart reports whether s contains one of the parts, as users write model names. It exists because the
// ready-made ways copy both strings, and this runs per card.
func anyPart(s string, parts []string) bool {
	for _, part := range parts {
		for i := 0; i+len(part) <= len(s); i++ {
			if sameModel(s[i:i+len(part)], part) {
				return true
			}
		}
	}
	return false
}

// sameModel compares names of equal length. Drivers and their versions differ in case, and in whether a
// model's words are joined by a space or a hyphen.
func sameModel(a, b string) bool {
	for i := range len(a) {
		if plain(a[i]) != plain(b[i]) {
			return false
		}
	}
	return true
}

func plain(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case c == ' ':
		return '-'
	}
	return c
}
