package fit

import "github.com/basalt-gpu/basalt/devicesharing/request"

// explain says why a container that does not fit by itself does not. It runs on the cold side: only
// after the search has failed.
func (n *Node) explain(b Book, r *request.Pod, c *request.Container) Verdict {
	v := Verdict{Code: Never, Container: c.Name, Count: c.Count, Cards: n.registered()}
	if v.Cards == 0 {
		v.Reason = ReasonNoDevices
		return v
	}
	if v.Cards < c.Count {
		v.Reason, v.Matching = ReasonCount, v.Cards
		return v
	}
	if n.explainSelector(&v, r) || n.explainCapacity(&v, r, c) {
		return v
	}
	v.Code = NotNow
	healthy := func(card *Card) bool { return card.Healthy && card.allowed(&r.Selector) }
	if v.Matching = n.count(healthy); v.Matching < c.Count {
		v.Reason = ReasonUnhealthy
		return v
	}
	n.explainUse(&v, b, c, healthy)
	return v
}

func (n *Node) registered() int {
	return n.count(func(card *Card) bool { return !card.Gone })
}

func (n *Node) count(ok func(*Card) bool) int {
	matching := 0
	for i := range n.Cards {
		if ok(&n.Cards[i]) {
			matching++
		}
	}
	return matching
}

// explainSelector reports whether too few cards are allowed, and by which part of the selector. The
// parts add up: each looks at the cards that the former left.
func (n *Node) explainSelector(v *Verdict, r *request.Pod) bool {
	s := &r.Selector
	inUse := func(card *Card) bool {
		return !card.Gone && (len(s.UseUUIDs) == 0 || contains(s.UseUUIDs, card.UUID))
	}
	notExcluded := func(card *Card) bool { return inUse(card) && card.allowedUUID(s) }
	ofType := func(card *Card) bool { return notExcluded(card) && card.allowedType(s) }
	inMode := func(card *Card) bool { return ofType(card) && card.allowedMode(s) }
	switch {
	case n.below(v, inUse):
		v.Reason, v.Detail = ReasonUUID, n.missing(s.UseUUIDs)
	case n.below(v, notExcluded):
		v.Reason, v.Detail = ReasonExcluded, first(s.NoUseUUIDs)
	case n.below(v, ofType):
		v.Reason, v.Detail = ReasonType, first(s.UseTypes)
		if v.Detail == "" {
			v.Detail = first(s.NoUseTypes)
		}
	case n.below(v, inMode):
		v.Reason, v.Detail = ReasonMode, string(s.Mode)
	default:
		return false
	}
	return true
}

// below reports whether fewer cards than asked meet a condition, and notes how many do.
func (n *Node) below(v *Verdict, ok func(*Card) bool) bool {
	v.Matching = n.count(ok)
	return v.Matching < v.Count
}

// missing returns the first wanted UUID that the node does not have.
func (n *Node) missing(uuids []string) string {
	for _, uuid := range uuids {
		if n.count(func(card *Card) bool { return !card.Gone && card.UUID == uuid }) == 0 {
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

// resource is one part of a card's amounts.
type resource struct {
	reason Reason
	need   func(*Card, *request.Container) uint64
	used   func(*Card, Book) uint64
	total  func(*Card) uint64
}

var resources = [...]resource{
	{
		ReasonMemory,
		func(card *Card, c *request.Container) uint64 { return uint64(c.MemoryOn(card.Capacity.Memory)) },
		func(card *Card, b Book) uint64 { return uint64(card.Used(b).Memory) },
		func(card *Card) uint64 { return uint64(card.Capacity.Memory) },
	},
	{
		ReasonCores,
		func(_ *Card, c *request.Container) uint64 { return uint64(c.Cores) },
		func(card *Card, b Book) uint64 { return uint64(card.Used(b).Cores) },
		func(card *Card) uint64 { return uint64(card.Capacity.Cores) },
	},
	{
		ReasonSlots,
		func(*Card, *request.Container) uint64 { return 1 },
		func(card *Card, b Book) uint64 { return uint64(card.Used(b).Slots) },
		func(card *Card) uint64 { return uint64(card.Capacity.Slots) },
	},
}

// explainCapacity reports whether the container is larger than the cards it may have.
func (n *Node) explainCapacity(v *Verdict, r *request.Pod, c *request.Container) bool {
	allowed := func(card *Card) bool { return card.allowed(&r.Selector) }
	for i := range resources {
		res := &resources[i]
		large := func(card *Card) bool { return allowed(card) && res.need(card, c) <= res.total(card) }
		if n.below(v, large) {
			v.Reason = res.reason
			n.measure(v, res, c, allowed, func(*Card) uint64 { return 0 })
			return true
		}
	}
	large := func(card *Card) bool {
		amount, _ := card.need(c)
		return allowed(card) && amount.Within(card.Capacity)
	}
	if n.below(v, large) {
		v.Reason = ReasonTogether
		return true
	}
	return false
}

// explainUse names the resource that too few of the healthy cards have free.
func (n *Node) explainUse(v *Verdict, b Book, c *request.Container, healthy func(*Card) bool) {
	for i := range resources {
		res := &resources[i]
		free := func(card *Card) bool {
			return healthy(card) && res.used(card, b)+res.need(card, c) <= res.total(card) &&
				(res.reason != ReasonCores || !card.soldOutFor(c, b))
		}
		if n.below(v, free) {
			v.Reason = res.reason
			n.measure(v, res, c, healthy, func(card *Card) uint64 { return res.used(card, b) })
			return
		}
	}
	idle := func(card *Card) bool {
		_, alone := card.need(c)
		return healthy(card) && (!alone || card.Used(b).Slots == 0)
	}
	if n.below(v, idle) {
		v.Reason = ReasonBusy
		return
	}
	v.Reason = ReasonTogether
	v.Matching = n.count(func(card *Card) bool { return healthy(card) && card.admits(c, card.Used(b)) })
}

func (c *Card) soldOutFor(ct *request.Container, b Book) bool {
	amount, _ := c.need(ct)
	return c.soldOut(amount, c.Used(b))
}

// measure notes the numbers of the card that would have to be the last one taken: of the cards that
// may serve, the one with the Count-th most free.
func (n *Node) measure(v *Verdict, res *resource, c *request.Container, ok func(*Card) bool, used func(*Card) uint64) {
	free := func(card *Card) uint64 { return res.total(card) - min(used(card), res.total(card)) }
	for i := range n.Cards {
		card := &n.Cards[i]
		if !ok(card) {
			continue
		}
		better := 0
		for k := range n.Cards {
			o := &n.Cards[k]
			if k != i && ok(o) && (free(o) > free(card) || free(o) == free(card) && k < i) {
				better++
			}
		}
		if better == v.Count-1 {
			v.Requested, v.Used, v.Capacity = res.need(card, c), used(card), res.total(card)
			return
		}
	}
}
