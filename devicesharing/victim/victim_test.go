package victim_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
	"github.com/basalt-gpu/basalt/devicesharing/victim"
)

// part is what a pod has of a card.
func part(card int, memory device.MiB) victim.Part {
	return victim.Part{Card: card, Amount: device.Amount{Memory: memory, Cores: 10, Slots: 1}}
}

// loaded makes a node of cards with 80 GiB that carry the pods.
func loaded(cards int, pods [][]victim.Part) fit.Node {
	n := fit.Node{}
	for i := range cards {
		c := sharingtest.MakeCard(string(rune('a'+i))).Index(i).Used(0, 0, 0)
		n.Cards = append(n.Cards, c)
	}
	for _, parts := range pods {
		for _, p := range parts {
			c := &n.Cards[p.Card]
			c.Now, c.Future = c.Now.Add(p.Amount), c.Future.Add(p.Amount)
		}
	}
	return n
}

func ask(count int, memory device.MiB) *request.Pod {
	return sharingtest.MakeRequest().Ask("main", request.App, count, memory, 10).Obj()
}

func TestSeeds(t *testing.T) {
	tests := map[string]struct {
		cards   int
		pods    [][]victim.Part
		request *request.Pod
		want    [][]int
	}{
		"each card has its own pods": {
			cards: 2, pods: [][]victim.Part{{part(0, 60000)}, {part(1, 60000)}}, request: ask(1, 60000), want: [][]int{{0}, {1}, nil},
		},
		"pods that are not needed stay": {
			cards: 1, pods: [][]victim.Part{{part(0, 1000)}, {part(0, 60000)}}, request: ask(1, 60000), want: [][]int{{1}, nil},
		},
		"several cheap pods or one dear": {
			cards: 1, pods: [][]victim.Part{{part(0, 20000)}, {part(0, 20000)}, {part(0, 40000)}}, request: ask(1, 40000), want: [][]int{{0, 1}, {2}, nil},
		},
		"a card that stays too small has no set": {
			cards: 2, pods: [][]victim.Part{{part(0, 60000)}, {part(1, 60000)}}, request: ask(1, 90000), want: [][]int{nil},
		},
		"two cards are two sets": {
			cards: 3, pods: [][]victim.Part{{part(0, 60000)}, {part(1, 60000)}, {part(2, 60000)}}, request: ask(2, 60000), want: [][]int{{0, 1}, {0, 2}, nil},
		},
		"a pod on two cards frees both": {
			cards: 4, pods: [][]victim.Part{{part(0, 30000)}, {part(0, 30000)}, {part(1, 60000)}, {part(2, 60000), part(3, 60000)}}, request: ask(2, 60000),
			want: [][]int{{0, 1, 2}, {2, 3}, {3}, nil},
		},
		"a pod of several containers starts from nothing": {
			cards: 1, pods: [][]victim.Part{{part(0, 60000)}},
			request: sharingtest.MakeRequest().App("a", 40000, 10).App("b", 40000, 10).Obj(), want: [][]int{nil},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			trial := victim.New(loaded(tc.cards, tc.pods), tc.request, tc.pods)
			if diff := cmp.Diff(tc.want, trial.Seeds(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("seeds (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestRestoreUndoesRemove(t *testing.T) {
	pods := [][]victim.Part{{part(0, 60000)}, {part(0, 20000), part(1, 81920)}, nil}
	trial := victim.New(loaded(2, pods), ask(2, 70000), pods)
	if trial.Fits() {
		t.Fatal("fits on full cards")
	}
	for _, i := range []int{0, 1, 1, 2} {
		trial.Remove(i)
	}
	if !trial.Fits() {
		t.Error("does not fit on empty cards")
	}
	for _, i := range []int{2, 1, 0, 0} {
		trial.Restore(i)
	}
	if trial.Fits() {
		t.Error("fits after all pods are back")
	}
	if got := trial.Seeds(); !slices.ContainsFunc(got, func(s []int) bool { return slices.Equal(s, []int{0, 1}) }) {
		t.Errorf("seeds are %v", got)
	}
}
