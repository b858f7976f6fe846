package score

import "github.com/basalt-gpu/basalt/devicesharing/device"

// Free returns how much of a card is left, 0 to Full: of memory, cores and shares what there is least
// of, because a card without one of them can serve nobody.
func Free(used, capacity device.Amount) int64 {
	most := uint64(0)
	if capacity.Memory > 0 {
		most = portion(uint64(used.Memory), uint64(capacity.Memory))
	}
	if capacity.Cores > 0 {
		most = max(most, portion(uint64(used.Cores), uint64(capacity.Cores)))
	}
	if capacity.Slots > 0 {
		most = max(most, portion(uint64(used.Slots), uint64(capacity.Slots)))
	}
	return Full - int64(most)
}
