package packing

import "math/bits"

// Set is a set of nodes by index. The zero Set is empty.
type Set struct {
	words []uint64
}

// Add puts a node into the set.
func (s *Set) Add(node int) {
	for len(s.words) <= node/64 {
		s.words = append(s.words, 0)
	}
	s.words[node/64] |= 1 << (node % 64)
}

// Remove takes a node out of the set.
func (s *Set) Remove(node int) {
	if node/64 < len(s.words) {
		s.words[node/64] &^= 1 << (node % 64)
	}
}

// Has reports whether the node is in the set. A nil set has every node.
func (s *Set) Has(node int) bool {
	return s == nil || node/64 < len(s.words) && s.words[node/64]&(1<<(node%64)) != 0
}

// Len returns how many nodes are in the set.
func (s *Set) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Each calls visit for every node of the set, by index, until it returns false.
func (s *Set) Each(visit func(node int) bool) {
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			if !visit(i*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}
