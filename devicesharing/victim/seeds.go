package victim

import (
	"cmp"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Seeds returns sets of pods that make the request fit, or come near it, as starting points: the caller
// completes, prunes and prices them. Pods are given cheapest first, and sets name them by place,
// ascending. The empty set comes last: from it the caller takes pods in order, whatever their cards.
// Precondition: no pod is away.
func (t *Trial) Seeds() [][]int {
	if len(t.request.Containers) != 1 {
		return [][]int{nil}
	}
	var cards [][]int
	count := t.request.Containers[0].Count
	for i := range t.node.Cards {
		cards = append(cards, t.setsFor(i, count == 1)...)
	}
	if count == 1 {
		return append(cards, nil)
	}
	return append(unions(cards, count), nil)
}

// setsFor returns the sets of pods without which one card admits its part of the request: the cheapest
// pods that suffice together and, where wanted, the cheapest one that suffices alone.
func (t *Trial) setsFor(card int, alone bool) [][]int {
	on := t.on(card)
	one := t.single(card, on)
	set, ok := one.fewest()
	if !ok {
		return nil
	}
	sets := [][]int{set}
	if alone && len(set) > 1 {
		for i := range on {
			if one.sufficesAlone(i) {
				sets = append(sets, []int{i})
				break
			}
		}
	}
	for _, s := range sets {
		for k, i := range s {
			s[k] = on[i]
		}
	}
	return sets
}

// single is the trial as it were on one card alone, with the pods on it, for one card of the request.
func (t *Trial) single(card int, on []int) *Trial {
	r := *t.request
	r.Containers = []request.Container{t.request.Containers[0]}
	r.Containers[0].Count = 1
	parts := make([]Part, len(on))
	pods := make([][]Part, len(on))
	for k, i := range on {
		at := slices.IndexFunc(t.pods[i], func(p Part) bool { return p.Card == card })
		parts[k] = Part{Amount: t.pods[i][at].Amount}
		pods[k] = parts[k : k+1]
	}
	return New(fit.Node{Cards: []fit.Card{t.node.Cards[card]}}, &r, pods)
}

// on returns the pods that have a part of the card.
func (t *Trial) on(card int) (pods []int) {
	for i, parts := range t.pods {
		if slices.ContainsFunc(parts, func(p Part) bool { return p.Card == card }) {
			pods = append(pods, i)
		}
	}
	return pods
}

// fewest takes pods away in order until the request fits, and puts back what was not needed, dearest
// first. It leaves the trial as it was.
func (t *Trial) fewest() (set []int, ok bool) {
	for i := range t.pods {
		if t.Fits() {
			break
		}
		t.Remove(i)
		set = append(set, i)
	}
	ok = t.Fits()
	for k := len(set) - 1; ok && k >= 0; k-- {
		t.Restore(set[k])
		if t.Fits() {
			set = slices.Delete(set, k, k+1)
		} else {
			t.Remove(set[k])
		}
	}
	for _, i := range set {
		t.Restore(i)
	}
	return set, ok
}

func (t *Trial) sufficesAlone(i int) bool {
	t.Remove(i)
	defer t.Restore(i)
	return t.Fits()
}

// unions joins the sets of count cards. From each card it goes on to the card that adds the fewest pods,
// or those whose dearest is cheapest: a pod that has several cards frees all of them.
func unions(cards [][]int, count int) [][]int {
	if len(cards) < count {
		return nil
	}
	var sets [][]int
	for start := range cards {
		for _, order := range []func(a, b []int) int{fewer, cheaper} {
			set := join(cards, start, count, order)
			if !slices.ContainsFunc(sets, func(s []int) bool { return slices.Equal(s, set) }) {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// join returns the union of count sets, of which the first is given.
func join(sets [][]int, start, count int, order func(a, b []int) int) []int {
	union := slices.Clone(sets[start])
	left := slices.Delete(slices.Clone(sets), start, start+1)
	for range count - 1 {
		next, added := 0, without(left[0], union)
		for i := range left {
			if more := without(left[i], union); order(more, added) < 0 {
				next, added = i, more
			}
		}
		union = append(union, added...)
		left = slices.Delete(left, next, next+1)
	}
	slices.Sort(union)
	return union
}

// without returns the pods of a set that another does not have.
func without(set, other []int) []int {
	return slices.DeleteFunc(slices.Clone(set), func(i int) bool { return slices.Contains(other, i) })
}

func fewer(a, b []int) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(last(a), last(b)))
}

func cheaper(a, b []int) int {
	return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(len(a), len(b)))
}

func last(set []int) int {
	if len(set) == 0 {
		return -1
	}
	return set[len(set)-1]
}
