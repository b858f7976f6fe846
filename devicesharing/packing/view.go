package packing

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// cardView is what the policy knows of one card.
type cardView struct {
	used   device.Amount
	admits classSet
	kind   int32
	free   int32
	// like is the first card, in the fixed order, of those that equal this one.
	like int32
}

// view finds what the policy knows of a node's cards.
func (p *Pool) view(i int) {
	n := &p.nodes[i]
	n.left = 0
	n.usable = zeroed(n.usable, len(p.mix.classes))
	n.admitting = zeroed(n.admitting, len(p.mix.classes))
	for d := range n.cards {
		v := &n.cards[d]
		k := &p.kinds[v.kind]
		v.used = n.Cards.Cards[d].Used(p.options.Book)
		v.admits, v.free = k.admits(v.used), k.free(v.used)
		n.left += v.free
		for c := v.admits; c != 0; c &= c - 1 {
			n.usable[c.first()] += v.free
			n.admitting[c.first()]++
		}
	}
	for j := range n.usable {
		if int(n.admitting[j]) < p.mix.classes[j].container().Count {
			n.usable[j] = 0
		}
	}
	n.step = p.mix.step(n.Free.MilliCPU)
	p.prints[i] = n.compare()
}

// compare finds the cards that equal each other, and returns the print by which equal nodes find each
// other. That different nodes have the same print, 64 bits, is not to be expected; one would be thought
// as good as the other, and Place would still judge it by itself.
func (n *node) compare() uint64 {
	print := scatter(0, uint64(len(n.cards)))
	if n.present {
		print = scatter(print, 1)
	}
	for _, part := range n.Free.parts() {
		print = scatter(print, uint64(part))
	}
	for i := range n.cards {
		v := &n.cards[i]
		v.like = int32(i)
		for k := range n.cards[:i] {
			if o := &n.cards[k]; o.kind == v.kind && o.used == v.used {
				v.like = o.like
				if n.Cards.Cards[i].Before(&n.Cards.Cards[v.like]) {
					n.relike(v.like, int32(i))
				}
				break
			}
		}
		print = scatter(print, uint64(v.used.Memory))
		print = scatter(print, uint64(v.used.Cores)<<32|uint64(v.used.Slots))
		print = scatter(print, uint64(v.kind))
	}
	return print
}

// scatter adds a part to a print: each bit of it changes about half of the bits of the print.
func scatter(print, part uint64) uint64 {
	print = (print ^ part) * 0x9e3779b97f4a7c15
	print ^= print >> 32
	return print
}

// relike makes card i stand for all that were like another before.
func (n *node) relike(old, i int32) {
	for k := range n.cards[:i+1] {
		if n.cards[k].like == old {
			n.cards[k].like = i
		}
	}
}

// assess finds what the node's free parts are worth as it is.
func (p *Pool) assess(n *node) {
	n.value = p.mix.value(n.step, n.usable)
	n.stranded = p.mix.stranded(n.Free, n.left)
}

// zeroed returns n zeros, in the memory of buf if that suffices.
func zeroed[T any](buf []T, n int) []T { return append(buf[:0], make([]T, n)...) }
