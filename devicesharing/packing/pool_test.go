package packing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

// view returns a node with cards of full size of which the given memory is used.
func view(name string, cpu int64, used ...device.MiB) packing.Node {
	n := packing.Node{Name: name, Free: packing.Resources{MilliCPU: cpu, Memory: 1 << 40, Pods: 100}}
	for i, u := range used {
		slots := device.Shares(0)
		if u > 0 {
			slots = 1
		}
		n.Cards.Cards = append(n.Cards.Cards, sharingtest.MakeCard(string(rune('a'+i))).Index(i).Used(u, 0, slots))
	}
	return n
}

func slice(memory device.MiB, cpu int64) packing.Shape {
	return packing.Shape{
		Resources: packing.Resources{MilliCPU: cpu, Memory: 1 << 30, Pods: 1},
		Request:   sharingtest.Slice(memory, 0),
	}
}

func TestUndoGivesBackWhatPlaceTook(t *testing.T) {
	p := packing.New(packing.Options{})
	i := p.Set(view("n", 4000, 0, 40000))
	s := p.Intern(slice(30000, 1000))
	free, cards := p.Free(i), p.Cards(i)
	pl, ok := p.Place(i, s)
	if !ok || p.Free(i) == free {
		t.Fatalf("place: %v, free %+v", ok, p.Free(i))
	}
	p.Undo(pl)
	if diff := cmp.Diff(free, p.Free(i)); diff != "" {
		t.Errorf("free (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff(cards, p.Cards(i)); diff != "" {
		t.Errorf("cards (-want,+got):\n%s", diff)
	}
}

func TestVerdictNamesWhatDoesNotSuffice(t *testing.T) {
	p := packing.New(packing.Options{})
	i := p.Set(view("n", 4000, 0, 40000))
	tests := map[string]struct {
		shape packing.Shape
		want  packing.Scalar
		cards fit.Code
	}{
		"a pod that fits":                      {shape: slice(81920, 4000)},
		"a pod with too much CPU":              {shape: slice(1, 4001), want: packing.ScalarCPU},
		"a pod that finds no card":             {shape: slice(81921, 1), cards: fit.Never},
		"a pod without cards":                  {shape: packing.Shape{Resources: packing.Resources{MilliCPU: 1}}},
		"a pod without cards and too much CPU": {shape: packing.Shape{Resources: packing.Resources{MilliCPU: 5000}}, want: packing.ScalarCPU},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := p.Fits(i, p.Intern(tc.shape))
			if v.Scalar != tc.want || v.Cards.Code != tc.cards {
				t.Errorf("got %+v, want scalar %q, cards %q", v, tc.want, tc.cards)
			}
		})
	}
}
