package fit_test

import (
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

func TestReplicasAreCounted(t *testing.T) {
	const quarter = sharingtest.CardMemory / 4
	card := func(quarters int) fit.Card {
		return sharingtest.MakeCard("card").Used(quarter.Mul(quarters), device.CorePercent(25*quarters), device.Shares(quarters))
	}
	sick := card(0)
	sick.Healthy = false
	two := sharingtest.MakeRequest().Ask("main", request.App, 2, quarter, 25)
	tests := map[string]struct {
		cards          []fit.Card
		request        *request.Pod
		limit          int
		want, wantIdle int
	}{
		"by memory and cores": {[]fit.Card{card(1), card(4)}, sharingtest.Slice(quarter, 25), 99, 3, 8},
		"up to the limit":     {[]fit.Card{card(1), card(4)}, sharingtest.Slice(quarter, 25), 2, 2, 2},
		"by shares":           {[]fit.Card{card(1)}, sharingtest.Slice(1, 1), 99, 9, 10},
		"one on each idle card that is wanted all": {[]fit.Card{card(1), card(0)}, sharingtest.Slice(1, 100), 99, 1, 2},
		"none on a sick card":                      {[]fit.Card{sick}, sharingtest.Slice(quarter, 25), 99, 0, 4},
		"none without a promise where cores are sold": {
			[]fit.Card{sharingtest.MakeCard("card").Used(0, 100, 1)}, sharingtest.Slice(1, 0), 99, 0, 10,
		},
		"pods of two cards pair them":              {[]fit.Card{card(1), card(3), card(3), card(3)}, two.Obj(), 99, 3, 8},
		"pods of two cards need two":               {[]fit.Card{card(0), card(4)}, two.Obj(), 99, 0, 4},
		"no card, no pod":                          {nil, two.Obj(), 99, 0, 0},
		"the container that fits least often wins": {[]fit.Card{card(0)}, sharingtest.MakeRequest().App("a", quarter, 0).App("b", 2*quarter, 0).Obj(), 99, 2, 2},
		"containers that never fit together": {
			[]fit.Card{card(0)}, sharingtest.MakeRequest().App("a", 3*quarter, 0).App("b", 2*quarter, 0).Obj(), 99, 0, 0,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			n := &fit.Node{Cards: tc.cards}
			if got := n.MaxReplicas(fit.Now, tc.request, tc.limit); got != tc.want {
				t.Errorf("now: got %d, want %d", got, tc.want)
			}
			if got := n.IdleReplicas(tc.request, tc.limit); got != tc.wantIdle {
				t.Errorf("idle: got %d, want %d", got, tc.wantIdle)
			}
		})
	}
}
