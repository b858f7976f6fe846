package fit

import (
	"math"
	"sort"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// MaxReplicas returns a number of pods of the request that the node does not exceed, at most limit. It
// counts every container as if it were alone in its pod; for pods of one container it is exact: that
// many fit if the right cards are chosen.
func (n *Node) MaxReplicas(b Book, r *request.Pod, limit int) int {
	if len(r.Containers) > 1 && !n.Check(b, r).OK() {
		return 0
	}
	return n.maxReplicas(r, limit, func(card *Card, c *request.Container) int {
		if !card.offered() {
			return 0
		}
		return card.shares(r, c, card.Used(b))
	})
}

// IdleReplicas is MaxReplicas of the node when it is idle and healthy.
func (n *Node) IdleReplicas(r *request.Pod, limit int) int {
	if len(r.Containers) > 1 && n.Check(Now, r).Code == Never {
		return 0
	}
	return n.maxReplicas(r, limit, func(card *Card, c *request.Container) int {
		return card.shares(r, c, device.Amount{})
	})
}

// maxReplicas counts pods. Each container takes Count distinct cards, so that a card serves a pod at
// most once: m pods fit if the cards, each serving at most m, serve m*Count.
func (n *Node) maxReplicas(r *request.Pod, limit int, shares func(*Card, *request.Container) int) int {
	var inline [16]int
	for i := range r.Containers {
		c := &r.Containers[i]
		serves, all := inline[:0], 0
		for k := range n.Cards {
			if card := &n.Cards[k]; card.allowed(&r.Selector) {
				s := shares(card, c)
				serves, all = append(serves, s), all+s
			}
		}
		limit = min(limit, all/max(1, c.Count))
		if c.Count > 1 {
			limit = sort.Search(limit, func(m int) bool { return !enough(serves, m+1, c.Count) })
		}
	}
	return limit
}

// enough reports whether m pods find count cards each.
func enough(serves []int, m, count int) bool {
	left := m * count
	for _, s := range serves {
		left -= min(s, m)
	}
	return left <= 0
}

// shares returns how often the container fits on the card beside the given use.
func (c *Card) shares(r *request.Pod, ct *request.Container, used device.Amount) int {
	if !c.admits(r, ct, used) {
		return 0
	}
	amount, alone := c.need(r, ct)
	if alone {
		return 1
	}
	shares := uint64(math.MaxInt32)
	for p := range parts {
		if a := p.of(amount); a > 0 {
			shares = min(shares, (p.of(c.Capacity)-p.of(used))/a)
		}
	}
	return int(shares)
}
