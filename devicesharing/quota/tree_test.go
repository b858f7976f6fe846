package quota_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
)

// cards limits cards only, given in whole ones; a negative number leaves the part out.
func cards(capability, deserved, guarantee int) quota.Limits {
	var l quota.Limits
	for _, p := range []struct {
		n    int
		into *quota.Bounds
	}{{capability, &l.Capability}, {deserved, &l.Deserved}, {guarantee, &l.Guarantee}} {
		if p.n >= 0 {
			*p.into = bounds(map[quota.Dimension]uint64{quota.Cards: uint64(p.n) * quota.WholeCard})
		}
	}
	return l
}

// card is a pod that has n whole cards of 1000 MiB.
func card(n int) quota.Vector { return vector(1, 1000, 0, 1000).Mul(n) }

// company is two departments, the first with two teams, on 16 cards.
func company(limits map[string]quota.Limits) *quota.Tree {
	return quota.NewTree([]quota.Queue{
		{Name: "science", Limits: limits["science"]},
		{Name: "sales", Limits: limits["sales"]},
		{Name: "physics", Parent: "science", Limits: limits["physics"]},
		{Name: "biology", Parent: "science", Limits: limits["biology"]},
	}, card(16))
}

// used fills sums with whole cards by queue.
func used(t *quota.Tree, by map[string]int) quota.Sums {
	s := t.NewSums()
	for queue, n := range by {
		t.Add(s, queue, card(n))
	}
	return s
}

func TestWallsHoldOnEveryLevel(t *testing.T) {
	tests := map[string]struct {
		limits map[string]quota.Limits
		used   map[string]int
		queue  string
		ask    int
		want   string
	}{
		"no limits":                {queue: "physics", ask: 99},
		"exactly at the wall":      {limits: map[string]quota.Limits{"physics": cards(4, -1, -1)}, used: map[string]int{"physics": 3}, queue: "physics", ask: 1},
		"beyond the wall":          {limits: map[string]quota.Limits{"physics": cards(4, -1, -1)}, used: map[string]int{"physics": 3}, queue: "physics", ask: 2, want: "queue physics: queue limit exceeded: device cards: used 3 cards, asked 2 cards, limit 4 cards"},
		"beyond the parent's wall": {limits: map[string]quota.Limits{"science": cards(4, -1, -1)}, used: map[string]int{"biology": 3}, queue: "physics", ask: 2, want: "queue science: queue limit exceeded: device cards: used 3 cards, asked 2 cards, limit 4 cards"},
		"another department's use": {limits: map[string]quota.Limits{"science": cards(4, -1, -1)}, used: map[string]int{"sales": 9}, queue: "physics", ask: 4},
		"over the wall already":    {limits: map[string]quota.Limits{"physics": cards(4, -1, -1)}, used: map[string]int{"physics": 7}, queue: "physics", ask: 1, want: "queue physics: queue limit exceeded: device cards: used 7 cards, asked 1 cards, limit 4 cards"},
		"what is guaranteed to another department": {limits: map[string]quota.Limits{"sales": cards(-1, -1, 10)}, used: map[string]int{"biology": 4}, queue: "physics", ask: 3,
			want: "queue science: rest is guaranteed to other queues: device cards: used 4 cards, asked 3 cards, limit 6 cards"},
		"its own guarantee is its own":                   {limits: map[string]quota.Limits{"sales": cards(-1, -1, 10)}, used: map[string]int{"sales": 10}, queue: "sales", ask: 6},
		"a team's guarantee is taken from the other's":   {limits: map[string]quota.Limits{"physics": cards(-1, -1, 2), "science": cards(4, -1, -1)}, queue: "biology", ask: 3, want: "queue biology: rest is guaranteed to other queues: device cards: used 0 cards, asked 3 cards, limit 2 cards"},
		"a team's guarantee counts for its department":   {limits: map[string]quota.Limits{"physics": cards(-1, -1, 12)}, queue: "sales", ask: 5, want: "queue sales: rest is guaranteed to other queues: device cards: used 0 cards, asked 5 cards, limit 4 cards"},
		"more is guaranteed than there is":               {limits: map[string]quota.Limits{"physics": cards(-1, -1, 99)}, queue: "sales", ask: 1, want: "queue sales: rest is guaranteed to other queues: device cards: used 0 cards, asked 1 cards, limit 0 cards"},
		"a queue that is not known has no limits to ask": {queue: "nobody", ask: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tree := company(tc.limits)
			verdict := tree.Allows(used(tree, tc.used), tc.queue, card(tc.ask))
			if diff := cmp.Diff(tc.want, verdict.String()); diff != "" {
				t.Errorf("verdict (-want,+got):\n%s", diff)
			}
			if verdict.OK() != (tc.want == "") {
				t.Errorf("OK is %t", verdict.OK())
			}
		})
	}
}

func TestWallOfAParentIsNotTheQueuesOwn(t *testing.T) {
	tree := company(map[string]quota.Limits{"science": cards(4, -1, -1)})
	sums := used(tree, map[string]int{"biology": 4})
	if v := tree.AllowsItself(sums, "physics", card(1)); !v.OK() {
		t.Errorf("refused by itself: %s", v)
	}
	if v := tree.AllowsItself(sums, "science", card(1)); v.OK() {
		t.Error("the full department is not refused")
	}
}

func TestOnlyAskedDimensionsAreJudged(t *testing.T) {
	tree := quota.NewTree([]quota.Queue{{Name: "q", Limits: quota.Limits{Capability: bounds(map[quota.Dimension]uint64{quota.Cores: 100})}}}, card(1))
	sums := tree.NewSums()
	tree.Add(sums, "q", vector(1, 1000, 300, 1000))
	if v := tree.Allows(sums, "q", vector(1, 1000, 0, 20)); !v.OK() {
		t.Errorf("a pod without cores is refused for cores: %s", v)
	}
	if v := tree.Allows(sums, "q", quota.Vector{}); !v.OK() {
		t.Errorf("a pod without devices is refused: %s", v)
	}
	if v := tree.Allows(sums, "q", vector(1, 1000, 1, 20)); v.Reason != quota.ReasonCapability || v.Dimension != quota.Cores {
		t.Errorf("verdict is %+v", v)
	}
}

func TestBrokenQueuesRefuseDevicesBelowThem(t *testing.T) {
	tree := quota.NewTree([]quota.Queue{
		{Name: "top", Problem: "spec.capability is broken"}, {Name: "below", Parent: "top"},
		{Name: "lost", Parent: "nowhere"},
		{Name: "a", Parent: "b"}, {Name: "b", Parent: "a"}, {Name: "c", Parent: "b"},
	}, card(8))
	want := map[string]string{
		"top": "spec.capability is broken", "below": "spec.capability is broken", "lost": "parent queue nowhere does not exist",
		"a": "circle", "b": "circle", "c": "circle",
	}
	for queue, text := range want {
		v := tree.Allows(tree.NewSums(), queue, card(1))
		if v.Reason != quota.ReasonQueue || !strings.Contains(v.String(), text) {
			t.Errorf("queue %s: %q does not say %q", queue, v, text)
		}
		tree.Add(tree.NewSums(), queue, card(1)) // ends
	}
	if len(tree.Problems()) != 5 {
		t.Errorf("problems are %v", tree.Problems())
	}
}

// Random pods come and go: sums are those of the pods that are there, on every level, and taking
// everything back leaves nothing.
func TestSumsAreThoseOfThePodsThatAreThere(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			queues := []quota.Queue{{Name: "q0"}}
			for i := 1; i < 12; i++ {
				queues = append(queues, quota.Queue{Name: fmt.Sprintf("q%d", i), Parent: fmt.Sprintf("q%d", rnd.IntN(i))})
			}
			tree := quota.NewTree(queues, card(1))
			sums := tree.NewSums()
			type pod struct {
				queue  string
				charge quota.Vector
			}
			var pods []pod
			for range 300 {
				if len(pods) > 0 && rnd.IntN(2) == 0 {
					i := rnd.IntN(len(pods))
					tree.Remove(sums, pods[i].queue, pods[i].charge)
					pods = append(pods[:i], pods[i+1:]...)
				} else {
					p := pod{fmt.Sprintf("q%d", rnd.IntN(12)), vector(rnd.Uint64N(9), rnd.Uint64N(1e6), rnd.Uint64N(900), rnd.Uint64N(9000))}
					pods = append(pods, p)
					tree.Add(sums, p.queue, p.charge)
				}
			}
			want := map[string]quota.Vector{}
			for _, p := range pods {
				for q := p.queue; q != ""; q = tree.Parent(q) {
					want[q] = want[q].Add(p.charge)
				}
			}
			for _, q := range queues {
				if diff := cmp.Diff(want[q.Name], tree.Used(sums, q.Name)); diff != "" {
					t.Errorf("queue %s (-want,+got):\n%s", q.Name, diff)
				}
			}
			for _, p := range pods {
				tree.Remove(sums, p.queue, p.charge)
				tree.Remove(sums, p.queue, quota.Vector{})
			}
			if diff := cmp.Diff(tree.NewSums(), sums); diff != "" {
				t.Errorf("sums of nothing (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestSumsNeverWrap(t *testing.T) {
	most := ^uint64(0)
	tree := quota.NewTree([]quota.Queue{{Name: "q", Limits: cards(1, -1, -1)}}, card(1))
	sums := tree.NewSums()
	tree.Remove(sums, "q", card(3))
	if !tree.Used(sums, "q").IsZero() {
		t.Errorf("used is %v", tree.Used(sums, "q"))
	}
	tree.Add(sums, "q", vector(most, most, most, most))
	tree.Add(sums, "q", card(1))
	if v := tree.Allows(sums, "q", card(1)); v.OK() {
		t.Error("an absurd sum became a small one")
	}
	if got := card(3).Mul(int(most >> 1)); got[quota.Cards] != most {
		t.Errorf("product is %v", got)
	}
}
