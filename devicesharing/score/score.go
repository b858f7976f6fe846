// Package score owns the formulas by which cards and nodes are preferred. It knows amounts only: what
// fits is decided elsewhere, before.
package score

import (
	"math"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Full is the use of a card of which everything is taken, and the scale of Use.
const Full = 1000

// Max is above the score of every node. A score has two parts: the upper bits are what the policy says,
// the lower fullnessBits how full the node is, so that of two nodes which the policy likes alike the
// fuller one is better.
const (
	Max          = 1 << (valueBits + fullnessBits)
	valueBits    = 21
	fullnessBits = 10
)

// Grain is the scale of a mean of uses: Full * Grain is the mean of full cards. A mean of whole numbers
// would make nodes alike that are not.
const Grain = 1000

// Use returns how much of the capacity is used, 0 to Full: the mean over memory, cores and shares of
// those that there are any of. Over-committed parts count as full.
func Use(used, capacity device.Amount) int64 {
	var sum, parts uint64
	if capacity.Memory > 0 {
		sum, parts = portion(uint64(used.Memory), uint64(capacity.Memory)), 1
	}
	if capacity.Cores > 0 {
		sum, parts = sum+portion(uint64(used.Cores), uint64(capacity.Cores)), parts+1
	}
	if capacity.Slots > 0 {
		sum, parts = sum+portion(uint64(used.Slots), uint64(capacity.Slots)), parts+1
	}
	// A division by a constant is a multiplication, and this runs per card.
	switch parts {
	case 3:
		return int64(sum / 3)
	case 2:
		return int64(sum / 2)
	default:
		return int64(sum)
	}
}

// portion returns used/capacity on the scale of Full, without overflow.
func portion(used, capacity uint64) uint64 {
	switch {
	case used >= capacity:
		return Full
	case capacity <= math.MaxUint32/Full:
		return uint64(uint32(used) * Full / uint32(capacity)) // the cheap division, for all real cards
	case used <= math.MaxUint64/Full:
		return used * Full / capacity
	default:
		return used / (capacity / Full)
	}
}

// Fit is what is known of a node on which a request fits.
type Fit struct {
	// Chosen and All are the mean use of the cards that the request would get and of all cards, 0 to
	// Full * Grain.
	Chosen, All int64
	// Links is how good the links of the request are, 0 to Full. It counts only with LinksCount.
	Links      int64
	LinksCount bool
}

// Node returns how much the policy likes a node, 0 to below Max. The use of the chosen cards and that of
// all count half each: the first alone could not tell an idle node from one with a single idle card, the
// second alone would open an idle card where a started one fits. Where links count, they count three
// quarters: a pod that asks for linked cards is better off on a free node with links than on a full one
// without. The default packs: whole free nodes are what large jobs wait for.
func Node(f Fit, policy NodePolicy) int64 {
	const scale = 2 * Full * Grain
	all := min(max(f.All, 0), Full*Grain)
	value := min(max(f.Chosen, 0), Full*Grain) + all
	if policy == NodeSpread {
		value = scale - value
	}
	if f.LinksCount {
		value = value/4 + 3*min(max(f.Links, 0), Full)*(scale/Full)/4
	}
	return value*(1<<valueBits-1)/scale<<fullnessBits + all*(1<<fullnessBits-1)/(Full*Grain)
}
