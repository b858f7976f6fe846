package packing

import (
	"math/bits"
	"slices"
	"sort"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// kindKey is what cards of one kind have in common: they differ in use only.
type kindKey struct {
	capacity device.Amount
	model    string
	mode     device.Mode
	offered  bool
	gone     bool
}

// cardKind answers which classes of the mix a card of the kind admits, for any use of it, without a
// look at each class.
type cardKind struct {
	kindKey
	cards int
	// allowed, alone and coreless are the classes that may have such a card, that need it for themselves,
	// and that ask no cores of their own.
	allowed, alone, coreless classSet
	memory, cores            steps
	// needs is what each class takes of such a card.
	needs []device.Amount
}

// classSet is a set of classes, by place in the mix.
type classSet uint64

func (c classSet) first() int { return bits.TrailingZeros64(uint64(c)) }

// steps holds, for amounts in rising order, the classes that need no more than the amount.
type steps struct {
	amounts []uint64
	needing []classSet
}

// set makes the steps for what each class needs.
func (s *steps) set(need []uint64) {
	s.amounts = append(s.amounts[:0], need...)
	slices.Sort(s.amounts)
	s.amounts = slices.Compact(s.amounts)
	s.needing = s.needing[:0]
	for _, amount := range s.amounts {
		var c classSet
		for j := range need {
			if need[j] <= amount {
				c |= 1 << j
			}
		}
		s.needing = append(s.needing, c)
	}
}

// within returns the classes that need no more than free.
func (s *steps) within(free uint64) classSet {
	if last := len(s.amounts) - 1; last >= 0 && free >= s.amounts[last] {
		return s.needing[last]
	}
	k := sort.Search(len(s.amounts), func(k int) bool { return s.amounts[k] > free })
	if k == 0 {
		return 0
	}
	return s.needing[k-1]
}

// kindOf returns the place of the card's kind, which it adds if need be.
func (p *Pool) kindOf(c *fit.Card) int32 {
	key := kindKey{capacity: c.Capacity, model: c.Model, mode: c.Mode, offered: c.Healthy && !c.Cordoned, gone: c.Gone}
	if i, known := p.kindIDs[key]; known {
		return i
	}
	i := int32(len(p.kinds))
	p.kinds = append(p.kinds, cardKind{kindKey: key})
	p.kinds[i].learn(p.mix.classes)
	p.kindIDs[key] = i
	return i
}

// card returns an unused card of the kind.
func (k *cardKind) card() fit.Card {
	return fit.Card{Model: k.model, Mode: k.mode, Healthy: k.offered, Gone: k.gone, Capacity: k.capacity}
}

// learn takes over the classes of a new mix.
func (k *cardKind) learn(classes []class) {
	card := k.card()
	k.allowed, k.alone, k.coreless = 0, 0, 0
	k.needs = k.needs[:0]
	var memory, cores [maxClasses]uint64
	for j := range classes {
		c := &classes[j]
		amount, alone := card.Need(c.request, c.container())
		memory[j], cores[j] = uint64(amount.Memory), uint64(amount.Cores)
		k.needs = append(k.needs, amount)
		if card.Allows(&c.request.Selector) {
			k.allowed |= 1 << j
		}
		if alone {
			k.alone |= 1 << j
		}
		if amount.Cores == 0 {
			k.coreless |= 1 << j
		}
	}
	k.memory.set(memory[:len(classes)])
	k.cores.set(cores[:len(classes)])
}

// admits returns the classes that fit on the card beside the given use.
func (k *cardKind) admits(used device.Amount) classSet {
	if used.Slots >= k.capacity.Slots || used.Memory > k.capacity.Memory || used.Cores > k.capacity.Cores {
		return 0
	}
	c := k.allowed & k.memory.within(uint64(k.capacity.Memory-used.Memory)) &
		k.cores.within(uint64(k.capacity.Cores-used.Cores))
	if used.Slots > 0 {
		c &^= k.alone
	}
	if k.capacity.Cores > 0 && used.Cores == k.capacity.Cores {
		c &^= k.coreless
	}
	return c
}

// free returns how much of the card can still be given, 0 to score.Full.
func (k *cardKind) free(used device.Amount) int32 {
	if !k.offered || k.gone || k.mode == device.ModeMIG || k.mode == device.ModeExclusive && used.Slots > 0 {
		return 0
	}
	return int32(score.Free(used, k.capacity))
}
