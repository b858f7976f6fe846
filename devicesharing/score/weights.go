package score

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Weights say how much shares, cores and memory count in the use of a card. All zero means alike.
type Weights struct {
	Slot, Core, Memory uint32
}

// MaxWeight bounds a weight, so that no sum of weighted parts can overflow.
const MaxWeight = 1_000_000

// ParseWeights reads "slot=1,core=1,memory=3": all three, in any order, and not all zero.
func ParseWeights(text string) (Weights, error) {
	const form = "must be slot=N,core=N,memory=N"
	var w Weights
	parts := map[string]*uint32{"slot": &w.Slot, "core": &w.Core, "memory": &w.Memory}
	for pair := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		part, wanted := parts[name]
		if !wanted {
			return Weights{}, fmt.Errorf("%s, each once: %q is none of them or repeated", form, name)
		}
		delete(parts, name)
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
		if err != nil || n > MaxWeight {
			return Weights{}, fmt.Errorf("%s with whole numbers from 0 to %d: %s is %q", form, MaxWeight, name, number)
		}
		*part = uint32(n)
	}
	if len(parts) > 0 {
		return Weights{}, fmt.Errorf("%s: all three are needed", form)
	}
	if w == (Weights{}) {
		return Weights{}, fmt.Errorf("%s: at least one must be above zero", form)
	}
	return w, nil
}

// Use is the function of that name with parts that count by their weights. Parts that the card does not
// have count nothing.
func (w Weights) Use(used, capacity device.Amount) int64 {
	if w == (Weights{}) {
		return Use(used, capacity)
	}
	var sum, total uint64
	add := func(weight uint32, used, capacity uint64) {
		if capacity > 0 {
			sum += uint64(weight) * portion(used, capacity)
			total += uint64(weight)
		}
	}
	add(w.Memory, uint64(used.Memory), uint64(capacity.Memory))
	add(w.Core, uint64(used.Cores), uint64(capacity.Cores))
	add(w.Slot, uint64(used.Slots), uint64(capacity.Slots))
	return int64(sum / max(total, 1))
}
