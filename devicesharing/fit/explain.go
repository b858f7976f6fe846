package fit

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// part selects one resource of an amount.
type part int

const (
	memory part = iota
	cores
	slots
	parts
)

var partReasons = [parts]Reason{memory: ReasonMemory, cores: ReasonCores, slots: ReasonSlots}

func (p part) of(a device.Amount) uint64 {
	switch p {
	case memory:
		return uint64(a.Memory)
	case cores:
		return uint64(a.Cores)
	default:
		return uint64(a.Slots)
	}
}

// tally counts the cards that meet the conditions of a fit. Up to allowed each condition adds to the
// former; the others are counted each for itself among the allowed, or healthy, cards, so that the
// one that is short can be named.
type tally struct {
	registered, wanted, kept, ofType, allowed int

	large      [parts]int // allowed cards with the capacity, one resource at a time
	largeInAll int
	healthy    int
	offered    int        // healthy cards that are not cordoned
	free       [parts]int // offered cards with room, one resource at a time
	idle       int        // offered cards that are idle, if the container needs one alone
	fitting    int
}

// tally looks at every card once: a full cluster refuses on all of its nodes.
func (n *Node) tally(b Book, r *request.Pod, c *request.Container) tally {
	var t tally
	s := &r.Selector
	for i := range n.Cards {
		card := &n.Cards[i]
		if card.Gone {
			continue
		}
		t.registered++
		if !card.wanted(s) {
			continue
		}
		t.wanted++
		if card.excluded(s) {
			continue
		}
		t.kept++
		if !card.ofType(s) {
			continue
		}
		t.ofType++
		if card.inMode(s) {
			t.allowed++
			t.count(card, r, c, card.Used(b))
		}
	}
	return t
}

// asks returns what a container wants to find free on the card. One that takes the card for itself has
// to find it idle, which is counted apart, and is not short of the shares that it would take.
func (c *Card) asks(r *request.Pod, ct *request.Container) (amount device.Amount, alone bool) {
	amount, alone = c.need(r, ct)
	amount.Slots = 1
	return amount, alone
}

// count counts an allowed card.
func (t *tally) count(card *Card, r *request.Pod, c *request.Container, used device.Amount) {
	amount, alone := card.asks(r, c)
	sum := used.Add(amount)
	for p := range parts {
		if p.of(amount) <= p.of(card.Capacity) {
			t.large[p]++
		}
		if card.offered() && p.of(sum) <= p.of(card.Capacity) && (p != cores || !card.soldOut(amount, used)) {
			t.free[p]++
		}
	}
	if amount.Within(card.Capacity) {
		t.largeInAll++
	}
	if card.Healthy {
		t.healthy++
	}
	if !card.offered() {
		return
	}
	t.offered++
	if !alone || used.Slots == 0 {
		t.idle++
	}
	if card.admits(r, c, used) {
		t.fitting++
	}
}

// explain says why a container that does not fit by itself does not.
func (n *Node) explain(b Book, r *request.Pod, c *request.Container) Verdict {
	t := n.tally(b, r, c)
	v := Verdict{Code: Never, Container: c.Name, Count: c.Count, Cards: t.registered}
	switch {
	case t.registered == 0:
		v.Reason = ReasonNoDevices
	case v.below(t.registered, ReasonCount):
	case v.below(t.wanted, ReasonUUID):
		v.Detail = n.missing(r.Selector.UseUUIDs)
	case v.below(t.kept, ReasonExcluded):
		v.Detail = first(r.Selector.NoUseUUIDs)
	case v.below(t.ofType, ReasonType):
		if v.Detail = first(r.Selector.UseTypes); v.Detail == "" {
			v.Detail = first(r.Selector.NoUseTypes)
		}
	case v.below(t.allowed, ReasonMode):
		v.Detail = string(r.Selector.Mode)
	case n.explainParts(&v, t.large, b, r, c), v.below(t.largeInAll, ReasonTogether), n.explainNUMA(&v, r, c):
	default:
		v.Code = NotNow
		n.explainNow(&v, &t, b, r, c)
	}
	return v
}

// explainNow says why a container does not fit that would fit on the idle, healthy node.
func (n *Node) explainNow(v *Verdict, t *tally, b Book, r *request.Pod, c *request.Container) {
	if v.below(t.healthy, ReasonUnhealthy) || v.below(t.offered, ReasonCordoned) ||
		n.explainParts(v, t.free, b, r, c) || v.below(t.idle, ReasonBusy) || v.below(t.fitting, ReasonTogether) {
		return
	}
	v.Reason = ReasonNUMA
	v.Matching = n.mostOnOneNUMA(func(i int) bool { return n.serves(b, r, c, i) })
}

// explainNUMA reports whether no NUMA node has enough cards, even idle ones, and notes it.
func (n *Node) explainNUMA(v *Verdict, r *request.Pod, c *request.Container) bool {
	if !r.Selector.NUMABind {
		return false
	}
	return v.below(n.mostOnOneNUMA(func(i int) bool {
		card := &n.Cards[i]
		amount, _ := card.need(r, c)
		return card.allowed(&r.Selector) && amount.Within(card.Capacity)
	}), ReasonNUMA)
}

// below reports whether fewer cards than asked meet a condition, and notes it.
func (v *Verdict) below(matching int, reason Reason) bool {
	if matching >= v.Count {
		return false
	}
	v.Matching, v.Reason = matching, reason
	return true
}

// explainParts reports whether one resource is short, and notes the numbers of the card that would have
// to be the last one taken: of those that may serve, the one with the Count-th most.
func (n *Node) explainParts(v *Verdict, matching [parts]int, b Book, r *request.Pod, c *request.Container) bool {
	for p := range parts {
		if !v.below(matching[p], partReasons[p]) {
			continue
		}
		if card := n.rank(v.Code, p, v.Count, b, r); card != nil {
			amount, _ := card.asks(r, c)
			v.Requested, v.Capacity = p.of(amount), p.of(card.Capacity)
			if v.Code == NotNow {
				v.Used = p.of(card.Used(b))
			}
		}
		return true
	}
	return false
}

// rank returns the card with the k-th most of a resource: of its capacity for what can never fit,
// free for the rest. Ties go by place.
func (n *Node) rank(code Code, p part, k int, b Book, r *request.Pod) *Card {
	have := func(card *Card) uint64 {
		total := p.of(card.Capacity)
		if code == Never {
			return total
		}
		return total - min(p.of(card.Used(b)), total)
	}
	last := -1
	for range k {
		best := -1
		for i := range n.Cards {
			card := &n.Cards[i]
			if !card.allowed(&r.Selector) || code == NotNow && !card.offered() {
				continue
			}
			after := last < 0 || have(card) < have(&n.Cards[last]) || have(card) == have(&n.Cards[last]) && i > last
			if after && (best < 0 || have(card) > have(&n.Cards[best])) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		last = best
	}
	return &n.Cards[last]
}

// registered returns how many cards the node registers.
func (n *Node) registered() int {
	registered := 0
	for i := range n.Cards {
		if !n.Cards[i].Gone {
			registered++
		}
	}
	return registered
}

// missing returns the first wanted UUID that the node does not have.
func (n *Node) missing(uuids []string) string {
	for _, uuid := range uuids {
		found := false
		for i := range n.Cards {
			found = found || !n.Cards[i].Gone && n.Cards[i].UUID == uuid
		}
		if !found {
			return uuid
		}
	}
	return ""
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
