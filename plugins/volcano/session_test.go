package volcano_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/api/devices/ascend/hami"
	"volcano.sh/volcano/pkg/scheduler/api/devices/ascend/mindcluster/ascend310p/vnpu"
	"volcano.sh/volcano/pkg/scheduler/api/devices/nvidia/gpushare"
	"volcano.sh/volcano/pkg/scheduler/api/devices/nvidia/vgpu"
	vccache "volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/plugins/volcano"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

var slice3000 = vt.Slice(3000, 30)

func TestGangIsBoundWithItsAllocations(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(8).Obj(), vt.MakeGang("train", 4, slice3000).Objects())...)
	c.Session(vt.Configuration("allocate", ""))
	c.Until("four pods are bound and confirmed", func() bool { return c.States()[ledger.Bound] == 4 })

	bindings := c.Bound()
	if len(bindings) != 4 {
		t.Fatalf("%d bindings, want 4", len(bindings))
	}
	for name, b := range bindings {
		if len(b.Annotations) != 1 {
			t.Errorf("binding of %s carries %v, want only %s", name, b.Annotations, wire.AllocationKey)
		}
		allocation, err := wire.DecodeAllocation(b.Annotations[wire.AllocationKey])
		if err != nil {
			t.Fatal(err)
		}
		slices := allocation.Containers["main"]
		if allocation.Node != "node1" || len(slices) != 1 || slices[0].Memory != 3000 || slices[0].Cores != 30 {
			t.Errorf("allocation of %s is %+v", name, allocation)
		}
		if got := c.Pod(name).Annotations["team-a/colour"]; got != "green" {
			t.Errorf("annotation of the user on %s is %q", name, got)
		}
	}
	for _, card := range c.Adapter.Ledger().Snapshot().Nodes[0].Cards {
		if card.Overcommitted {
			t.Errorf("card %s is over-committed", card.UUID)
		}
	}
}

func TestGangThatDoesNotFitLeavesNoTrace(t *testing.T) {
	tests := map[string]struct {
		members int
		asks    vt.Asks
		// wantAll are parts of every pod's reason.
		wantAll []string
	}{
		"memory is short for the ninth": {
			members: 9, asks: vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "80000"},
			wantAll: []string{"node1", "insufficient device memory", "80000", "short"},
		},
		"no card is large enough": {
			members: 1, asks: vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "90000"},
			wantAll: []string{"node1", "insufficient device memory", "90000", "8080"},
		},
		"more cards than a node has, fewer than its tokens": {
			members: 1, asks: vt.Asks{"nvidia.com/gpu": "9"}, wantAll: []string{"node1", "insufficient devices", "9"},
		},
		"more cards than tokens": {
			members: 1, asks: vt.Asks{"nvidia.com/gpu": "100"}, wantAll: []string{"node1", "insufficient devices", "100"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(8).Obj(), vt.MakeGang("big", tc.members, tc.asks).Objects())...)
			c.Session(vt.Configuration("allocate", ""))
			before := c.Adapter.Ledger().Snapshot()
			if len(before.Pods) != 0 {
				t.Errorf("ledger holds %v", before.Pods)
			}
			c.Session(vt.Configuration("allocate", ""))
			if diff := cmp.Diff(before, c.Adapter.Ledger().Snapshot()); diff != "" {
				t.Errorf("a session that places nothing changed the ledger (-before,+after):\n%s", diff)
			}
			if n := len(c.Bound()); n != 0 {
				t.Errorf("%d bindings, want none", n)
			}
			var messages []string
			for _, o := range vt.MakeGang("big", tc.members, tc.asks).Objects()[1:] {
				pod := c.Pod(o.(*v1.Pod).Name)
				messages = append(messages, c.Reason(pod.Name))
				if pod.Spec.NodeName != "" || pod.Annotations[wire.AllocationKey] != "" {
					t.Errorf("pod %s has node %q and allocation %q", pod.Name, pod.Spec.NodeName, pod.Annotations[wire.AllocationKey])
				}
			}
			for _, message := range messages {
				if !someHasAll([]string{message}, tc.wantAll) {
					t.Errorf("want %q in every pod's reason, one says:\n%s", tc.wantAll, message)
				}
			}
		})
	}
}

func someHasAll(messages, parts []string) bool {
	for _, m := range messages {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(m, p)
		}
		if all {
			return true
		}
	}
	return false
}

// place does what the allocate action does with one task, private pod included.
func place(t *testing.T, c *vt.Cluster, ssn *framework.Session, s *framework.Statement, name, node string) {
	t.Helper()
	private := c.Task(ssn, name)
	private.Pod = private.Pod.DeepCopy()
	if err := ssn.PrePredicateFn(private); err != nil {
		t.Fatal(err)
	}
	if err := ssn.PredicateFn(private, ssn.Nodes[node]); err != nil {
		t.Fatal(err)
	}
	if err := s.Allocate(private, ssn.Nodes[node]); err != nil {
		t.Fatal(err)
	}
}

func TestDiscardReleasesAndRepeatedEventsCountOnce(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("train", 2, slice3000).Objects())...)
	ssn, _ := c.Open(vt.Configuration("allocate", ""))
	defer framework.CloseSession(ssn)
	before := c.Adapter.Ledger().Snapshot()

	statement := framework.NewStatement(ssn)
	for _, name := range []string{"train-0", "train-1"} {
		place(t, c, ssn, statement, name, "node1")
	}
	held := c.Adapter.Ledger().Snapshot()
	if n := c.States()[ledger.Held]; n != 2 {
		t.Fatalf("%d slices held, want 2", n)
	}
	c.Adapter.Allocated(&framework.Event{Task: c.Task(ssn, "train-0")})
	if diff := cmp.Diff(held, c.Adapter.Ledger().Snapshot()); diff != "" {
		t.Errorf("a repeated event changed the ledger (-before,+after):\n%s", diff)
	}
	statement.Discard()
	if diff := cmp.Diff(before, c.Adapter.Ledger().Snapshot()); diff != "" {
		t.Errorf("discard left something (-before,+after):\n%s", diff)
	}
}

func TestHoldThatIsNotCommittedEndsWithTheSession(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("train", 1, slice3000).Objects())...)
	ssn, _ := c.Open(vt.Configuration("allocate", ""))
	place(t, c, ssn, framework.NewStatement(ssn), "train-0", "node1")
	framework.CloseSession(ssn)
	if states := c.States(); len(states) != 0 {
		t.Errorf("ledger has %v after the session", states)
	}
}

func TestVictimThatIsLetOffKeepsItsSlice(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("train", 1, slice3000).Objects())...)
	c.Session(vt.Configuration("allocate", ""))
	c.Until("the pod is bound", func() bool { return c.States()[ledger.Bound] == 1 })
	ssn, _ := c.Open(vt.Configuration("allocate", ""))
	defer framework.CloseSession(ssn)
	before := c.Adapter.Ledger().Snapshot()
	statement := framework.NewStatement(ssn)
	if err := statement.Evict(c.Task(ssn, "train-0"), "test"); err != nil {
		t.Fatal(err)
	}
	evicting := c.Adapter.Ledger().Snapshot()
	if cmp.Equal(before, evicting) {
		t.Error("eviction did not reach the ledger")
	}
	if diff := cmp.Diff(before.Nodes[0].Cards[0].Used, evicting.Nodes[0].Cards[0].Used); diff != "" {
		t.Errorf("a victim's slice was freed before its containers were gone:\n%s", diff)
	}
	statement.Discard()
	if diff := cmp.Diff(before, c.Adapter.Ledger().Snapshot()); diff != "" {
		t.Errorf("victim that is let off has another slice (-before,+after):\n%s", diff)
	}
}

func TestSecondSessionSeesSlicesBeforeTheWatchDoes(t *testing.T) {
	// One card, two pods of which each needs more than half of it.
	half := vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "50000"}
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("first", 1, half).Objects(), vt.MakeGang("second", 1, half).Objects())...)
	c.HoldBound()
	conf := vt.Configuration("allocate", "")
	c.Session(conf)
	c.Until("one pod is bound in the API", func() bool { return len(c.Bound()) == 1 })
	c.Session(conf)
	c.Session(conf)
	if n := len(c.Bound()); n != 1 {
		t.Fatalf("%d pods were bound to one card that has room for one", n)
	}
	if diff := cmp.Diff(map[ledger.State]int{ledger.Assumed: 1}, c.States()); diff != "" {
		t.Errorf("states (-want,+got):\n%s", diff)
	}
	c.Deliver()
	c.Until("the watch confirms", func() bool { return c.States()[ledger.Bound] == 1 })
}

func TestInTreeDeviceSharingStaysOff(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("train", 1, slice3000).Objects())...)
	c.Session(vt.Configuration("allocate", "deviceshare.VGPUEnable: true, deviceshare.NodeLockEnable: true"))
	for name, on := range map[string]bool{
		"vgpu.VGPUEnable": vgpu.VGPUEnable, "vgpu.NodeLockEnable": vgpu.NodeLockEnable,
		"gpushare.GpuSharingEnable": gpushare.GpuSharingEnable, "gpushare.GpuNumberEnable": gpushare.GpuNumberEnable,
		"vnpu.AscendMindClusterVNPUEnable": vnpu.AscendMindClusterVNPUEnable, "hami.AscendHAMiVNPUEnable": hami.AscendHAMiVNPUEnable,
	} {
		if on {
			t.Errorf("in-tree global %s is on", name)
		}
	}
	if len(api.RegisteredDevices) != 0 {
		t.Errorf("in-tree devices are registered: %v", api.RegisteredDevices)
	}
	if builder, ok := framework.GetPluginBuilder(volcano.PluginName); !ok {
		t.Error("no plugin under the in-tree name")
	} else if _, ours := builder(nil).(framework.BindContextHandler); !ours {
		t.Errorf("plugin under the in-tree name is a %T", builder(nil))
	}
}

func TestIgnoredNamesAreOnVolcanosListAndLeaveCountsAlone(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("train", 1, slice3000).Objects())...)
	ssn, _ := c.Open(vt.Configuration("allocate", ""))
	defer framework.CloseSession(ssn)
	// The cache made its NodeInfos by now, which append to the list.
	list := map[string]bool{}
	for _, name := range api.IgnoredDevicesList.List() {
		list[name] = true
	}
	for _, name := range c.Adapter.Requests().IgnoredNames() {
		if !list[name] {
			t.Errorf("%s is not ignored", name)
		}
		for _, counted := range c.Adapter.Requests().CountNames() {
			if strings.Contains(string(counted), name) {
				t.Errorf("ignored name %s is part of counted name %s", name, counted)
			}
		}
	}
	scalars := c.Task(ssn, "train-0").Resreq.ScalarResources
	if diff := cmp.Diff(map[v1.ResourceName]float64{"nvidia.com/gpu": 1000, v1.ResourcePods: 1}, scalars); diff != "" {
		t.Errorf("Volcano's scalars (-want,+got):\n%s", diff)
	}
}

// failingPreBind stands for a plugin whose preparation of a binding fails once, as volumes do.
type failingPreBind struct{ failures atomic.Int32 }

func (f *failingPreBind) PreBind(context.Context, *vccache.BindContext) error {
	if f.failures.Add(-1) >= 0 {
		return errors.New("volume is not there")
	}
	return nil
}

func (*failingPreBind) PreBindRollBack(context.Context, *vccache.BindContext) {}

func TestCommitThatNeverReachesTheBinderGivesItsSliceBack(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeNode("node2").Cards(1).Obj(), vt.MakeGang("train", 1, slice3000).Objects())...)
	broken := &failingPreBind{}
	broken.failures.Store(1)
	c.Cache.RegisterBinder("broken", broken)
	conf := vt.Configuration("allocate", "")
	c.Session(conf)
	c.Until("Volcano has taken the commit back", func() bool {
		for _, job := range c.Cache.Snapshot().Jobs {
			if len(job.TaskStatusIndex[api.Pending]) == 1 && broken.failures.Load() < 1 {
				return true
			}
		}
		return false
	})
	ssn, list := c.Open(conf)
	if states := c.States(); len(states) != 0 {
		t.Errorf("the next session starts with %v", states)
	}
	list[0].Execute(ssn)
	framework.CloseSession(ssn)
	c.Until("the pod is bound at last", func() bool { return c.States()[ledger.Bound] == 1 })
}

func TestPodWaitsForATerminatingOneWithoutTakingItsCards(t *testing.T) {
	// One card with one token, which a terminating pod has until its container is gone.
	small := vt.MakeNode("node1").Cards(1).Allocatable(vt.ResourceGPU, "1").Obj()
	leaving := vt.MakePod("old", "old-0", slice3000).
		Bound("node1", wire.Slice{UUID: "GPU-node1-0", Memory: 81920, Cores: 30}).Terminating(metav1.Unix(1, 0)).Obj()
	c := vt.New(t, vt.Objects(small, vt.MakePodGroup("old", 1).Obj(), leaving, vt.MakeGang("new", 1, slice3000).Objects())...)
	ssn, list := c.Open(vt.Configuration("allocate", ""))
	list[0].Execute(ssn)
	if got := c.Task(ssn, "new-0").Status; got != api.Pipelined {
		t.Errorf("task is %v, want pipelined", got)
	}
	if diff := cmp.Diff(map[ledger.State]int{ledger.Releasing: 1, ledger.Held: 1}, c.States()); diff != "" {
		t.Errorf("states during the session (-want,+got):\n%s", diff)
	}
	framework.CloseSession(ssn)
	if diff := cmp.Diff(map[ledger.State]int{ledger.Releasing: 1}, c.States()); diff != "" {
		t.Errorf("states after the session (-want,+got):\n%s", diff)
	}
	if n := len(c.Bound()); n != 0 {
		t.Errorf("%d bindings, want none", n)
	}
	c.ChangePod("old-0", func(p *v1.Pod) { p.Status.Phase = v1.PodSucceeded })
	c.Until("the slice is free", func() bool { return len(c.States()) == 0 })
	c.Session(vt.Configuration("allocate", ""))
	c.Until("the waiting pod is bound", func() bool { return c.States()[ledger.Bound] == 1 })
}
