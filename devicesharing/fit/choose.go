package fit

import "github.com/basalt-gpu/basalt/devicesharing/score"

// maxRanked bounds the cards among which a set is chosen; of a node with more, the best liked.
const maxRanked = 64

// ranked is a card that may serve a container, with how much the policy likes it, and its rank: zero for
// the cards that are liked best, one for the next, and so on.
type ranked struct {
	place  int
	liking int64
	rank   int32
}

// candidates is the cards that may serve a container, best liked first.
type candidates struct {
	ranked [maxRanked]ranked
	n      int
}

// add puts a card where it belongs.
func (c *candidates) add(n *Node, place int, liking int64) {
	at := c.n
	for at > 0 {
		prev := &c.ranked[at-1]
		if prev.liking > liking || prev.liking == liking && !n.Cards[place].before(&n.Cards[prev.place]) {
			break
		}
		if at < maxRanked {
			c.ranked[at] = *prev
		}
		at--
	}
	if at < maxRanked {
		c.ranked[at] = ranked{place: place, liking: liking}
		c.n = min(c.n+1, maxRanked)
	}
}

// rank gives the cards their ranks.
func (c *candidates) rank() {
	for i := 1; i < c.n; i++ {
		r, before := &c.ranked[i], &c.ranked[i-1]
		r.rank = before.rank
		if r.liking != before.liking {
			r.rank++
		}
	}
}

// find returns the position of the card at a place, -1 if it is none of the candidates.
func (c *candidates) find(place int) int {
	for i := range c.n {
		if c.ranked[i].place == place {
			return i
		}
	}
	return -1
}

// onNUMA leaves only the candidates on one NUMA node.
func (c *candidates) onNUMA(n *Node, numa int32) (only candidates) {
	for i := range c.n {
		if n.Cards[c.ranked[i].place].NUMA == numa {
			only.ranked[only.n] = c.ranked[i]
			only.n++
		}
	}
	return only
}

// chosenSet is the cards chosen for one container, best liked first.
type chosenSet struct {
	places [maxRanked]int
	n      int
	links  int64
	ranks  int32
}

// set is cards by place. Only the first 64 can be in one; nodes have far fewer.
type set uint64

func (s set) has(place int) bool { return place < 64 && s&(1<<place) != 0 }

func (c *chosenSet) set() set {
	var s set
	for _, place := range c.places[:c.n] {
		if place < 64 {
			s |= 1 << place
		}
	}
	return s
}

func (c *chosenSet) add(r ranked) {
	c.places[c.n] = r.place
	c.ranks += r.rank
	c.n++
}

// betterThan compares sets of one size: by the sum of their links, then by the sum of their ranks. Of
// equal ones the one that was found first stays.
func (c *chosenSet) betterThan(o *chosenSet) bool {
	if c.links != o.links {
		return c.links > o.links
	}
	return c.ranks < o.ranks
}

// choose picks count of the candidates. Bound to one NUMA node it picks the best set of any; a policy
// that gathers does the same where some NUMA node has enough.
func (n *Node) choose(list *candidates, count int, policy score.CardPolicy, bind bool, out *chosenSet) bool {
	if list.n < count {
		return false
	}
	list.rank()
	if bind || policy.Gathers() && !policy.Topology() {
		if n.chooseOnOneNUMA(list, count, policy, out) {
			return true
		}
		if bind {
			return false
		}
	}
	n.chooseAmong(list, count, policy, out)
	return true
}

func (n *Node) chooseOnOneNUMA(list *candidates, count int, policy score.CardPolicy, out *chosenSet) bool {
	found := false
	for i := range list.n {
		numa := n.Cards[list.ranked[i].place].NUMA
		if n.ranksBefore(list, i, numa) {
			continue
		}
		only := list.onNUMA(n, numa)
		if only.n < count {
			continue
		}
		var s chosenSet
		n.chooseAmong(&only, count, policy, &s)
		if !found || s.betterThan(out) {
			*out, found = s, true
		}
	}
	return found
}

// ranksBefore reports whether a candidate before position i is on the NUMA node.
func (n *Node) ranksBefore(list *candidates, i int, numa int32) bool {
	for k := range i {
		if n.Cards[list.ranked[k].place].NUMA == numa {
			return true
		}
	}
	return false
}

// chooseAmong picks count of the candidates: the best liked, or the best linked.
// Precondition: there are that many.
func (n *Node) chooseAmong(list *candidates, count int, policy score.CardPolicy, out *chosenSet) {
	if policy.Topology() {
		n.chooseLinked(list, count, out)
		return
	}
	for i := range count {
		out.add(list.ranked[i])
	}
}
