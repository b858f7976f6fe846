package fit

import "github.com/basalt-gpu/basalt/devicesharing/device"

// link returns how well two cards are linked. A node that does not say so has its cards linked by their
// NUMA nodes.
func (n *Node) link(i, k int) device.PairScore {
	if n.Pairs != nil {
		return n.Pairs.Score(i, k)
	}
	if n.Cards[i].NUMA == n.Cards[k].NUMA {
		return device.PairInNUMA
	}
	return device.PairAcrossNUMA
}

// chooseLinked picks the count candidates with the largest sum of links; of equal sets the one with the
// smallest sum of ranks, and of those the one whose first cards come first. A single card is the one
// without which the others keep the best links. With more than maxLinked candidates it adds card by card,
// each the best linked to those before, which need not be the best set.
func (n *Node) chooseLinked(list *candidates, count int, out *chosenSet) {
	if list.n > maxLinked {
		n.chooseGreedily(list, count, out)
		return
	}
	var l links
	l.load(n, list.ranked[:list.n], count > 1)
	if count == 1 {
		_, losses := l.losses()
		least := 0
		for i := range list.n {
			if losses[i] < losses[least] {
				least = i
			}
		}
		out.add(list.ranked[least])
		return
	}
	picked, sum := l.best(count)
	out.links = int64(sum >> rankBits)
	for i := range list.n {
		if picked&(1<<i) != 0 {
			out.add(list.ranked[i])
		}
	}
}

func (n *Node) chooseGreedily(list *candidates, count int, out *chosenSet) {
	var gains [maxRanked]int64
	var taken [maxRanked]bool
	for out.n < count {
		best := -1
		for i := range list.n {
			if !taken[i] && (best < 0 || gains[i] > gains[best]) {
				best = i
			}
		}
		taken[best] = true
		out.links += gains[best]
		out.add(list.ranked[best])
		for i := range list.n {
			gains[i] += int64(n.link(list.ranked[best].place, list.ranked[i].place))
		}
	}
}
