package packing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

func TestReplicasAreBoundByAllResources(t *testing.T) {
	some := packing.Resources{MilliCPU: 1000, Memory: 10, Pods: 1}
	tests := map[string]struct {
		free, capacity packing.Resources
		want, wantIdle int
	}{
		"cpu":                   {packing.Resources{MilliCPU: 3500, Memory: 100, Pods: 9}, packing.Resources{MilliCPU: 5000, Memory: 100, Pods: 9}, 3, 5},
		"memory":                {packing.Resources{MilliCPU: 9000, Memory: 25, Pods: 9}, packing.Resources{MilliCPU: 9000, Memory: 45, Pods: 9}, 2, 4},
		"pods":                  {packing.Resources{MilliCPU: 9000, Memory: 100, Pods: 1}, packing.Resources{MilliCPU: 9000, Memory: 100, Pods: 2}, 1, 2},
		"more used than is":     {packing.Resources{MilliCPU: -500, Memory: 100, Pods: 9}, packing.Resources{MilliCPU: 1000, Memory: 100, Pods: 9}, 0, 1},
		"an unknown capacity":   {packing.Resources{MilliCPU: 1000, Memory: 10, Pods: 1}, packing.Resources{}, 1, 20},
		"the limit of the call": {packing.Resources{MilliCPU: 99000, Memory: 990, Pods: 99}, packing.Resources{}, 20, 20},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := packing.New(packing.Options{})
			i := p.Set(packing.Node{Name: "n", Free: tc.free, Capacity: tc.capacity})
			s := p.Intern(packing.Shape{Resources: some})
			if got := p.MaxReplicas(i, s, 20); got != tc.want {
				t.Errorf("now: got %d, want %d", got, tc.want)
			}
			if got := p.IdleReplicas(i, s, 20); got != tc.wantIdle {
				t.Errorf("idle: got %d, want %d", got, tc.wantIdle)
			}
		})
	}
}

func TestIntersectKeepsWhatIsInBothSets(t *testing.T) {
	of := func(nodes ...int) *packing.Set {
		s := &packing.Set{}
		for _, n := range nodes {
			s.Add(n)
		}
		return s
	}
	tests := map[string]struct {
		a, b *packing.Set
		want []int
	}{
		"two sets":                 {of(1, 2, 70), of(2, 70, 200), []int{2, 70}},
		"nil is all, on the left":  {nil, of(3), []int{3}},
		"nil is all, on the right": {of(3), nil, []int{3}},
		"nothing in common":        {of(1), of(200), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []int
			packing.Intersect(tc.a, tc.b).Each(func(n int) bool { got = append(got, n); return true })
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("nodes (-want,+got):\n%s", diff)
			}
		})
	}
	if packing.Intersect(nil, nil) != nil {
		t.Error("all and all is not all")
	}
}
