package volcano_test

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/actions/allocate"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/plugins/volcano/actions"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
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
			c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(),
				vt.MakeGang("big", 2, vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "50000"}).Objects())...)
			ssn, _ := c.Open(vt.Configuration("allocate", ""))
			tc.action().Execute(ssn)
			wrote := ""
			for _, o := range c.Cache.SharedInformerFactory().Core().V1().Pods().Informer().GetStore().List() {
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
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(),
		vt.MakeGang("fits", 1, slice3000).Objects(), vt.MakeGang("large", 1, vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "90000"}).Objects())...)
	ssn, list := c.Open(vt.Configuration("allocate", ""))
	if _, ours := list[0].(*actions.Allocate); !ours {
		t.Fatalf("action allocate is a %T", list[0])
	}
	fits, large := c.Task(ssn, "fits-0").Pod, c.Task(ssn, "large-0").Pod
	list[0].Execute(ssn)
	if c.Task(ssn, "large-0").Pod != large {
		t.Error("task that was not placed kept its private pod")
	}
	handed := c.Task(ssn, "fits-0")
	if handed.Pod == fits {
		t.Error("task that was handed to the bind queue got the shared pod back")
	}
	if fits.Spec.NodeName != "" {
		t.Errorf("shared pod has node %q", fits.Spec.NodeName)
	}
	framework.CloseSession(ssn)
	c.Until("the pod is bound", func() bool { return len(c.Bound()) == 1 })
}

func TestNominatedNodeOfTheAPIIsKept(t *testing.T) {
	pod := vt.MakePod("big", "big-0", vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "90000"}).Obj()
	pod.Status.NominatedNodeName = "node2"
	c := vt.New(t, vt.MakeNode("node1").Cards(1).Obj(), vt.MakeNode("node2").Cards(1).Obj(), vt.MakePodGroup("big", 1).Obj(), pod)
	seen := ""
	ssn, _ := c.Open(vt.Configuration("allocate", ""))
	wrapped := actions.NewAllocate(actions.Hooks{
		Asks:  func(pod *v1.Pod) bool { return request.Asks(pod, c.Adapter.Requests()) },
		Begin: func(*framework.Session) {},
		End: func(ssn *framework.Session) {
			seen = c.Task(ssn, "big-0").Pod.Status.NominatedNodeName
		},
	})
	wrapped.Execute(ssn)
	framework.CloseSession(ssn)
	if seen != "node2" || c.Pod("big-0").Status.NominatedNodeName != "node2" {
		t.Errorf("nominated node is %q during the action and %q after it, want node2", seen, c.Pod("big-0").Status.NominatedNodeName)
	}
}
