package fit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

const (
	initC   = request.Init
	sidecar = request.Sidecar
	appC    = request.App
)

func card(uuid string) *sharingtest.CardBuilder { return sharingtest.MakeCard(uuid) }

func node(cards ...fit.Card) *fit.Node { return &fit.Node{Cards: cards} }

// placed returns the UUIDs by container name.
func placed(n *fit.Node, r *request.Pod, choices []fit.Choice) map[string][]string {
	m := map[string][]string{}
	for _, c := range choices {
		name := r.Containers[c.Container].Name
		m[name] = append(m[name], n.Cards[c.Card].UUID)
	}
	return m
}

func TestPlace(t *testing.T) {
	idle := func(uuid string, index int) fit.Card { return card(uuid).Index(index).Used(0, 0, 0) }
	tests := map[string]struct {
		node   *fit.Node
		pod    *sharingtest.RequestBuilder
		policy score.CardPolicy
		want   map[string][]string
	}{
		"cards that are alike are taken by index": {
			node: node(idle("c", 2), idle("b", 1), idle("a", 3)),
			pod:  sharingtest.MakeRequest().App("main", 100, 0),
			want: map[string][]string{"main": {"b"}},
		},
		"cards with the same index are taken by UUID": {
			node: node(idle("b", 0), idle("a", 0)),
			pod:  sharingtest.MakeRequest().App("main", 100, 0),
			want: map[string][]string{"main": {"a"}},
		},
		"two cards are two distinct ones": {
			node: node(idle("a", 0), idle("b", 1), idle("c", 2)),
			pod:  sharingtest.MakeRequest().Ask("main", appC, 2, 100, 0),
			want: map[string][]string{"main": {"a", "b"}},
		},
		"binpack takes the fullest card that has room": {
			node:   node(idle("a", 0), card("b").Index(1).Used(40000, 10, 1), card("c").Index(2).Used(81000, 10, 1)),
			pod:    sharingtest.MakeRequest().App("main", 3000, 0),
			policy: score.Binpack,
			want:   map[string][]string{"main": {"b"}},
		},
		"spread takes the emptiest card": {
			node:   node(card("a").Used(100, 0, 1), card("b").Index(1).Used(40000, 10, 1), idle("c", 2)),
			pod:    sharingtest.MakeRequest().App("main", 3000, 0),
			policy: score.Spread,
			want:   map[string][]string{"main": {"c"}},
		},
		"two containers may share a card": {
			node: node(idle("a", 0)),
			pod:  sharingtest.MakeRequest().App("x", 40000, 50).App("y", 40000, 50),
			want: map[string][]string{"x": {"a"}, "y": {"a"}},
		},
		"two containers are packed on one card on demand": {
			node:   node(idle("a", 0), idle("b", 1)),
			pod:    sharingtest.MakeRequest().App("x", 40000, 50).App("y", 40000, 50),
			policy: score.Binpack,
			want:   map[string][]string{"x": {"a"}, "y": {"a"}},
		},
		"two containers are spread over cards on demand": {
			node:   node(idle("a", 0), idle("b", 1)),
			pod:    sharingtest.MakeRequest().App("x", 40000, 50).App("y", 40000, 50),
			policy: score.Spread,
			want:   map[string][]string{"x": {"a"}, "y": {"b"}},
		},
		"spreading gives way where only packing fits": {
			node: node(idle("a", 0), idle("b", 1)),
			pod: sharingtest.MakeRequest().App("x", 30000, 0).App("y", 30000, 0).
				App("z", 51920, 0).App("w", 51920, 0),
			policy: score.Spread,
			want:   map[string][]string{"z": {"a"}, "w": {"b"}, "x": {"a"}, "y": {"b"}},
		},
		"an init container uses the cards that the app uses later": {
			node: node(idle("a", 0)),
			pod:  sharingtest.MakeRequest().Ask("fetch", initC, 1, 80000, 100).App("main", 80000, 100),
			want: map[string][]string{"fetch": {"a"}, "main": {"a"}},
		},
		"a percentage is of each card": {
			node: node(card("small").Memory(1000).Used(0, 0, 0), card("large").Index(1).Memory(4000).Used(2500, 0, 1)),
			pod:  sharingtest.MakeRequest().App("main", 0, 0).Percent(50),
			want: map[string][]string{"main": {"small"}},
		},
		"all cores of a card mean the card alone": {
			node: node(card("a").Used(0, 0, 1), idle("b", 1)),
			pod:  sharingtest.MakeRequest().App("main", 100, 100),
			want: map[string][]string{"main": {"b"}},
		},
		"a hundred cores of a scaled card are a number": {
			node: node(card("a").Cores(200).Used(100, 100, 1)),
			pod:  sharingtest.MakeRequest().App("main", 100, 100),
			want: map[string][]string{"main": {"a"}},
		},
		"no promise of cores fits beside promised ones": {
			node: node(card("a").Used(0, 99, 1)),
			pod:  sharingtest.MakeRequest().App("main", 100, 0),
			want: map[string][]string{"main": {"a"}},
		},
		"selectors": {
			node: node(idle("a", 0), idle("b", 1), card("c").Index(2).Model("NVIDIA H100").Used(0, 0, 0),
				card("d").Index(3).Mode(device.ModeMPS).Model("NVIDIA H100").Used(0, 0, 0)),
			pod: sharingtest.MakeRequest().App("main", 100, 0).Select(request.Selector{
				NoUseUUIDs: []string{"a"}, UseTypes: []string{"v100", "h100"}, Mode: "mps"}),
			want: map[string][]string{"main": {"d"}},
		},
		"more than sixteen cards": {
			node: node(func() []fit.Card {
				var cards []fit.Card
				for i := range 20 {
					cards = append(cards, card(string(rune('a'+i))).Index(i).Used(81920, 100, 10))
				}
				cards[18] = card("s").Index(18).Used(0, 0, 0)
				return cards
			}()...),
			pod:  sharingtest.MakeRequest().App("x", 100, 1).App("y", 100, 1),
			want: map[string][]string{"x": {"s"}, "y": {"s"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := tc.pod.Obj()
			choices, v := tc.node.Place(fit.Now, r, tc.policy, nil)
			if !v.OK() {
				t.Fatal(v)
			}
			if diff := cmp.Diff(tc.want, placed(tc.node, r, choices), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				t.Errorf("cards (-want,+got):\n%s", diff)
			}
			if v := tc.node.Check(fit.Now, r); !v.OK() {
				t.Errorf("check refuses what place does: %s", v)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	a100, full := card("a").Used(0, 0, 0), card("full").Index(1).Used(81920, 100, 10)
	tests := map[string]struct {
		node *fit.Node
		pod  *sharingtest.RequestBuilder
		code fit.Code
		want string
	}{
		"memory of one card": {
			node: node(card("a").Used(80000, 10, 1)), pod: sharingtest.MakeRequest().App("main", 3000, 10), code: fit.NotNow,
			want: "insufficient device memory: container main asks 3000 MiB per card, best card has 1920 MiB free, 1080 MiB short",
		},
		"memory of the second card of two": {
			node: node(a100, card("b").Used(80000, 10, 1), full), pod: sharingtest.MakeRequest().Ask("main", appC, 2, 3000, 10), code: fit.NotNow,
			want: "insufficient device memory: container main asks 3000 MiB on each of 2 cards, number 2 of the cards, best first, has 1920 MiB free, 1080 MiB short",
		},
		"memory that no card has": {
			node: node(a100, full), pod: sharingtest.MakeRequest().App("main", 90000, 10), code: fit.Never,
			want: "insufficient device memory: container main asks 90000 MiB per card, largest card has 81920 MiB, 8080 MiB short",
		},
		"cores": {
			node: node(card("a").Used(100, 80, 1)), pod: sharingtest.MakeRequest().App("main", 100, 30), code: fit.NotNow,
			want: "insufficient device cores: container main asks 30 percent per card, best card has 20 percent free, 10 percent short",
		},
		"cores sold out": {
			node: node(card("a").Used(100, 100, 1)), pod: sharingtest.MakeRequest().App("main", 100, 0), code: fit.NotNow,
			want: "insufficient device cores: container main asks unsold cores per card, all 100 percent of the best card are sold",
		},
		"shares": {
			node: node(card("a").Used(100, 10, 10)), pod: sharingtest.MakeRequest().App("main", 100, 1), code: fit.NotNow,
			want: "insufficient device shares: container main asks 1 share per card, best card has 0 free, 1 short",
		},
		"an idle card": {
			node: node(card("a").Used(100, 0, 1)), pod: sharingtest.MakeRequest().App("main", 100, 100), code: fit.NotNow,
			want: "insufficient idle devices: container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"memory here and cores there": {
			node: node(card("a").Used(81920, 0, 1), card("b").Index(1).Used(0, 90, 1)),
			pod:  sharingtest.MakeRequest().App("main", 100, 50), code: fit.NotNow,
			want: "insufficient devices with memory, cores and shares free together: container main asks 1 card, 0 of the node's 2 can serve it, 1 short",
		},
		"more cards than there are": {
			node: node(a100, full), pod: sharingtest.MakeRequest().Ask("main", appC, 3, 100, 1), code: fit.Never,
			want: "insufficient devices: container main asks 3 cards, the node has 2, 1 short",
		},
		"an unknown card": {
			node: node(a100), pod: sharingtest.MakeRequest().App("main", 100, 1).Select(request.Selector{UseUUIDs: []string{"GPU-x"}}), code: fit.Never,
			want: "device uuid not on node (GPU-x): container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"an excluded card": {
			node: node(a100), pod: sharingtest.MakeRequest().App("main", 100, 1).Select(request.Selector{NoUseUUIDs: []string{"a"}}), code: fit.Never,
			want: "devices excluded by uuid (a): container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"another model": {
			node: node(a100), pod: sharingtest.MakeRequest().App("main", 100, 1).Select(request.Selector{UseTypes: []string{"H100"}}), code: fit.Never,
			want: "device type mismatch (H100): container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"another mode": {
			node: node(a100), pod: sharingtest.MakeRequest().App("main", 100, 1).Select(request.Selector{Mode: "mps"}), code: fit.Never,
			want: "device mode mismatch (mps): container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"a sick card": {
			node: node(card("a").Sick().Used(0, 0, 0)), pod: sharingtest.MakeRequest().App("main", 100, 1), code: fit.NotNow,
			want: "insufficient healthy devices: container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"a sick card that is too small": {
			node: node(card("a").Sick().Used(0, 0, 0)), pod: sharingtest.MakeRequest().App("main", 90000, 1), code: fit.Never,
			want: "insufficient device memory: container main asks 90000 MiB per card, largest card has 81920 MiB, 8080 MiB short",
		},
		"no cards": {
			node: node(), pod: sharingtest.MakeRequest().App("main", 100, 1), code: fit.Never, want: "node has no registered devices",
		},
		"cards in MIG mode are not sliced": {
			node: node(card("a").Mode(device.ModeMIG).Used(0, 0, 0)), pod: sharingtest.MakeRequest().App("main", 100, 1), code: fit.Never,
			want: "device mode mismatch: container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"an exclusive card takes one container": {
			node: node(card("a").Mode(device.ModeExclusive).Used(100, 1, 1)), pod: sharingtest.MakeRequest().App("main", 100, 1), code: fit.NotNow,
			want: "insufficient idle devices: container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"containers that fit one by one": {
			node: node(card("a").Used(40000, 0, 1)), pod: sharingtest.MakeRequest().App("x", 30000, 10).App("y", 20000, 10), code: fit.NotNow,
			want: "insufficient devices for all containers together: container x asks 1 card beside the pod's other containers, the node has 1",
		},
		"containers that never fit together": {
			node: node(a100), pod: sharingtest.MakeRequest().App("x", 50000, 10).App("y", 50000, 10), code: fit.Never,
			want: "insufficient devices for all containers together: container x asks 1 card beside the pod's other containers, the node has 1",
		},
		"a sidecar runs beside the init containers after it": {
			node: node(a100), pod: sharingtest.MakeRequest().Ask("proxy", sidecar, 1, 30000, 10).Ask("fetch", initC, 1, 60000, 10), code: fit.Never,
			want: "insufficient devices for all containers together: container fetch asks 1 card beside the pod's other containers, the node has 1",
		},
		"a container that needs a card alone does not share it with its own pod": {
			node: node(a100), pod: sharingtest.MakeRequest().App("x", 100, 100).App("y", 100, 0), code: fit.Never,
			want: "insufficient devices for all containers together: container x asks 1 card beside the pod's other containers, the node has 1",
		},
		"no request": {node: node(a100), pod: sharingtest.MakeRequest(), code: fit.Never, want: "pod requests no devices"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := tc.node.Check(fit.Now, tc.pod.Obj())
			if diff := cmp.Diff(tc.want, v.String()); diff != "" {
				t.Errorf("verdict (-want,+got):\n%s", diff)
			}
			if v.Code != tc.code {
				t.Errorf("code is %q, want %q", v.Code, tc.code)
			}
			if choices, placeV := tc.node.Place(fit.Now, tc.pod.Obj(), score.Spread, nil); placeV.OK() || len(choices) > 0 {
				t.Errorf("place does what check refuses: %v", choices)
			}
		})
	}
}

func TestSidecarAfterAnInitContainerDoesNotRunBesideIt(t *testing.T) {
	n := node(card("a").Used(0, 0, 0))
	r := sharingtest.MakeRequest().Ask("fetch", initC, 1, 60000, 10).Ask("proxy", sidecar, 1, 30000, 10).App("main", 50000, 10).Obj()
	if v := n.Check(fit.Now, r); !v.OK() {
		t.Error(v)
	}
}

func TestWhatWaitsForCardsIsNotRobbed(t *testing.T) {
	// 60000 MiB are being released; 80000 wait for them, so the 21920 that are free now are spoken for.
	c := card("a").Used(60000, 0, 1)
	c.Future = device.Amount{Memory: 80000, Slots: 1}
	n := node(c)
	if n.Check(fit.Now, sharingtest.Slice(20000, 10)).OK() {
		t.Error("a slice was cut from what a waiting pod needs")
	}
	if v := n.Check(fit.Now, sharingtest.Slice(1000, 10)); !v.OK() {
		t.Errorf("a slice beside the waiting pod: %s", v)
	}
	c.Future = device.Amount{}
	n = node(c)
	if n.Check(fit.Now, sharingtest.Slice(30000, 10)).OK() || !n.Check(fit.Future, sharingtest.Slice(30000, 10)).OK() {
		t.Error("what is being released is free later, not now")
	}
}

func TestScorePrefersByPolicy(t *testing.T) {
	idle := node(card("a").Used(0, 0, 0), card("b").Index(1).Used(0, 0, 0))
	started := node(card("a").Used(40000, 50, 5), card("b").Index(1).Used(0, 0, 0))
	full := node(card("a").Used(81920, 100, 10))
	r := sharingtest.Slice(1000, 10)
	at := func(n *fit.Node, policy score.NodePolicy) int64 {
		s, _ := n.Score(fit.Now, r, policy)
		return s
	}
	if at(started, score.NodeSpread) >= at(idle, score.NodeSpread) {
		t.Error("spread prefers a started node")
	}
	if at(started, score.NodeBinpack) <= at(idle, score.NodeBinpack) || at(started, "") != at(started, score.NodeBinpack) {
		t.Error("binpack, the default, does not prefer a started node")
	}
	if _, ok := full.Score(fit.Now, r, ""); ok {
		t.Error("a full node has a score")
	}
}

func TestChecksAllocateNothing(t *testing.T) {
	n := node(card("a").Used(81920, 0, 1), card("b").Index(1).Used(40000, 20, 2), card("c").Index(2).Used(0, 0, 0))
	selector := request.Selector{UseTypes: []string{"a100"}, NoUseUUIDs: []string{"x"}, Mode: "hami-core"}
	tests := map[string]*request.Pod{
		"one container":          sharingtest.Slice(1000, 10),
		"a selector":             sharingtest.MakeRequest().App("main", 1000, 10).Select(selector).Obj(),
		"a refusal":              sharingtest.Slice(82000, 10),
		"several containers":     sharingtest.MakeRequest().Ask("i", initC, 2, 1000, 0).App("x", 1000, 10).App("y", 1000, 10).Obj(),
		"bound to one NUMA node": sharingtest.MakeRequest().Ask("x", appC, 2, 1000, 10).Select(request.Selector{NUMABind: true}).Obj(),
		"refused together":       sharingtest.MakeRequest().App("x", 60000, 10).App("y", 60000, 10).Obj(),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			if raceEnabled {
				t.Skip("the race detector drops pooled memory on purpose")
			}
			if got := testing.AllocsPerRun(100, func() { n.Check(fit.Now, r) }); got != 0 {
				t.Errorf("%v allocations per check", got)
			}
		})
	}
}
