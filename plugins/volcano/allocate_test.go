package volcano

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"volcano.sh/volcano/pkg/scheduler/actions/allocate"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/plugins/volcano/actions"
)

// TestStockAllocateWritesIntoTheInformersPodAndOursDoesNot runs a gang that does not fit, so nothing
// is bound: whatever changes in the informer's object, the scheduler wrote there.
func TestStockAllocateWritesIntoTheInformersPodAndOursDoesNot(t *testing.T) {
	tests := map[string]struct {
		action   func() framework.Action
		wantNode string
	}{
		"stock action": {
			action:   func() framework.Action { return allocate.New() },
			wantNode: "node1",
		},
		"ours": {
			action: func() framework.Action {
				a, _ := framework.GetAction("allocate")
				return a
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, append([]runtime.Object{node(t, "node1", 1)},
				gang("big", 2, asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "50000"})...)...)
			ssn, _ := c.open(configuration("allocate", ""), 2)
			tc.action().Execute(ssn)
			wrote := ""
			for _, o := range c.cache.SharedInformerFactory().Core().V1().Pods().Informer().GetStore().List() {
				if node := o.(*v1.Pod).Spec.NodeName; node != "" {
					wrote = node
				}
			}
			framework.CloseSession(ssn)
			if wrote != tc.wantNode {
				t.Errorf("informer's pod has node %q, want %q", wrote, tc.wantNode)
			}
		})
	}
}

func TestPodsAreSharedAgainAfterTheActionUnlessTheyAreBound(t *testing.T) {
	c := newCluster(t, append(append([]runtime.Object{node(t, "node1", 1)},
		gang("fits", 1, slice3000)...), gang("large", 1, asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "90000"})...)...)
	ssn, list := c.open(configuration("allocate", ""), 2)
	if _, ours := list[0].(*actions.Allocate); !ours {
		t.Fatalf("action allocate is a %T", list[0])
	}
	fits, large := task(t, ssn, "fits-0").Pod, task(t, ssn, "large-0").Pod
	list[0].Execute(ssn)
	if task(t, ssn, "large-0").Pod != large {
		t.Error("task that was not placed kept its private pod")
	}
	handed := task(t, ssn, "fits-0")
	if handed.Pod == fits {
		t.Error("task that was handed to the bind queue got the shared pod back")
	}
	if fits.Spec.NodeName != "" {
		t.Errorf("shared pod has node %q", fits.Spec.NodeName)
	}
	framework.CloseSession(ssn)
	c.until("the pod is bound", func() bool { return len(c.bound()) == 1 })
}

func TestNominatedNodeOfTheAPIIsKept(t *testing.T) {
	pod := makePod("big", "big-0", asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "90000"})
	pod.Status.NominatedNodeName = "node2"
	c := newCluster(t, node(t, "node1", 1), node(t, "node2", 1), podGroup("big", 1), pod)
	seen := ""
	ssn, _ := c.open(configuration("allocate", ""), 1)
	wrapped := actions.NewAllocate(actions.Hooks{Asks: c.adapter.asks, Explain: func(ssn *framework.Session) {
		seen = task(t, ssn, "big-0").Pod.Status.NominatedNodeName
	}})
	wrapped.Execute(ssn)
	framework.CloseSession(ssn)
	if seen != "node2" || c.pod("big-0").Status.NominatedNodeName != "node2" {
		t.Errorf("nominated node is %q during the action and %q after it, want node2", seen, c.pod("big-0").Status.NominatedNodeName)
	}
}
