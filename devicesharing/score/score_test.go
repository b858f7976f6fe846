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
		})
	}
}

func TestPolicies(t *testing.T) {
	tests := map[string]struct {
		got, want int64
	}{
		"spread likes an idle node best":         {score.Node(0, 0, score.Spread), score.Max},
		"spread likes a full node least":         {score.Node(score.Full, score.Full, score.Spread), 0},
		"binpack likes a full node best":         {score.Node(score.Full, score.Full, score.Binpack), score.Max},
		"binpack likes an idle node least":       {score.Node(0, 0, score.Binpack), 0},
		"nodes are packed by default":            {score.Node(score.Full, 0, ""), score.Max / 2},
		"numbers out of range stay in the scale": {score.Node(5*score.Full, 0, ""), score.Max},
		"binpack likes used cards":               {score.Card(700, score.Binpack), 700},
		"spread likes idle cards":                {score.Card(700, score.Spread), score.Full - 700},
		"cards are spread by default":            {score.Card(700, ""), score.Full - 700},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("score is %d, want %d", tc.got, tc.want)
			}
		})
	}
}
