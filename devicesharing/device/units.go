package device

import (
	"math"
	"math/bits"
)

// MiB is an amount of device memory in mebibytes.
type MiB uint64

// CorePercent is an amount of compute, in hundredths of one unscaled card.
type CorePercent uint32

// Shares counts places on cards: one container on one card takes one.
type Shares uint32

// unit is any of the types above.
type unit interface{ ~uint32 | ~uint64 }

// The arithmetic below saturates: it stops at zero and at the largest value of the type. A wrapped
// sum would turn an absurd request into a small one, which fits; a saturated one stays absurd.

func add[U unit](a, b U) U {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^U(0)
}

func sub[U unit](a, b U) U {
	if b >= a {
		return 0
	}
	return a - b
}

func mul[U unit](a U, n int, limit uint64) U {
	if n <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(a), uint64(n))
	if hi != 0 || lo > limit {
		return U(limit)
	}
	return U(lo)
}

// Add returns m + o, at most the largest MiB.
func (m MiB) Add(o MiB) MiB { return add(m, o) }

// Sub returns m - o, at least zero.
func (m MiB) Sub(o MiB) MiB { return sub(m, o) }

// Mul returns m taken n times; zero for n below one.
func (m MiB) Mul(n int) MiB { return mul(m, n, math.MaxUint64) }

// Percent returns p hundredths of m, rounded down. It is exact for every m.
func (m MiB) Percent(p int) MiB {
	if p <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(m), uint64(p))
	if hi >= 100 {
		return math.MaxUint64
	}
	q, _ := bits.Div64(hi, lo, 100)
	return MiB(q)
}

// Bytes returns m in bytes, saturated.
func (m MiB) Bytes() uint64 { return uint64(mul(m, 1<<20, math.MaxUint64)) }

// Add returns c + o, at most the largest CorePercent.
func (c CorePercent) Add(o CorePercent) CorePercent { return add(c, o) }

// Sub returns c - o, at least zero.
func (c CorePercent) Sub(o CorePercent) CorePercent { return sub(c, o) }

// Mul returns c taken n times; zero for n below one.
func (c CorePercent) Mul(n int) CorePercent { return mul(c, n, math.MaxUint32) }

// Add returns s + o, at most the largest Shares.
func (s Shares) Add(o Shares) Shares { return add(s, o) }

// Sub returns s - o, at least zero.
func (s Shares) Sub(o Shares) Shares { return sub(s, o) }

// Mul returns s taken n times; zero for n below one.
func (s Shares) Mul(n int) Shares { return mul(s, n, math.MaxUint32) }

// Amount is what is taken of one card, or what there is of it.
type Amount struct {
	Memory MiB
	Cores  CorePercent
	Slots  Shares
}

// Add returns the sum of both, each part saturated.
func (a Amount) Add(o Amount) Amount {
	return Amount{Memory: a.Memory.Add(o.Memory), Cores: a.Cores.Add(o.Cores), Slots: a.Slots.Add(o.Slots)}
}

// Sub returns a - o, each part at least zero.
func (a Amount) Sub(o Amount) Amount {
	return Amount{Memory: a.Memory.Sub(o.Memory), Cores: a.Cores.Sub(o.Cores), Slots: a.Slots.Sub(o.Slots)}
}

// Max returns the larger of both, part by part.
func (a Amount) Max(o Amount) Amount {
	return Amount{Memory: max(a.Memory, o.Memory), Cores: max(a.Cores, o.Cores), Slots: max(a.Slots, o.Slots)}
}

// Holds reports whether o fits beside what is used of a, without a sum that could overflow.
func (a Amount) Holds(used, o Amount) bool {
	return used.Memory <= a.Memory && o.Memory <= a.Memory-used.Memory &&
		used.Cores <= a.Cores && o.Cores <= a.Cores-used.Cores &&
		used.Slots <= a.Slots && o.Slots <= a.Slots-used.Slots
}

// Within reports whether no part of a exceeds that of o.
func (a Amount) Within(o Amount) bool {
	return a.Memory <= o.Memory && a.Cores <= o.Cores && a.Slots <= o.Slots
}
