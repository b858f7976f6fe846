package fit_test

import (
	"fmt"
	"math/bits"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

// linked is a node of idle cards with the given links.
func linked(cards int, link func(i, k int) device.PairScore) *fit.Node {
	n := &fit.Node{Pairs: device.MakePairs(cards, link)}
	for i := range cards {
		n.Cards = append(n.Cards, card(fmt.Sprintf("%02d", i)).Index(i).Used(0, 0, 0))
	}
	return n
}

// Link matrices as machines have them, and such as make the search work hardest.
var matrices = map[string]func(rng *rand.Rand, i, k int) device.PairScore{
	"all alike":     func(*rand.Rand, int, int) device.PairScore { return 1800 },
	"two islands":   func(_ *rand.Rand, i, k int) device.PairScore { return pick(i/8 == k/8, 610, 10) },
	"four islands":  func(_ *rand.Rand, i, k int) device.PairScore { return pick(i%4 == k%4, 1250, 20) },
	"pairs":         func(_ *rand.Rand, i, k int) device.PairScore { return pick(i/2 == k/2, 420, 30) },
	"a ring":        func(_ *rand.Rand, i, k int) device.PairScore { return pick(k-i == 1 || k-i == 15, 120, 10) },
	"a hub":         func(rng *rand.Rand, i, _ int) device.PairScore { return pick(i == 0, 9000, 100) + any(rng, 3) },
	"anything":      func(rng *rand.Rand, _, _ int) device.PairScore { return any(rng, 2000) },
	"almost alike":  func(rng *rand.Rand, _, _ int) device.PairScore { return 1000 + any(rng, 3) },
	"hybrid cube":   func(_ *rand.Rand, i, k int) device.PairScore { return hybridCube(i%8, k%8) },
	"nothing known": func(*rand.Rand, int, int) device.PairScore { return 0 },
}

func pick(first bool, a, b device.PairScore) device.PairScore {
	if first {
		return a
	}
	return b
}

func any(rng *rand.Rand, below int) device.PairScore { return device.PairScore(rng.Intn(below)) }

// hybridCube is eight cards of which each has one or two NVLinks to four others.
func hybridCube(i, k int) device.PairScore {
	switch i ^ k {
	case 1, 4:
		return 110
	case 2, 3:
		return pick(i/4 == k/4, 210, 10)
	}
	return 10
}

// sumOf returns the links within a set of cards.
func sumOf(n *fit.Node, set uint) (sum int) {
	for i := range n.Cards {
		for k := range i {
			if set&(1<<i) != 0 && set&(1<<k) != 0 {
				sum += int(n.Pairs.Score(k, i))
			}
		}
	}
	return sum
}

// bestOf tries every set of count cards but those with a card of without.
func bestOf(n *fit.Node, count int, without uint) (best int) {
	best = -1
	for set := range uint(1) << len(n.Cards) {
		if bits.OnesCount(set) == count && set&without == 0 {
			best = max(best, sumOf(n, set))
		}
	}
	return best
}

// liked returns the cards of a set, best liked first; on an idle node that is by index.
func liked(set uint) (cards []int) {
	for ; set != 0; set &= set - 1 {
		cards = append(cards, bits.TrailingZeros(set))
	}
	return cards
}

// bruteSet is the set that the rules ask for, found by trying all.
func bruteSet(n *fit.Node, count int) (cards []int) {
	best := -1
	for set := range uint(1) << len(n.Cards) {
		if bits.OnesCount(set) != count {
			continue
		}
		sum, these := sumOf(n, set), liked(set)
		if sum > best || sum == best && slices.Compare(these, cards) < 0 {
			best, cards = sum, these
		}
	}
	return cards
}

// bruteSingle is the card without which the others keep the best sets of two, four and eight.
func bruteSingle(n *fit.Node) []int {
	best, least := -1, 0
	for i := range n.Cards {
		loss := 0
		for _, count := range []int{2, 4, 8} {
			if count < len(n.Cards) {
				loss += bestOf(n, count, 0) - bestOf(n, count, 1<<i)
			}
		}
		if best < 0 || loss < least {
			best, least = i, loss
		}
	}
	return []int{best}
}

func chosenCards(t *testing.T, n *fit.Node, count int, policy score.CardPolicy) (cards []int) {
	t.Helper()
	r := sharingtest.MakeRequest().Ask("main", appC, count, 1000, 0).Obj()
	choices, v := n.Place(fit.Now, r, policy, nil)
	if !v.OK() {
		t.Fatal(v)
	}
	for _, c := range choices {
		cards = append(cards, c.Card)
	}
	slices.Sort(cards)
	return cards
}

func TestBestLinkedSetsAreFound(t *testing.T) {
	for name, link := range matrices {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewSource(1))
			for _, size := range []int{1, 2, 3, 5, 8, 9, 11} {
				n := linked(size, func(i, k int) device.PairScore { return link(rng, i, k) })
				if diff := cmp.Diff(bruteSingle(n), chosenCards(t, n, 1, score.Topology)); diff != "" {
					t.Errorf("1 of %d cards (-want,+got):\n%s", size, diff)
				}
				for count := 2; count <= size; count++ {
					if diff := cmp.Diff(bruteSet(n, count), chosenCards(t, n, count, score.Topology)); diff != "" {
						t.Errorf("%d of %d cards (-want,+got):\n%s", count, size, diff)
					}
				}
			}
		})
	}
}

func TestBestLinkedSetsOfSixteenAreFound(t *testing.T) {
	for name, link := range matrices {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewSource(2))
			n := linked(16, func(i, k int) device.PairScore { return link(rng, i, k) })
			for _, count := range []int{2, 8, 15, 16} {
				var set uint
				for _, i := range chosenCards(t, n, count, score.Topology) {
					set |= 1 << i
				}
				if want := bestOf(n, count, 0); sumOf(n, set) != want {
					t.Errorf("%d of 16 cards have links of %d, want %d", count, sumOf(n, set), want)
				}
			}
		})
	}
}

func TestMoreThanSixteenCardsAreLinkedGreedily(t *testing.T) {
	n := linked(24, func(i, k int) device.PairScore { return pick(i/4 == k/4, 600, 10) })
	n.Cards[0].Healthy = false
	if diff := cmp.Diff([]int{1, 2, 3}, chosenCards(t, n, 3, score.Topology)); diff != "" {
		t.Errorf("cards (-want,+got):\n%s", diff)
	}
}

func TestCardsAreChosenTogether(t *testing.T) {
	on := func(uuid string, index int, numa int32, slots device.Shares) fit.Card {
		c := card(uuid).Index(index).Used(device.MiB(slots)*1000, 0, slots)
		c.NUMA = numa
		return c
	}
	tests := map[string]struct {
		node   *fit.Node
		count  int
		policy score.CardPolicy
		bind   bool
		want   []int
	}{
		"links that nobody tells are those of NUMA nodes": {
			node:  node(on("a", 0, 0, 0), on("b", 1, 1, 0), on("c", 2, 0, 0), on("d", 3, 1, 0)),
			count: 2, policy: score.Topology, want: []int{0, 2},
		},
		"of sets linked alike the keys decide": {
			node:  node(on("a", 0, 0, 0), on("b", 1, 0, 0), on("c", 2, 1, 3), on("d", 3, 1, 3)),
			count: 2, policy: score.Topology | score.Binpack, want: []int{2, 3},
		},
		"without keys they spread": {
			node:  node(on("a", 0, 0, 1), on("b", 1, 0, 0), on("c", 2, 1, 0), on("d", 3, 1, 0)),
			count: 2, policy: score.Topology, want: []int{2, 3},
		},
		"a single card comes from the smaller group": {
			node:  node(on("a", 0, 0, 0), on("b", 1, 0, 0), on("c", 2, 0, 0), on("d", 3, 0, 0), on("e", 4, 1, 0), on("f", 5, 1, 0)),
			count: 1, policy: score.Topology, want: []int{4},
		},
		"numa takes the first NUMA node with enough cards": {
			node:  node(on("a", 0, 0, 0), on("b", 1, 1, 0), on("c", 2, 2, 0), on("d", 3, 1, 0), on("e", 4, 2, 0)),
			count: 2, policy: score.NUMA, want: []int{1, 3},
		},
		"numa gives way where no NUMA node has enough": {
			node:  node(on("a", 0, 1, 0), on("b", 1, 0, 0), on("c", 2, 2, 0)),
			count: 2, policy: score.NUMA, want: []int{0, 1},
		},
		"numa before binpack": {
			node:  node(on("a", 0, 0, 0), on("b", 1, 0, 1), on("c", 2, 1, 5)),
			count: 1, policy: score.Chain(score.NUMA, score.Binpack), want: []int{1},
		},
		"binpack before numa": {
			node:  node(on("a", 0, 0, 1), on("b", 1, 1, 5), on("c", 2, 0, 5)),
			count: 1, policy: score.Chain(score.Binpack, score.NUMA), want: []int{2},
		},
		"bound to one NUMA node the policy orders the nodes and the cards": {
			node:  node(on("a", 0, 0, 5), on("b", 1, 1, 4), on("c", 2, 1, 3), on("d", 3, 0, 2), on("e", 4, 0, 3)),
			count: 2, policy: score.Binpack, bind: true, want: []int{0, 4},
		},
		"bound to one NUMA node the best card alone decides nothing": {
			node:  node(on("a", 0, 0, 5), on("b", 1, 1, 4), on("c", 2, 1, 3)),
			count: 2, policy: score.Binpack, bind: true, want: []int{1, 2},
		},
		"bound and linked": {
			node:  node(on("a", 0, 0, 0), on("b", 1, 1, 0), on("c", 2, 1, 0)),
			count: 2, policy: score.Topology, bind: true, want: []int{1, 2},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := sharingtest.MakeRequest().Ask("main", appC, tc.count, 1000, 0).Select(request.Selector{NUMABind: tc.bind}).Obj()
			choices, v := tc.node.Place(fit.Now, r, tc.policy, nil)
			if !v.OK() {
				t.Fatal(v)
			}
			var got []int
			for _, c := range choices {
				got = append(got, c.Card)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("cards (-want,+got):\n%s", diff)
			}
		})
	}
}

// TestContainersOfOnePodAreLinked: with several containers the search places card by card, and still
// takes each container's best linked set where the others leave it.
func TestContainersOfOnePodAreLinked(t *testing.T) {
	n := linked(8, func(i, k int) device.PairScore { return pick(i%2 == k%2, 600, 10) })
	r := sharingtest.MakeRequest().Ask("x", appC, 4, 1000, 100).Ask("y", appC, 3, 1000, 100).Obj()
	r.Policy.Card = score.Topology
	choices, v := n.Place(fit.Now, r, score.CardDefault, nil)
	if !v.OK() {
		t.Fatal(v)
	}
	sets := map[int]uint{}
	for _, c := range choices {
		sets[c.Container] |= 1 << c.Card
	}
	if got := []int{sumOf(n, sets[0]), sumOf(n, sets[1])}; got[0] != 6*600 || got[1] != 3*600 {
		t.Errorf("links are %v, want every pair of a container linked", got)
	}
}

func TestTopologyCountsInTheScoreOfANode(t *testing.T) {
	fast := linked(8, func(int, int) device.PairScore { return 1800 })
	slow := linked(8, func(int, int) device.PairScore { return 10 })
	broken := linked(8, func(i, k int) device.PairScore { return pick(i/4 == k/4, 600, 10) })
	whole := linked(8, func(i, k int) device.PairScore { return pick(i/4 == k/4, 600, 10) })
	for i := range slow.Cards[:4] {
		slow.Cards[i].Now.Slots, slow.Cards[i].Now.Memory = 5, 40000
	}
	for i := range 5 {
		broken.Cards[i].Healthy = false
	}
	four, one := sharingtest.MakeRequest().Ask("main", appC, 4, 1000, 0).Obj(), sharingtest.Slice(1000, 0)
	four.Policy.Card, one.Policy.Card = score.Topology, score.Topology
	at := func(n *fit.Node, r *request.Pod) int64 {
		s, ok := n.Score(fit.Now, r, score.NodeDefault)
		if !ok {
			t.Fatal("the request does not fit")
		}
		return s
	}
	if at(fast, four) <= at(slow, four) {
		t.Error("four cards without links on a started node are preferred to linked ones")
	}
	if at(broken, one) <= at(whole, one) {
		t.Error("one card is taken from a whole group rather than from a broken one")
	}
}

func TestEqualNodesDifferByFullness(t *testing.T) {
	less, more := node(card("a").Used(0, 0, 0), card("b").Index(1).Used(100, 0, 1)), node(card("a").Used(0, 0, 0), card("b").Index(1).Used(200, 0, 1))
	r := sharingtest.Slice(80000, 10)
	for _, p := range []score.NodePolicy{score.NodeDefault, score.NodeBinpack} {
		l, _ := less.Score(fit.Now, r, p)
		m, _ := more.Score(fit.Now, r, p)
		if m <= l {
			t.Errorf("policy %q: a node with 100 MiB more in use scores %d, not above %d", p, m, l)
		}
	}
}

func BenchmarkBestLinked(b *testing.B) {
	for name, link := range matrices {
		for _, size := range []int{8, 16} {
			rng := rand.New(rand.NewSource(3))
			n := linked(size, func(i, k int) device.PairScore { return link(rng, i, k) })
			for _, count := range []int{1, size / 2} {
				r := sharingtest.MakeRequest().Ask("main", appC, count, 1000, 0).Obj()
				var choices []fit.Choice
				b.Run(fmt.Sprintf("%s/%d of %d", name, count, size), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						choices, _ = n.Place(fit.Now, r, score.Topology, choices[:0])
					}
				})
			}
		}
	}
}
