package quota

import (
	"fmt"
	"math/bits"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Dimension is one of the amounts that quotas limit.
type Dimension int

// The dimensions.
const (
	// Slots counts places on cards: each container takes one on each of its cards.
	Slots Dimension = iota
	// Memory is device memory in MiB, over all cards.
	Memory
	// Cores is compute in hundredths of one card, over all cards. A container that names no cores is
	// promised none, so it is charged none, unless it has its cards alone: then each counts 100.
	Cores
	// Cards is physical cards in thousandths: of each card the larger of the memory and the core share.
	Cards
	dimensions
)

// WholeCard is one physical card in the unit of Cards.
const WholeCard = 1000

// Dimensions returns all of them, in a fixed order.
func Dimensions() []Dimension { return []Dimension{Slots, Memory, Cores, Cards} }

// String returns the name that users see.
func (d Dimension) String() string {
	switch d {
	case Slots:
		return "device slots"
	case Memory:
		return "device memory"
	case Cores:
		return "device cores"
	default:
		return "device cards"
	}
}

// Format writes an amount of the dimension with its unit.
func (d Dimension) Format(amount uint64) string {
	switch d {
	case Slots:
		return fmt.Sprintf("%d", amount)
	case Memory:
		return fmt.Sprintf("%d MiB", amount)
	case Cores:
		return fmt.Sprintf("%d percent", amount)
	default:
		if rest := amount % WholeCard; rest != 0 {
			return fmt.Sprintf("%d.%03d cards", amount/WholeCard, rest)
		}
		return fmt.Sprintf("%d cards", amount/WholeCard)
	}
}

// Vector is an amount of every dimension, each in its own unit. Its arithmetic saturates.
type Vector [dimensions]uint64

// Add returns v + o.
func (v Vector) Add(o Vector) Vector {
	for d := range v {
		sum, carry := bits.Add64(v[d], o[d], 0)
		if carry != 0 {
			sum = ^uint64(0)
		}
		v[d] = sum
	}
	return v
}

// Sub returns v - o, no part below zero.
func (v Vector) Sub(o Vector) Vector {
	for d := range v {
		v[d] -= min(v[d], o[d])
	}
	return v
}

// Mul returns v taken n times; nothing for n below one.
func (v Vector) Mul(n int) Vector {
	if n <= 0 {
		return Vector{}
	}
	for d := range v {
		hi, lo := bits.Mul64(v[d], uint64(n))
		if hi != 0 {
			lo = ^uint64(0)
		}
		v[d] = lo
	}
	return v
}

// Max returns the larger of both, part by part.
func (v Vector) Max(o Vector) Vector {
	for d := range v {
		v[d] = max(v[d], o[d])
	}
	return v
}

// Min returns the smaller of both, part by part.
func (v Vector) Min(o Vector) Vector {
	for d := range v {
		v[d] = min(v[d], o[d])
	}
	return v
}

// IsZero reports whether nothing is charged.
func (v Vector) IsZero() bool { return v == Vector{} }

// Within reports whether no part of v exceeds that of o.
func (v Vector) Within(o Vector) bool { return v.Max(o) == o }

// Total is what cards of the given capacity have together.
func total(capacity device.Amount) Vector {
	return Vector{Slots: uint64(capacity.Slots), Memory: uint64(capacity.Memory), Cores: uint64(capacity.Cores), Cards: WholeCard}
}
