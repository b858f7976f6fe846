package device_test

import (
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

func TestPairsAreOfTwoCards(t *testing.T) {
	p := device.MakePairs(5, func(i, k int) device.PairScore { return device.PairScore(10*i + k) })
	// The card at place i was at from[i]; the one at place 1 is new.
	from := []int{4, -1, 0, 2}
	moved := p.Reordered(len(from), func(i int) int { return from[i] })
	tests := map[string]struct{ got, want device.PairScore }{
		"two cards":                          {p.Score(1, 3), 13},
		"in the other order":                 {p.Score(3, 1), 13},
		"the last two":                       {p.Score(3, 4), 34},
		"a card and itself":                  {p.Score(2, 2), 0},
		"a card that is not there":           {p.Score(2, 5), 0},
		"a place below the first":            {p.Score(-1, 2), 0},
		"no pairs at all":                    {(*device.Pairs)(nil).Score(0, 1), 0},
		"cards that moved":                   {moved.Score(0, 3), 24},
		"cards that moved past each other":   {moved.Score(0, 2), 4},
		"a new card":                         {moved.Score(0, 1), 0},
		"no pairs, with cards in new places": {(*device.Pairs)(nil).Reordered(2, func(i int) int { return i }).Score(0, 1), 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("score is %d, want %d", tc.got, tc.want)
			}
		})
	}
}
