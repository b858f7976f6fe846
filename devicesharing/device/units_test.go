package device_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

func TestAmountsSaturateInsteadOfWrapping(t *testing.T) {
	tests := map[string]struct{ got, want uint64 }{
		"a sum above the largest MiB stops there":        {uint64(device.MiB(math.MaxUint64).Add(1)), math.MaxUint64},
		"a difference below zero is zero":                {uint64(device.MiB(1).Sub(2)), 0},
		"a product above the largest MiB stops there":    {uint64(device.MiB(1 << 63).Mul(2)), math.MaxUint64},
		"a product with a negative number is zero":       {uint64(device.MiB(7).Mul(-1)), 0},
		"cores saturate at 32 bits":                      {uint64(device.CorePercent(math.MaxUint32).Add(1)), math.MaxUint32},
		"a product of cores saturates at 32 bits":        {uint64(device.CorePercent(1 << 31).Mul(2)), math.MaxUint32},
		"shares saturate at 32 bits":                     {uint64(device.Shares(math.MaxUint32).Add(1)), math.MaxUint32},
		"shares do not go below zero":                    {uint64(device.Shares(1).Sub(2)), 0},
		"bytes saturate":                                 {device.MiB(1 << 60).Bytes(), math.MaxUint64},
		"a percentage of the largest MiB is exact":       {uint64(device.MiB(math.MaxUint64).Percent(50)), math.MaxUint64 / 2},
		"a percentage above the largest MiB stops there": {uint64(device.MiB(math.MaxUint64).Percent(200)), math.MaxUint64},
		"a percentage is rounded down":                   {uint64(device.MiB(99).Percent(50)), 49},
		"zero percent is zero":                           {uint64(device.MiB(99).Percent(0)), 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("got %d, want %d", tc.got, tc.want)
			}
		})
	}
}

func TestAmountsAreComparedPartByPart(t *testing.T) {
	small := device.Amount{Memory: 1, Cores: 2, Slots: 3}
	crossed := device.Amount{Memory: 2, Cores: 1, Slots: 3}
	if small.Within(crossed) || crossed.Within(small) || !small.Within(small) {
		t.Error("an amount is within another only if each part is")
	}
	room := device.Amount{Memory: 3, Cores: 3, Slots: 6}
	if !room.Holds(small, crossed) || room.Holds(room, small) || small.Holds(room, device.Amount{}) {
		t.Error("an amount holds what fits beside what is used, and nothing when more is used than it has")
	}
	want := device.Amount{Memory: 2, Cores: 2, Slots: 3}
	if diff := cmp.Diff(want, small.Max(crossed)); diff != "" {
		t.Errorf("max (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff(small, small.Add(crossed).Sub(crossed)); diff != "" {
		t.Errorf("what is added and taken back (-want,+got):\n%s", diff)
	}
}

func FuzzPercentEqualsBigArithmetic(f *testing.F) {
	f.Add(uint64(81920), 30)
	f.Add(uint64(math.MaxUint64), 100)
	f.Fuzz(func(t *testing.T, m uint64, p int) {
		want := new(big.Int).Mul(new(big.Int).SetUint64(m), big.NewInt(int64(max(p, 0))))
		want.Div(want, big.NewInt(100))
		if !want.IsUint64() {
			want.SetUint64(math.MaxUint64)
		}
		if got := device.MiB(m).Percent(p); uint64(got) != want.Uint64() {
			t.Errorf("%d percent of %d is %d, want %s", p, m, got, want)
		}
	})
}

func TestOnlyPublishedModesAreKnown(t *testing.T) {
	for _, m := range device.Modes() {
		if !m.Known() {
			t.Errorf("mode %q is not known", m)
		}
	}
	if device.Mode("").Known() || device.Mode("MIG").Known() {
		t.Error("an unpublished mode is known")
	}
}

func TestCloneSharesNoMemory(t *testing.T) {
	n := device.Node{Name: "n", Cards: []device.Card{{UUID: "a"}}}
	c := n.Clone()
	c.Cards[0].UUID = "b"
	if n.Cards[0].UUID != "a" {
		t.Error("a change of the clone reached the original")
	}
}
