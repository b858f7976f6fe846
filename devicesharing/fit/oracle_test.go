package fit_test

import (
	"math/rand"
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// The oracle knows no spans, no order and no short cuts: it tries every assignment of cards and reads
// the rules off the issue. The search is held against it.

// moment is a set of containers that run at the same time, by place in the request.
type moment []int

// moments returns every set of containers that ever runs at the same time.
func moments(r *request.Pod) []moment {
	var all []moment
	var sidecars, last moment
	for i, c := range r.Containers {
		switch c.Kind {
		case request.Init:
			all = append(all, append(append(moment{}, sidecars...), i))
		case request.Sidecar:
			sidecars = append(sidecars, i)
		case request.App:
			last = append(last, i)
		}
	}
	return append(all, append(append(moment{}, sidecars...), last...))
}

// valid reports whether an assignment of card sets to containers keeps all rules.
func valid(n *fit.Node, used func(*fit.Card) device.Amount, r *request.Pod, cards [][]int) bool {
	for _, of := range cards {
		if r.Selector.NUMABind && !onOneNUMA(n, of) {
			return false
		}
	}
	for i := range n.Cards {
		c := &n.Cards[i]
		for _, m := range moments(r) {
			sum, alone, none := used(c), 0, 0
			on := 0
			for _, k := range m {
				if !holds(cards[k], i) {
					continue
				}
				ct := &r.Containers[k]
				on++
				sum = sum.Add(device.Amount{Memory: ct.MemoryOn(c.Capacity.Memory), Cores: ct.Cores, Slots: 1})
				if ct.Cores == 100 && c.Capacity.Cores == 100 || c.Mode == device.ModeExclusive || r.Policy.Card.Mutex() {
					alone++
				}
				if ct.Cores == 0 {
					none++
				}
			}
			switch {
			case on == 0:
			case !sum.Within(c.Capacity),
				alone > 0 && (on > 1 || used(c).Slots > 0),
				none > 0 && used(c).Cores >= c.Capacity.Cores:
				return false
			}
		}
	}
	return true
}

func onOneNUMA(n *fit.Node, cards []int) bool {
	for _, i := range cards {
		if n.Cards[i].NUMA != n.Cards[cards[0]].NUMA {
			return false
		}
	}
	return true
}

func holds(cards []int, card int) bool {
	for _, c := range cards {
		if c == card {
			return true
		}
	}
	return false
}

// feasible tries every assignment.
func feasible(n *fit.Node, used func(*fit.Card) device.Amount, open func(*fit.Card) bool, r *request.Pod, cards [][]int) bool {
	k := len(cards)
	if k == len(r.Containers) {
		return valid(n, used, r, cards)
	}
	for set := range 1 << len(n.Cards) {
		var chosen []int
		for i := range n.Cards {
			if set&(1<<i) != 0 && open(&n.Cards[i]) {
				chosen = append(chosen, i)
			}
		}
		if len(chosen) == r.Containers[k].Count && feasible(n, used, open, r, append(cards[:k:k], chosen)) {
			return true
		}
	}
	return false
}

func randomNode(rng *rand.Rand) *fit.Node {
	n := &fit.Node{}
	for i := range 1 + rng.Intn(4) {
		c := fit.Card{
			UUID: string(rune('a' + i)), Model: "A100", Mode: device.ModeHAMiCore, Index: i, Healthy: rng.Intn(10) > 0,
			Cordoned: rng.Intn(10) == 0, NUMA: int32(rng.Intn(2)),
			Capacity: device.Amount{Memory: device.MiB(6 + rng.Intn(3)), Cores: 100, Slots: device.Shares(1 + rng.Intn(4))},
		}
		if rng.Intn(8) == 0 {
			c.Capacity.Cores = 200
		}
		if rng.Intn(12) == 0 {
			c.Mode = device.ModeExclusive
		}
		for _, book := range []*device.Amount{&c.Now, &c.Future} {
			if rng.Intn(2) == 0 {
				*book = device.Amount{Memory: device.MiB(rng.Intn(5)), Cores: device.CorePercent(rng.Intn(6) * 20), Slots: device.Shares(1 + rng.Intn(2))}
			}
		}
		n.Cards = append(n.Cards, c)
	}
	if rng.Intn(2) == 0 {
		n.Pairs = device.MakePairs(len(n.Cards), func(int, int) device.PairScore { return device.PairScore(10 * rng.Intn(4)) })
	}
	return n
}

var policies = []score.CardPolicy{
	score.CardDefault, score.Binpack, score.Spread, score.NUMA, score.Mutex, score.Topology,
	score.Chain(score.NUMA, score.Binpack), score.Chain(score.Binpack, score.NUMA), score.Mutex | score.Topology,
	score.Mutex | score.Chain(score.NUMA, score.Spread), score.Topology | score.Binpack,
}

func randomRequest(rng *rand.Rand) *request.Pod {
	r := &request.Pod{}
	if rng.Intn(5) == 0 {
		r.Selector.NoUseUUIDs = []string{"b"}
	}
	r.Selector.NUMABind = rng.Intn(3) == 0
	r.Policy.Card = policies[rng.Intn(len(policies))]
	if rng.Intn(4) == 0 {
		r.Policy.Weights = score.Weights{Slot: 1, Memory: uint32(rng.Intn(3))}
	}
	inits := rng.Intn(3)
	for i := range inits + rng.Intn(3) {
		c := request.Container{
			Name: string(rune('r' + i)), Kind: request.App, Count: 1 + rng.Intn(2)*rng.Intn(3),
			Memory: device.MiB(1 + rng.Intn(6)), Cores: []device.CorePercent{0, 0, 20, 40, 60, 100}[rng.Intn(6)],
		}
		if i < inits {
			c.Kind = []request.Kind{request.Init, request.Sidecar}[rng.Intn(2)]
		}
		if rng.Intn(4) == 0 {
			c.Memory, c.Percent = 0, 10*(1+rng.Intn(10))
		}
		r.Containers = append(r.Containers, c)
	}
	return r
}

// agree holds one node and request against the oracle.
func agree(t *testing.T, seed int64) {
	rng := rand.New(rand.NewSource(seed))
	n, r := randomNode(rng), randomRequest(rng)
	book := fit.Book(rng.Intn(2))
	policy := policies[rng.Intn(len(policies))]
	if len(r.Containers) == 0 {
		return
	}
	used := func(c *fit.Card) device.Amount {
		if book == fit.Future {
			return c.Future
		}
		return c.Now.Max(c.Future)
	}
	excluded := func(c *fit.Card) bool { return holdsString(r.Selector.NoUseUUIDs, c.UUID) }
	want := fit.Never
	switch {
	case feasible(n, used, func(c *fit.Card) bool { return c.Healthy && !c.Cordoned && !excluded(c) }, r, nil):
		want = fit.Fits
	case feasible(n, func(*fit.Card) device.Amount { return device.Amount{} }, func(c *fit.Card) bool { return !excluded(c) }, r, nil):
		want = fit.NotNow
	}
	got := n.Check(book, r)
	if got.Code != want {
		t.Fatalf("seed %d: check says %q (%s), the oracle %q\nnode %+v\nrequest %+v", seed, got.Code, got, want, n.Cards, r)
	}
	choices, v := n.Place(book, r, policy, nil)
	if v != got {
		t.Fatalf("seed %d: place says %q (%s), check %q (%s)", seed, v.Code, v, got.Code, got)
	}
	if got.OK() {
		cards := make([][]int, len(r.Containers))
		for _, c := range choices {
			if !n.Cards[c.Card].Healthy || n.Cards[c.Card].Cordoned || excluded(&n.Cards[c.Card]) || holds(cards[c.Container], c.Card) {
				t.Fatalf("seed %d: card %d must not be given to container %d", seed, c.Card, c.Container)
			}
			if all := n.Cards[c.Card].Capacity.Slots; r.Policy.Card.Mutex() && c.Amount.Slots != all {
				t.Fatalf("seed %d: a mutex pod takes %d of %d shares, others may join", seed, c.Amount.Slots, all)
			}
			cards[c.Container] = append(cards[c.Container], c.Card)
		}
		for i := range cards {
			if len(cards[i]) != r.Containers[i].Count {
				t.Fatalf("seed %d: container %d has %d cards, want %d", seed, i, len(cards[i]), r.Containers[i].Count)
			}
		}
		if !valid(n, used, r, cards) {
			t.Fatalf("seed %d: placement %v breaks a rule\nnode %+v\nrequest %+v", seed, cards, n.Cards, r)
		}
	} else if got.String() == "" || got.Container == "" && got.Reason != fit.ReasonNoDevices {
		t.Fatalf("seed %d: refusal without reason: %+v", seed, got)
	}
}

func holdsString(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestSearchAgreesWithTryingEverything(t *testing.T) {
	for seed := range int64(30000) {
		agree(t, seed)
	}
}

func FuzzSearchAgreesWithTryingEverything(f *testing.F) {
	for seed := range int64(10) {
		f.Add(seed)
	}
	f.Fuzz(agree)
}
