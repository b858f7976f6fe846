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
// where Check does. The policy only orders cards that fit.
func (n *Node) Place(b Book, r *request.Pod, policy string, dst []Choice) ([]Choice, Verdict) {
	if r == nil || len(r.Containers) == 0 {
		return dst, Verdict{Code: Never, Reason: ReasonNoRequest}
	}
	if len(r.Containers) > 1 {
		if dst == nil {
			dst = []Choice{}
		}
		return n.placeAll(b, r, policy, dst)
	}
	c := &r.Containers[0]
	start := len(dst)
	for len(dst)-start < c.Count {
		best := n.bestFor(b, r, c, policy, dst[start:])
		if best < 0 {
			return dst[:start], n.explain(b, r, c)
		}
		amount, _ := n.Cards[best].need(c)
		dst = append(dst, Choice{Card: best, Amount: amount})
	}
	return dst, Verdict{}
}

// Score returns how much the policy likes the node for the request, 0 to score.Max, and whether the
// request fits at all.
func (n *Node) Score(b Book, r *request.Pod, policy string) (int64, bool) {
	var inline [16]Choice
	cardPolicy := policy
	if cardPolicy == "" {
		cardPolicy = score.Binpack
	}
	choices, v := n.Place(b, r, cardPolicy, inline[:0])
	if !v.OK() || len(choices) == 0 {
		return 0, false
	}
	var chosen, all int64
	for _, ch := range choices {
		card := &n.Cards[ch.Card]
		used := card.Used(b)
		if cardPolicy != score.Spread {
			used = used.Add(ch.Amount)
		}
		chosen += score.Use(used, card.Capacity)
	}
	registered := int64(0)
	for i := range n.Cards {
		if c := &n.Cards[i]; !c.Gone {
			registered++
			all += score.Use(c.Used(b), c.Capacity)
		}
	}
	return score.Node(chosen/int64(len(choices)), all/max(registered, 1), cardPolicy), true
}

// countFitting reports whether enough cards admit a container that is alone in its pod.
func (n *Node) countFitting(b Book, r *request.Pod, c *request.Container) bool {
	unrestricted := r.Selector.Empty()
	left := c.Count
	for i := range n.Cards {
		card := &n.Cards[i]
		if !card.Healthy || !card.admits(c, card.Used(b)) {
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

// bestFor returns the card that the policy likes best of those that admit the container and are not
// taken by it; -1 if there is none.
func (n *Node) bestFor(b Book, r *request.Pod, c *request.Container, policy string, taken []Choice) int {
	best, bestScore := -1, int64(0)
	unrestricted := r.Selector.Empty()
	for i := range n.Cards {
		card := &n.Cards[i]
		used := card.Used(b)
		if !card.Healthy || !card.admits(c, used) || has(taken, i) {
			continue
		}
		if !card.shared() || !unrestricted && !card.allowed(&r.Selector) {
			continue
		}
		s := score.Card(score.Use(used, card.Capacity), policy)
		if best < 0 || s > bestScore || s == bestScore && card.before(&n.Cards[best]) {
			best, bestScore = i, s
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
