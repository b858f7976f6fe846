package score_test

import (
	"math"
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

var whole = device.Amount{Memory: 80000, Cores: 100, Slots: 10}

func TestUseIsTheMeanOfTheParts(t *testing.T) {
	tests := map[string]struct {
		used, capacity device.Amount
		want           int64
	}{
		"an idle card is not used":                    {capacity: whole, want: 0},
		"a full card is fully used":                   {used: whole, capacity: whole, want: score.Full},
		"an over-committed card is fully used":        {used: whole.Add(whole), capacity: whole, want: score.Full},
		"each part counts a third":                    {used: device.Amount{Memory: 40000}, capacity: whole, want: 166},
		"parts that the card does not have are left":  {used: device.Amount{Memory: 1}, capacity: device.Amount{Memory: 2}, want: 500},
		"a card without capacity is not used":         {used: whole, want: 0},
		"the largest numbers do not overflow":         {used: device.Amount{Memory: math.MaxUint64 / 2}, capacity: device.Amount{Memory: math.MaxUint64}, want: 500},
		"a large use of a small card is a full card":  {used: device.Amount{Memory: math.MaxUint64}, capacity: device.Amount{Memory: 1}, want: score.Full},
		"a small use of a large card is barely a use": {used: device.Amount{Memory: 1}, capacity: device.Amount{Memory: math.MaxUint64}, want: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := score.Use(tc.used, tc.capacity); got != tc.want {
				t.Errorf("use is %d, want %d", got, tc.want)
			}
			alike := score.Weights{Slot: 7, Core: 7, Memory: 7}
			if got := alike.Use(tc.used, tc.capacity); got != tc.want {
				t.Errorf("use with equal weights is %d, want %d", got, tc.want)
			}
		})
	}
}

// full is the mean use of full cards.
const full = score.Full * score.Grain

func TestPolicies(t *testing.T) {
	node := func(chosen, all int64, p score.NodePolicy) int64 {
		return score.Node(score.Fit{Chosen: chosen, All: all}, p)
	}
	linked := func(links int64, all int64) int64 {
		return score.Node(score.Fit{Chosen: all, All: all, Links: links, LinksCount: true}, score.NodeDefault)
	}
	tests := map[string]struct {
		better, worse int64
	}{
		"spread likes an idle node":                         {node(0, 0, score.NodeSpread), node(1, 1, score.NodeSpread)},
		"binpack likes a full node":                         {node(full, full, score.NodeBinpack), node(full-1, full, score.NodeBinpack)},
		"nodes are packed by default":                       {node(full, 0, score.NodeDefault), node(full-1, 0, score.NodeDefault)},
		"of nodes liked alike binpack takes the fuller":     {node(0, full/2, score.NodeBinpack), node(full/2, 0, score.NodeBinpack)},
		"of nodes liked alike spread takes the fuller":      {node(0, full/2, score.NodeSpread), node(full/2, 0, score.NodeSpread)},
		"links weigh more than use":                         {linked(900, 0), linked(300, full)},
		"of nodes linked alike the fuller is better":        {linked(500, full), linked(500, 0)},
		"binpack likes used cards":                          {score.Binpack.Card(700, 0), score.Binpack.Card(699, 0)},
		"spread likes idle cards":                           {score.Spread.Card(699, 0), score.Spread.Card(700, 0)},
		"cards are spread by default":                       {score.CardDefault.Card(699, 0), score.CardDefault.Card(700, 0)},
		"a chain of conditions spreads":                     {(score.Mutex | score.Topology).Card(699, 0), score.Mutex.Card(700, 0)},
		"numa likes the first NUMA node":                    {score.NUMA.Card(0, 0), score.NUMA.Card(0, 1)},
		"the first key of a chain decides":                  {chain("binpack,numa").Card(700, 1), chain("binpack,numa").Card(699, 0)},
		"the next key decides between cards that are alike": {chain("binpack,numa").Card(700, 0), chain("binpack,numa").Card(700, 1)},
		"the order of the chain is that of the keys":        {chain("numa,binpack").Card(0, 0), chain("numa,binpack").Card(1000, 1)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.better <= tc.worse {
				t.Errorf("scores %d, not above %d", tc.better, tc.worse)
			}
		})
	}
}

func TestNodeScoresStayInTheirScale(t *testing.T) {
	for _, p := range append(score.NodePolicies(), score.NodeDefault) {
		for _, use := range []int64{-5, 0, full, 5 * full} {
			for _, counts := range []bool{false, true} {
				s := score.Node(score.Fit{Chosen: use, All: use, Links: use, LinksCount: counts}, p)
				if s < 0 || s >= score.Max {
					t.Errorf("policy %q: the score for a use of %d is %d, outside of 0 to %d", p, use, s, score.Max)
				}
			}
		}
	}
}
