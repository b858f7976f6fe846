// Package score owns the formulas by which cards and nodes are preferred. It knows amounts only: what
// fits is decided elsewhere, before.
package score

import (
	"math"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// The policies. Binpack fills what is in use, to keep whole cards and nodes free; Spread takes what
// is least in use, to keep neighbours apart.
const (
	Binpack = "binpack"
	Spread  = "spread"
)

// Full is the use of a card of which everything is taken, and the scale of Use.
const Full = 1000

// Max is the score of the best card or node.
const Max = 100

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

// Card returns how much the policy likes a card with the given use. It is comparable between cards;
// higher is better. An empty or unknown policy spreads: neighbours on a card cost each other compute.
func Card(use int64, policy string) int64 {
	if policy == Binpack {
		return use
	}
	return Full - use
}

// Node returns how much the policy likes a node, 0 to Max, from the use of the cards that the request
// would get and the use of all its cards. Both count half: the first alone could not tell an idle node
// from one with a single idle card, the second alone would open an idle card where a started one fits.
// An empty or unknown policy packs: whole free nodes are what large jobs wait for.
func Node(chosen, all int64, policy string) int64 {
	use := min(max(chosen+all, 0), 2*Full)
	if policy == Spread {
		use = 2*Full - use
	}
	return use * Max / (2 * Full)
}
