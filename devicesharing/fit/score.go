package fit

import (
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// Score returns how much the policy likes the node for the request, 0 to below score.Max, and whether the
// request fits at all. It judges by the cards that the request would get: by its own card policy, or
// without one by that of the node.
func (n *Node) Score(b Book, r *request.Pod, policy score.NodePolicy) (int64, bool) {
	var inline [16]Choice
	cards := score.Binpack
	if policy == score.NodeSpread {
		cards = score.Spread
	}
	if r != nil && r.Policy.Card != score.CardDefault {
		cards = r.Policy.Card
	}
	choices, v := n.Place(b, r, cards, inline[:0])
	if !v.OK() || len(choices) == 0 {
		return 0, false
	}
	f := score.Fit{Chosen: n.chosenUse(b, r, policy, choices), All: n.use(b, r)}
	if cards.Topology() {
		f.Links, f.LinksCount = n.linkQuality(b, r, choices), true
	}
	return score.Node(f, policy), true
}

// chosenUse returns the mean use of the chosen cards: with the request on them, or, where use is what is
// avoided, without.
func (n *Node) chosenUse(b Book, r *request.Pod, policy score.NodePolicy, choices []Choice) int64 {
	var sum int64
	for i := range choices {
		card := &n.Cards[choices[i].Card]
		used := card.Used(b)
		if policy != score.NodeSpread {
			used = used.Add(choices[i].Amount)
		}
		sum += r.Policy.Weights.Use(used, card.Capacity)
	}
	return sum * score.Grain / int64(len(choices))
}

// use returns the mean use of all registered cards.
func (n *Node) use(b Book, r *request.Pod) int64 {
	var sum, registered int64
	for i := range n.Cards {
		if c := &n.Cards[i]; !c.Gone {
			registered++
			sum += r.Policy.Weights.Use(c.Used(b), c.Capacity)
		}
	}
	return sum * score.Grain / max(registered, 1)
}

// middlingLink is the mean score of pairs that counts as half of the best: one NVLink.
const middlingLink = 100

// linkQuality returns how good the links of what was chosen are, 0 to score.Full: for a container with
// several cards by the mean of its pairs, for one with a single card by what the other cards keep.
func (n *Node) linkQuality(b Book, r *request.Pod, choices []Choice) int64 {
	var sum int64
	for c := range r.Containers {
		if r.Containers[c].Count > 1 {
			mean := n.meanLink(choices, c)
			sum += score.Full * mean / (mean + middlingLink)
		} else {
			sum += n.keptLinks(b, r, &r.Containers[c], choices, c)
		}
	}
	return sum / int64(len(r.Containers))
}

// meanLink returns the mean score of the pairs of a container's cards.
func (n *Node) meanLink(choices []Choice, container int) int64 {
	var sum, pairs int64
	for i := range choices {
		for k := range i {
			if choices[i].Container == container && choices[k].Container == container {
				sum += int64(n.link(choices[i].Card, choices[k].Card))
				pairs++
			}
		}
	}
	return sum / max(pairs, 1)
}

// keptLinks returns how much of the links between the cards that could have served a single-card
// container remains without the one that it got.
func (n *Node) keptLinks(b Book, r *request.Pod, c *request.Container, choices []Choice, container int) int64 {
	var list candidates
	for i := range n.Cards {
		if n.serves(b, r, c, i) {
			list.add(n, i, 0)
		}
	}
	if list.n > maxLinked {
		return 0
	}
	var l links
	l.load(n, list.ranked[:list.n], false)
	best, losses := l.losses()
	for _, ch := range choices {
		if i := list.find(ch.Card); ch.Container == container && i >= 0 && best > 0 {
			return score.Full - score.Full*int64(losses[i])/int64(best)
		}
	}
	return score.Full
}
