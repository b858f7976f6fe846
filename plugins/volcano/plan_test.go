package volcano_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"

	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// nodesOf counts the bound pods by node.
func nodesOf(c *vt.Cluster) map[string]int {
	count := map[string]int{}
	for _, node := range c.Placements() {
		count[node]++
	}
	return count
}

func TestGangsArePlanned(t *testing.T) {
	port := func(_ int, p *vt.PodBuilder) {
		p.Spec(func(s *v1.PodSpec) {
			s.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: 80, HostPort: 8080}}
		})
	}
	tests := map[string]struct {
		arguments string
		gang      *vt.GangBuilder
		want      map[string]int
	}{
		"on as few nodes as hold the gang, whatever the order of nodes": {
			gang: vt.MakeGang("train", 8, vt.Slice(20000, 25)), want: map[string]int{"node1": 8},
		},
		"around nodes that refuse the next of two members": {
			gang: vt.MakeGang("train", 3, vt.Slice(20000, 25)).Each(port), want: map[string]int{"node1": 1, "node2": 1, "node3": 1},
		},
		"away from each other where the policy says so": {
			arguments: "deviceshare.SchedulePolicy: spread",
			gang:      vt.MakeGang("train", 3, vt.Slice(20000, 25)), want: map[string]int{"node1": 1, "node2": 1, "node3": 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var nodes []any
			for _, i := range []int{3, 1, 2} {
				nodes = append(nodes, vt.MakeNode(fmt.Sprintf("node%d", i)).Cards(2).Obj())
			}
			c := vt.New(t, vt.Objects(append(nodes, tc.gang.Objects())...)...)
			c.Session(vt.Configuration("allocate", tc.arguments))
			c.Settle()
			if diff := cmp.Diff(tc.want, nodesOf(c)); diff != "" {
				t.Errorf("bound pods by node (-want,+got):\n%s", diff)
			}
			for _, pod := range slices.Sorted(maps.Keys(c.Bound())) {
				if n := c.Pod(pod).Status.NominatedNodeName; n != "" {
					t.Errorf("pod %s keeps the nominated node %s", pod, n)
				}
			}
		})
	}
}

func TestGangThatIsNotPlannedIsPlacedByScores(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(2).Obj(), vt.MakeNode("node2").Cards(2).Obj(),
		vt.MakeGang("train", 2, vt.Slice(60000, 25)).Objects())...)
	c.Session(vt.Configuration("allocate", "deviceshare.GangPlan: 'off', deviceshare.SchedulePolicy: binpack"))
	c.Settle()
	if got := len(c.Bound()); got != 2 {
		t.Errorf("%d pods are bound, want 2", got)
	}
}

func TestRejectedGangSaysWhichNodesAreClosed(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeNode("node2").Cards(1).Taint("team", "other").Obj(),
		vt.MakeNode("node3").Cards(1).Cordoned().Obj(), vt.MakeGang("train", 3, vt.Slice(60000, 25)).Objects())...)
	c.Session(vt.Configuration("allocate", ""))
	c.Settle()
	for i := range 3 {
		reason := c.Reason(fmt.Sprintf("train-%d", i))
		for _, part := range []string{"needs places for 3 members at once, 1 fit", "untolerated taint", "unschedulable",
			"node1: insufficient device memory", "asks 60000 MiB", "38080 MiB short"} {
			if !someHasAll([]string{reason}, []string{part}) {
				t.Errorf("train-%d says %q, want %q in it", i, reason, part)
			}
		}
	}
	if len(c.Adapter.Ledger().Snapshot().Pods) != 0 {
		t.Error("a gang that does not fit left something in the ledger")
	}
}
