package gang_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

func TestRejectSaysHowMuchIsMissing(t *testing.T) {
	sick := node("n1", 0)
	sick.Cards.Cards[0].Healthy = false
	tests := map[string]struct {
		nodes        []packing.Node
		minAvailable int
		roles        []role
		want         gang.Reject
		wantText     string
	}{
		"too few places now": {
			nodes: []packing.Node{node("n1", 2), node("n2", 3)}, minAvailable: 4,
			roles: []role{{count: 4, shape: shape(1, quarter)}},
			want:  gang.Reject{Code: fit.NotNow, Needed: 4, Fits: 3, Counted: true},
			wantText: "gang needs places for 4 members at once, 3 fit; for one more of role a: " +
				"2 nodes: closest is node n1: insufficient device memory: container main asks 20480 MiB per card, best card has 0 MiB free, 20480 MiB short",
		},
		"too few places on the idle cluster": {
			nodes: []packing.Node{node("n1", 2), node("n2", 3)}, minAvailable: 9,
			roles: []role{{count: 9, shape: shape(1, quarter)}},
			want:  gang.Reject{Code: fit.Never, Needed: 9, Fits: 3, Counted: true},
			wantText: "gang needs places for 9 members at once, 3 fit; for one more of role a: " +
				"2 nodes: closest is node n1: insufficient device memory: container main asks 20480 MiB per card, best card has 0 MiB free, 20480 MiB short",
		},
		"the only card is sick": {
			nodes: []packing.Node{sick}, minAvailable: 1,
			roles:    []role{{count: 1, shape: shape(1, quarter)}},
			want:     gang.Reject{Code: fit.NotNow, Needed: 1, Counted: true},
			wantText: "node n1: insufficient healthy devices: container main asks 1 card, 0 of the node's 1 can serve it, 1 short",
		},
		"no node has the cards": {
			nodes: []packing.Node{node("n1", 0, 0)}, minAvailable: 1,
			roles:    []role{{count: 1, shape: shape(3, whole)}},
			want:     gang.Reject{Code: fit.Never, Needed: 1, Counted: true},
			wantText: "node n1: insufficient devices: container main asks 3 cards, the node has 2, 1 short",
		},
		"members are not created yet": {
			nodes: []packing.Node{node("n1", 0)}, minAvailable: 3,
			roles:    []role{{count: 1, placed: 1, shape: shape(1, quarter)}},
			want:     gang.Reject{Code: fit.NotNow, Role: -1, Needed: 2, Fits: 1, Counted: true},
			wantText: "gang needs 2 pending members, 1 exist",
		},
		"each role fits alone, both do not": {
			nodes: []packing.Node{node("n1", 0)}, minAvailable: 2,
			roles: []role{{count: 1, shape: shape(1, quarter)}, {count: 1, shape: shape(1, whole)}},
			want:  gang.Reject{Code: fit.NotNow, Role: 0, Needed: 2, Fits: 1},
			wantText: "gang needs places for 2 members at once, 1 fit; for one more of role a: " +
				"node n1: insufficient device memory: container main asks 20480 MiB per card, best card has 0 MiB free, 20480 MiB short",
		},
		"what binds is CPU": {
			nodes: []packing.Node{{Name: "n1", Free: packing.Resources{MilliCPU: 1500, Memory: 8 << 30, Pods: 10},
				Capacity: plenty, Cards: node("n1", 0, 0).Cards}}, minAvailable: 2,
			roles: []role{{count: 2, shape: shape(1, quarter)}},
			want:  gang.Reject{Code: fit.NotNow, Needed: 2, Fits: 1, Counted: true},
			wantText: "gang needs places for 2 members at once, 1 fit; for one more of role a: " +
				"node n1: insufficient cpu, 500m short",
		},
		"the reasons on most nodes come first": {
			nodes: []packing.Node{node("n1", 4), node("n2", 3), node("n3", 0), node("n4")}, minAvailable: 1,
			roles: []role{{count: 1, shape: shape(1, 2*quarter), nodes: []string{"n1", "n2", "n4"}}},
			want:  gang.Reject{Code: fit.NotNow, Needed: 1, Counted: true},
			wantText: "2 nodes: closest is node n2: insufficient device memory: container main asks 40960 MiB per card, " +
				"best card has 20480 MiB free, 20480 MiB short; " +
				"1 node: node has no registered devices; 1 node: node is not open to the role",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := poolOf(packing.Binpack, tc.nodes...)
			r := gang.Plan(p, gangOf(p, tc.minAvailable, tc.roles...))
			if r.Reject == nil {
				t.Fatalf("placed: %v", placed(p, r))
			}
			if tc.want.Role >= 0 {
				tc.want.Shape = p.Intern(tc.roles[tc.want.Role].shape)
			}
			if diff := cmp.Diff(tc.want, *r.Reject); diff != "" {
				t.Errorf("reject (-want,+got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantText, gang.Explain(p, r, nil).String()); diff != "" {
				t.Errorf("explanation (-want,+got):\n%s", diff)
			}
		})
	}
}
