package packing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

// randomNode has four cards, each with up to all of its memory in use.
func randomNode(r *rand.Rand, i int) packing.Node {
	used := make([]device.MiB, 4)
	for k := range used {
		used[k] = device.MiB(r.IntN(5)) * sharingtest.CardMemory / 4
	}
	return view(fmt.Sprintf("n%03d", i), 1000*int64(r.IntN(64)), used...)
}

func TestBestOfASetIsTheBestOfItsNodesAlone(t *testing.T) {
	s := slice(sharingtest.CardMemory/4, 4000)
	for _, policy := range []packing.Policy{packing.Fragmentation, packing.Binpack, packing.Spread} {
		for _, share := range []float64{0.01, 0.05, 0.5, 1} { // small sets are searched in another way than large ones
			for seed := range uint64(20) {
				r := rand.New(rand.NewPCG(seed, 1))
				all := packing.New(packing.Options{Policy: policy})
				alone := packing.New(packing.Options{Policy: policy})
				set := &packing.Set{}
				for i := range 300 {
					n := randomNode(r, i)
					at := all.Set(n)
					if r.Float64() < share {
						set.Add(at)
						alone.Set(n)
					}
				}
				got, found := all.Best(all.Intern(s), set)
				want, exists := alone.Best(alone.Intern(s), nil)
				switch {
				case found != exists:
					t.Errorf("%s, %d of 300 nodes, seed %d: found %t, want %t", policy, set.Len(), seed, found, exists)
				case found && all.Name(got) != alone.Name(want):
					t.Errorf("%s, %d of 300 nodes, seed %d: got %s, want %s", policy, set.Len(), seed, all.Name(got), alone.Name(want))
				}
			}
		}
	}
}

func TestJoinOpensNoCard(t *testing.T) {
	quarter := sharingtest.CardMemory / 4
	tests := map[string]struct {
		used []device.MiB
		want int // pods that join
	}{
		"a card in use is filled":  {used: []device.MiB{2 * quarter, 0}, want: 2},
		"an idle card stays idle":  {used: []device.MiB{0, 0}},
		"a full card is no place":  {used: []device.MiB{4 * quarter}},
		"all cards in use count":   {used: []device.MiB{3 * quarter, 2 * quarter, 0}, want: 3},
		"a node without cards not": {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := packing.New(packing.Options{Policy: packing.Binpack})
			i := p.Set(view("n", 64000, tc.used...))
			s := p.Intern(slice(quarter, 1))
			joined := 0
			for {
				if _, ok := p.Join(i, s); !ok {
					break
				}
				joined++
			}
			if joined != tc.want {
				t.Errorf("%d pods joined, want %d", joined, tc.want)
			}
		})
	}
}
