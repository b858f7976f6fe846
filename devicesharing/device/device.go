// Package device describes accelerator cards and the nodes that carry them, in units that cannot be
// mixed up. It owns the unit types and their arithmetic; it knows no request, no allocation and no
// annotation format.
package device

import "slices"

// Mode says by what means a card is shared. A card is in one mode at a time.
type Mode string

// The modes a card may be in.
const (
	ModeHAMiCore  Mode = "hami-core"
	ModeMIG       Mode = "mig"
	ModeMPS       Mode = "mps"
	ModeExclusive Mode = "exclusive"
)

// Modes returns every mode, in a fixed order.
func Modes() []Mode {
	return []Mode{ModeHAMiCore, ModeMIG, ModeMPS, ModeExclusive}
}

// Known reports whether m is one of the modes above.
func (m Mode) Known() bool {
	return slices.Contains(Modes(), m)
}

// VendorNVIDIA is the vendor word of NVIDIA's cards, as node and pod annotations spell it.
const VendorNVIDIA = "NVIDIA"

// WholeCard is the compute of one unscaled card. A container that asks for all of it on a card that
// has no more than it gets the card alone.
const WholeCard CorePercent = 100

// Card is one physical card and what may be sold of it.
type Card struct {
	UUID   string
	Index  int
	Vendor string
	Model  string
	Memory MiB
	Cores  CorePercent
	// Slots is how many containers may share the card.
	Slots   Shares
	NUMA    int
	Healthy bool
	// Cordoned cards are not given to new pods; those that have them keep them.
	Cordoned bool
	Mode     Mode
}

// Node is a node with its cards. Card UUIDs are unique in a node.
type Node struct {
	Name  string
	Cards []Card
	// Pairs is how well the cards are linked, nil where the node does not say.
	Pairs *Pairs
}

// Clone returns a copy that shares no memory with n.
func (n Node) Clone() Node {
	n.Cards = slices.Clone(n.Cards)
	return n
}
