package hamicore

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ProcessUse is what one process of the container holds.
type ProcessUse struct {
	// PID is the process's own number, in its own pid namespace.
	PID int32
	// StartTime is field 22 of its /proc/PID/stat, 0 where it could not be read.
	StartTime uint64
	// UsedBytes has one entry per card, in the order of the agent page.
	UsedBytes []uint64
}

// Alarms are counters that the limiter raises for the agent.
type Alarms struct {
	// UnknownSymbols counts driver functions of a charged family that the limiter does not know.
	UnknownSymbols uint64
	// ForeignDrivers counts look-ups in a second copy of the driver, which are refused.
	ForeignDrivers uint64
	// SlotsExhausted counts allocations refused because all process slots are taken.
	SlotsExhausted uint64
	// SlotsReaped counts slots taken from dead processes.
	SlotsReaped uint64
}

// Region is a tenant region at one moment. Its numbers come from the container: they are plausible,
// not true.
type Region struct {
	Major, Minor uint32
	// Processes holds the processes that have a slot, in slot order. A process that died without
	// anybody noticing is among them.
	Processes []ProcessUse
	// UsedBytes is what is charged, per card in the order of the agent page.
	UsedBytes []uint64
	// Repairing is true while dead processes are being removed: UsedBytes may then exceed the sum.
	Repairing bool
	Alarms    Alarms
}

// NewRegion returns the bytes of an empty tenant region.
func NewRegion() []byte {
	b := make([]byte, RegionSize)
	le := binary.LittleEndian
	le.PutUint64(b[offMagic:], regionMagic)
	le.PutUint32(b[offMajor:], Major)
	le.PutUint32(b[offMinor:], Minor)
	le.PutUint32(b[offHeaderSize:], regionOffCards)
	le.PutUint32(b[regionOffCardSize:], cardSize)
	le.PutUint32(b[regionOffCardCount:], MaxDevices)
	le.PutUint32(b[regionOffSlotSize:], slotSize)
	le.PutUint32(b[regionOffSlotCount:], MaxProcesses)
	le.PutUint32(b[regionOffTotalSize:], RegionSize)
	return b
}

// ReadRegion reads a region of this major and any minor. It returns an error for bytes that no
// limiter writes, so that a caller never acts on numbers that a container made up carelessly.
func ReadRegion(b []byte) (Region, error) {
	r, err := readRegion(b)
	if err != nil {
		return Region{}, fmt.Errorf("read region: %w", err)
	}
	return r, nil
}

func readRegion(b []byte) (Region, error) {
	if len(b) < RegionSize {
		return Region{}, fmt.Errorf("length: %d: must be at least %d", len(b), RegionSize)
	}
	if err := checkVersion(b, regionMagic); err != nil {
		return Region{}, err
	}
	le := binary.LittleEndian
	header, total := le.Uint32(b[offHeaderSize:]), le.Uint32(b[regionOffTotalSize:])
	cards, cardStep := le.Uint32(b[regionOffCardCount:]), le.Uint32(b[regionOffCardSize:])
	slots, slotStep := le.Uint32(b[regionOffSlotCount:]), le.Uint32(b[regionOffSlotSize:])
	if err := checkExtent("card", len(b), total, header, regionOffCards, cardStep, cardSize, cards, MaxDevices); err != nil {
		return Region{}, err
	}
	// checkExtent has bounded the product: it fits into total, which fits into the buffer.
	slotBase := header + cards*cardStep
	if err := checkExtent("slot", len(b), total, slotBase, slotBase, slotStep, slotSize, slots, MaxProcesses); err != nil {
		return Region{}, err
	}
	r := Region{
		Major:     le.Uint32(b[offMajor:]),
		Minor:     le.Uint32(b[offMinor:]),
		Repairing: le.Uint64(b[regionOffDirty:]) != 0,
		Alarms: Alarms{
			UnknownSymbols: le.Uint64(b[regionOffUnknownSymbols:]),
			ForeignDrivers: le.Uint64(b[regionOffForeignDrivers:]),
			SlotsExhausted: le.Uint64(b[regionOffSlotsExhausted:]),
			SlotsReaped:    le.Uint64(b[regionOffSlotsReaped:]),
		},
		UsedBytes: make([]uint64, cards),
	}
	for i := range int(cards) {
		used := le.Uint64(b[int(header)+i*int(cardStep)+cardOffUsed:])
		if used > maxPlausibleUse {
			return Region{}, fmt.Errorf("cards[%d].used: %d: must not exceed %d", i, used, uint64(maxPlausibleUse))
		}
		r.UsedBytes[i] = used
	}
	for i := range int(slots) {
		p, live, err := readSlot(b[int(slotBase)+i*int(slotStep):][:slotSize], int(cards))
		if err != nil {
			return Region{}, fmt.Errorf("slots[%d].%w", i, err)
		}
		if live {
			r.Processes = append(r.Processes, p)
		}
	}
	return r, nil
}

func readSlot(b []byte, cards int) (p ProcessUse, live bool, err error) {
	le := binary.LittleEndian
	owner := le.Uint64(b[slotOffOwner:])
	switch state := owner >> slotStateShift; state {
	case slotFree:
		return ProcessUse{}, false, nil
	case slotLive:
	default:
		return ProcessUse{}, false, fmt.Errorf("state: %d: must be %d or %d", state, slotFree, slotLive)
	}
	pid := uint32(owner)
	if pid == 0 || pid > math.MaxInt32 {
		return ProcessUse{}, false, fmt.Errorf("pid: %d: must be between 1 and %d", pid, math.MaxInt32)
	}
	p = ProcessUse{PID: int32(pid), StartTime: le.Uint64(b[slotOffStart:]), UsedBytes: make([]uint64, cards)}
	for i := range p.UsedBytes {
		used := le.Uint64(b[slotOffUsed+8*i:])
		if used > maxPlausibleUse {
			return ProcessUse{}, false, fmt.Errorf("used[%d]: %d: must not exceed %d", i, used, uint64(maxPlausibleUse))
		}
		p.UsedBytes[i] = used
	}
	return p, true, nil
}
