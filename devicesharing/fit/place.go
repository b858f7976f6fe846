package fit

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// Choice is one card for one container, by their places in the request and in the node.
type Choice struct {
	Container, Card int
	Amount          device.Amount
}

// Check reports whether the request fits. It changes nothing and allocates nothing.
func (n *Node) Check(b Book, r *request.Pod) Verdict {
	if r == nil || len(r.Containers) == 0 {
		return Verdict{Code: Never, Reason: ReasonNoRequest}
	}
	if len(r.Containers) == 1 {
		if n.countFitting(b, r, &r.Containers[0]) {
			return Verdict{}
		}
		return n.explain(b, r, &r.Containers[0])
	}
	_, v := n.placeAll(b, r, score.Binpack, nil)
	return v
}

// Place chooses cards for every container, appends them to dst and returns it. It succeeds exactly
// where Check does. The policy only orders cards that fit; without one, that of the request does. What
// the request's policy wants of a card is wanted whatever the order.
func (n *Node) Place(b Book, r *request.Pod, policy score.CardPolicy, dst []Choice) ([]Choice, Verdict) {
	if r == nil || len(r.Containers) == 0 {
		return dst, Verdict{Code: Never, Reason: ReasonNoRequest}
	}
	if policy == score.CardDefault {
		policy = r.Policy.Card
	}
	if len(r.Containers) > 1 {
		if dst == nil {
			dst = []Choice{}
		}
		return n.placeAll(b, r, policy, dst)
	}
	if c := &r.Containers[0]; c.Count > 1 && r.Selector.NUMABind || policy.Topology() || policy.Gathers() {
		return n.placeSet(b, r, c, policy, dst)
	}
	return n.placeEach(b, r, &r.Containers[0], policy, dst)
}

// placeEach places a container whose cards do not depend on each other.
func (n *Node) placeEach(b Book, r *request.Pod, c *request.Container, policy score.CardPolicy, dst []Choice) ([]Choice, Verdict) {
	start := len(dst)
	for len(dst)-start < c.Count {
		best := n.bestFor(b, r, c, policy, dst[start:])
		if best < 0 {
			return dst[:start], n.explain(b, r, c)
		}
		amount, _ := n.Cards[best].need(r, c)
		dst = append(dst, Choice{Card: best, Amount: amount})
	}
	return dst, Verdict{}
}

// placeSet places a container whose cards are chosen together.
func (n *Node) placeSet(b Book, r *request.Pod, c *request.Container, policy score.CardPolicy, dst []Choice) ([]Choice, Verdict) {
	var list candidates
	for i := range n.Cards {
		if n.serves(b, r, c, i) {
			list.add(n, i, n.liking(i, n.Cards[i].Used(b), r, policy))
		}
	}
	var set chosenSet
	if !n.choose(&list, c.Count, policy, r.Selector.NUMABind, &set) {
		return dst, n.explain(b, r, c)
	}
	for _, i := range set.places[:set.n] {
		amount, _ := n.Cards[i].need(r, c)
		dst = append(dst, Choice{Card: int(i), Amount: amount})
	}
	return dst, Verdict{}
}

// liking returns how much the policy likes a card with the given use.
func (n *Node) liking(i int, used device.Amount, r *request.Pod, policy score.CardPolicy) int64 {
	card := &n.Cards[i]
	return policy.Card(r.Policy.Weights.Use(used, card.Capacity), int(card.NUMA))
}

// countFitting reports whether enough cards admit a container that is alone in its pod.
func (n *Node) countFitting(b Book, r *request.Pod, c *request.Container) bool {
	if r.Selector.NUMABind && c.Count > 1 {
		return n.mostOnOneNUMA(func(i int) bool { return n.serves(b, r, c, i) }) >= c.Count
	}
	unrestricted := r.Selector.Empty()
	left := c.Count
	for i := range n.Cards {
		card := &n.Cards[i]
		if !card.offered() || !card.admits(r, c, card.Used(b)) {
			continue
		}
		if !card.shared() || !unrestricted && !card.allowed(&r.Selector) {
			continue
		}
		if left--; left <= 0 {
			return true
		}
	}
	return left <= 0
}

// mostOnOneNUMA returns the largest number of cards on one NUMA node for which keep is true.
func (n *Node) mostOnOneNUMA(keep func(i int) bool) int {
	most := 0
	for i := range n.Cards {
		if n.numaSeen(i) {
			continue
		}
		count := 0
		for k := i; k < len(n.Cards); k++ {
			if n.Cards[k].NUMA == n.Cards[i].NUMA && keep(k) {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

// numaSeen reports whether a card before place i is on its NUMA node.
func (n *Node) numaSeen(i int) bool {
	for k := range i {
		if n.Cards[k].NUMA == n.Cards[i].NUMA {
			return true
		}
	}
	return false
}

// bestFor returns the card that the policy likes best of those that admit the container and are not
// taken by it; -1 if there is none.
func (n *Node) bestFor(b Book, r *request.Pod, c *request.Container, policy score.CardPolicy, taken []Choice) int {
	best, bestLiking := -1, int64(0)
	for i := range n.Cards {
		if !n.serves(b, r, c, i) || has(taken, i) {
			continue
		}
		l := n.liking(i, n.Cards[i].Used(b), r, policy)
		if best < 0 || l > bestLiking || l == bestLiking && n.Cards[i].before(&n.Cards[best]) {
			best, bestLiking = i, l
		}
	}
	return best
}

func has(taken []Choice, card int) bool {
	for i := range taken {
		if taken[i].Card == card {
			return true
		}
	}
	return false
}
