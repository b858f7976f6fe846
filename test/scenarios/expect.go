package scenarios

import (
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// check compares what a step expects with what there is.
func (d *drive) check(at string, s *Step) {
	d.Helper()
	pods := d.cluster.Pods()
	for _, name := range SortedKeys(s.Expect) {
		want := s.Expect[name]
		d.checkPods(at+" "+name, pods, d.members([]string{name}), &want)
	}
	if s.Evicted != nil {
		want := slices.Sorted(slices.Values(names(s.Evicted)))
		if got := d.cluster.Evictions(); !slices.Equal(want, got) {
			d.Errorf("%s: evicted pods are %q, want %q", at, got, want)
		}
	}
	uses := d.cluster.Uses()
	for _, uuid := range SortedKeys(s.Use) {
		d.diff(at, "use of "+uuid, s.Use[uuid], uses[uuid])
	}
}

func (d *drive) diff(at, what string, want, got any) {
	d.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.Errorf("%s: %s (-want,+got):\n%s", at, what, diff)
	}
}

// found is what some pods have, taken together.
type found struct {
	placed       int
	nodes, cards []string
	reasons      []string
}

func collect(pods map[string]Outcome, members []string) found {
	var f found
	for _, name := range members {
		o := pods[name]
		if o.Node == "" {
			f.reasons = append(f.reasons, name+": "+o.Reason)
			continue
		}
		f.placed++
		f.nodes = append(f.nodes, o.Node)
		for _, slices := range o.Slices {
			for _, s := range slices {
				f.cards = append(f.cards, s.UUID)
			}
		}
	}
	f.nodes, f.cards = set(f.nodes), set(f.cards)
	return f
}

func set(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

func (d *drive) checkPods(at string, pods map[string]Outcome, members []string, want *Expect) {
	d.Helper()
	got := collect(pods, members)
	d.checkPlaced(at, len(members), &got, want)
	if want.Nodes != nil {
		d.diff(at, "nodes", set(want.Nodes), got.nodes)
	}
	if want.Cards != nil {
		d.diff(at, "cards", set(want.Cards), got.cards)
	}
	if want.Distinct > 0 && len(got.cards) != want.Distinct {
		d.Errorf("%s: has %d cards (%v), want %d", at, len(got.cards), got.cards, want.Distinct)
	}
	for _, name := range members {
		d.checkSlices(at+" "+name, pods[name].Slices, want)
	}
}

func (d *drive) checkPlaced(at string, members int, got *found, want *Expect) {
	d.Helper()
	placed := members
	if want.Pending != nil {
		placed = 0
	}
	if placed = deref(want.Placed, placed); got.placed != placed {
		d.Errorf("%s: %d of %d pods are placed, want %d; the others say %q", at, got.placed, members, placed, got.reasons)
	}
	if want.Pending != nil && !slices.ContainsFunc(got.reasons, func(r string) bool { return hasAll(r, want.Pending) }) {
		d.Errorf("%s: no pod gives all of %q as its reason, they say %q", at, want.Pending, got.reasons)
	}
}

func hasAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func (d *drive) checkSlices(at string, got map[string][]wire.Slice, want *Expect) {
	d.Helper()
	if want.Containers != nil {
		cards := map[string][]string{}
		for name, all := range got {
			for _, s := range all {
				cards[name] = append(cards[name], s.UUID)
			}
			slices.Sort(cards[name])
		}
		d.diff(at, "cards by container", want.Containers, cards)
	}
	if want.Each != nil {
		for name, all := range got {
			for _, s := range all {
				d.diff(at, "slice of container "+name+" on "+s.UUID, *want.Each, Use{Memory: s.Memory, Cores: s.Cores})
			}
		}
	}
}

// audit checks what holds in every row. It reads the API's pods, not the scheduler's books: a card is
// sold twice where two pods believe that they own it.
func (d *drive) audit(at string) {
	d.Helper()
	pods, capacities := d.cluster.Pods(), d.cluster.Capacities()
	sold := map[string]Use{}
	for _, name := range SortedKeys(pods) {
		if d.pods[name] != nil && !d.ended[name] {
			for uuid, u := range peak(d.pods[name], pods[name].Slices) {
				sold[uuid] = sold[uuid].add(u)
			}
		}
	}
	for _, uuid := range SortedKeys(sold) {
		if has, known := capacities[uuid]; known && !sold[uuid].within(has) {
			d.Errorf("%s: card %s has %+v and %+v of it are sold", at, uuid, has, sold[uuid])
		}
	}
	if d.refusing {
		return // What the API server refuses is not the scheduler's doing.
	}
	for _, name := range SortedKeys(d.groups) {
		g := d.groups[name]
		n := 0
		for _, p := range g.Pods {
			if pods[p.Name].Node != "" || d.ended[p.Name] {
				n++
			}
		}
		if n > 0 && n < g.Min {
			d.Errorf("%s: %d pods of group %s are placed, which needs %d together", at, n, name, g.Min)
		}
	}
}

// peak returns the most that a pod uses of each card at one time: all containers that run to the end
// together, or one init container with the sidecars that started before it.
func peak(pod *v1.Pod, slices map[string][]wire.Slice) map[string]Use {
	most, running := map[string]Use{}, map[string]Use{}
	note := func(beside map[string]Use) {
		for uuid, u := range beside {
			most[uuid] = most[uuid].max(running[uuid].add(u))
		}
	}
	for _, c := range pod.Spec.InitContainers {
		note(onCards(slices[c.Name]))
		if c.RestartPolicy != nil {
			for uuid, u := range onCards(slices[c.Name]) {
				running[uuid] = running[uuid].add(u)
			}
		}
	}
	for _, c := range pod.Spec.Containers {
		for uuid, u := range onCards(slices[c.Name]) {
			running[uuid] = running[uuid].add(u)
		}
	}
	for uuid, u := range running {
		most[uuid] = most[uuid].max(u)
	}
	return most
}

func onCards(all []wire.Slice) map[string]Use {
	m := map[string]Use{}
	for _, s := range all {
		m[s.UUID] = m[s.UUID].add(Use{Shares: max(s.Shares, 1), Memory: s.Memory, Cores: s.Cores})
	}
	return m
}

func (u Use) add(o Use) Use {
	return Use{Shares: u.Shares + o.Shares, Memory: u.Memory + o.Memory, Cores: u.Cores + o.Cores}
}

func (u Use) max(o Use) Use {
	return Use{Shares: max(u.Shares, o.Shares), Memory: max(u.Memory, o.Memory), Cores: max(u.Cores, o.Cores)}
}

func (u Use) within(o Use) bool {
	return u.Shares <= o.Shares && u.Memory <= o.Memory && u.Cores <= o.Cores
}
