package volcano

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/api/devices/ascend/hami"
	"volcano.sh/volcano/pkg/scheduler/api/devices/ascend/mindcluster/ascend310p/vnpu"
	"volcano.sh/volcano/pkg/scheduler/api/devices/nvidia/gpushare"
	"volcano.sh/volcano/pkg/scheduler/api/devices/nvidia/vgpu"
	vccache "volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

var slice3000 = asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3000", "nvidia.com/gpucores": "30"}

func with(lists ...[]runtime.Object) []runtime.Object {
	var out []runtime.Object
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func TestGangIsBoundWithItsAllocations(t *testing.T) {
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 8)}, gang("train", 4, slice3000))...)
	c.session(configuration("allocate", ""), 4)
	c.until("four pods are bound and confirmed", func() bool { return c.states()[ledger.Bound] == 4 })

	bindings := c.bound()
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
		if got := c.pod(name).Annotations["team-a/colour"]; got != "green" {
			t.Errorf("annotation of the user on %s is %q", name, got)
		}
	}
	for _, card := range c.adapter.ledger.Snapshot().Nodes[0].Cards {
		if card.Overcommitted {
			t.Errorf("card %s is over-committed", card.UUID)
		}
	}
}

func TestGangThatDoesNotFitLeavesNoTrace(t *testing.T) {
	tests := map[string]struct {
		members int
		asks    asked
		// wantAll are parts of every pod's reason.
		wantAll []string
	}{
		"memory is short for the ninth": {
			members: 9, asks: asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "80000"},
			wantAll: []string{"node1", "insufficient device memory", "80000", "short"},
		},
		"no card is large enough": {
			members: 1, asks: asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "90000"},
			wantAll: []string{"node1", "insufficient device memory", "90000", "8080"},
		},
		"more cards than a node has, fewer than its tokens": {
			members: 1, asks: asked{"nvidia.com/gpu": "9"}, wantAll: []string{"node1", "insufficient devices", "9"},
		},
		"more cards than tokens": {
			members: 1, asks: asked{"nvidia.com/gpu": "100"}, wantAll: []string{"node1", "insufficient devices", "100"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, with([]runtime.Object{node(t, "node1", 8)}, gang("big", tc.members, tc.asks))...)
			c.session(configuration("allocate", ""), tc.members)
			before := c.adapter.ledger.Snapshot()
			if len(before.Pods) != 0 {
				t.Errorf("ledger holds %v", before.Pods)
			}
			c.session(configuration("allocate", ""), tc.members)
			if diff := cmp.Diff(before, c.adapter.ledger.Snapshot()); diff != "" {
				t.Errorf("a session that places nothing changed the ledger (-before,+after):\n%s", diff)
			}
			if n := len(c.bound()); n != 0 {
				t.Errorf("%d bindings, want none", n)
			}
			var messages []string
			for _, o := range gang("big", tc.members, tc.asks)[1:] {
				pod := c.pod(o.(*v1.Pod).Name)
				messages = append(messages, scheduled(pod))
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
func place(t *testing.T, ssn *framework.Session, s *framework.Statement, name, node string) {
	t.Helper()
	private := task(t, ssn, name)
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
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1)}, gang("train", 2, slice3000))...)
	ssn, _ := c.open(configuration("allocate", ""), 2)
	defer framework.CloseSession(ssn)
	before := c.adapter.ledger.Snapshot()

	statement := framework.NewStatement(ssn)
	for _, name := range []string{"train-0", "train-1"} {
		place(t, ssn, statement, name, "node1")
	}
	held := c.adapter.ledger.Snapshot()
	if n := c.states()[ledger.Held]; n != 2 {
		t.Fatalf("%d slices held, want 2", n)
	}
	c.adapter.session.Load().allocated(&framework.Event{Task: task(t, ssn, "train-0")})
	if diff := cmp.Diff(held, c.adapter.ledger.Snapshot()); diff != "" {
		t.Errorf("a repeated event changed the ledger (-before,+after):\n%s", diff)
	}
	statement.Discard()
	if diff := cmp.Diff(before, c.adapter.ledger.Snapshot()); diff != "" {
		t.Errorf("discard left something (-before,+after):\n%s", diff)
	}
}

func TestHoldThatIsNotCommittedEndsWithTheSession(t *testing.T) {
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1)}, gang("train", 1, slice3000))...)
	ssn, _ := c.open(configuration("allocate", ""), 1)
	place(t, ssn, framework.NewStatement(ssn), "train-0", "node1")
	framework.CloseSession(ssn)
	if states := c.states(); len(states) != 0 {
		t.Errorf("ledger has %v after the session", states)
	}
}

func TestVictimThatIsLetOffKeepsItsSlice(t *testing.T) {
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1)}, gang("train", 1, slice3000))...)
	c.session(configuration("allocate", ""), 1)
	c.until("the pod is bound", func() bool { return c.states()[ledger.Bound] == 1 })
	c.until("Volcano sees it", func() bool {
		for _, job := range c.cache.Snapshot().Jobs {
			if len(job.TaskStatusIndex[api.Bound]) == 1 {
				return true
			}
		}
		return false
	})
	ssn, _ := c.open(configuration("allocate", ""), 1)
	defer framework.CloseSession(ssn)
	before := c.adapter.ledger.Snapshot()
	statement := framework.NewStatement(ssn)
	if err := statement.Evict(task(t, ssn, "train-0"), "test"); err != nil {
		t.Fatal(err)
	}
	evicting := c.adapter.ledger.Snapshot()
	if cmp.Equal(before, evicting) {
		t.Error("eviction did not reach the ledger")
	}
	if diff := cmp.Diff(before.Nodes[0].Cards[0].Used, evicting.Nodes[0].Cards[0].Used); diff != "" {
		t.Errorf("a victim's slice was freed before its containers were gone:\n%s", diff)
	}
	statement.Discard()
	if diff := cmp.Diff(before, c.adapter.ledger.Snapshot()); diff != "" {
		t.Errorf("victim that is let off has another slice (-before,+after):\n%s", diff)
	}
}

func TestSecondSessionSeesSlicesBeforeTheWatchDoes(t *testing.T) {
	// One card, two pods of which each needs more than half of it.
	half := asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "50000"}
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1)}, gang("first", 1, half), gang("second", 1, half))...)
	c.setQuiet()
	conf := configuration("allocate", "")
	c.session(conf, 2)
	c.until("one pod is bound in the API", func() bool { return len(c.bound()) == 1 })
	c.session(conf, 2)
	c.session(conf, 2)
	if n := len(c.bound()); n != 1 {
		t.Fatalf("%d pods were bound to one card that has room for one", n)
	}
	if diff := cmp.Diff(map[ledger.State]int{ledger.Assumed: 1}, c.states()); diff != "" {
		t.Errorf("states (-want,+got):\n%s", diff)
	}
	c.deliver()
	c.until("the watch confirms", func() bool { return c.states()[ledger.Bound] == 1 })
}

func TestInTreeDeviceSharingStaysOff(t *testing.T) {
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1)}, gang("train", 1, slice3000))...)
	c.session(configuration("allocate", "deviceshare.VGPUEnable: true, deviceshare.NodeLockEnable: true"), 1)
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
	if builder, ok := framework.GetPluginBuilder(PluginName); !ok {
		t.Error("no plugin under the in-tree name")
	} else if _, ours := builder(nil).(*plugin); !ours {
		t.Errorf("plugin under the in-tree name is a %T", builder(nil))
	}
}

func TestIgnoredNamesAreOnVolcanosListAndLeaveCountsAlone(t *testing.T) {
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1)}, gang("train", 1, slice3000))...)
	ssn, _ := c.open(configuration("allocate", ""), 1)
	defer framework.CloseSession(ssn)
	// The cache made its NodeInfos by now, which append to the list.
	list := map[string]bool{}
	for _, name := range api.IgnoredDevicesList.List() {
		list[name] = true
	}
	for _, name := range c.adapter.requests.options.IgnoredNames() {
		if !list[name] {
			t.Errorf("%s is not ignored", name)
		}
		for _, counted := range c.adapter.requests.options.CountNames() {
			if strings.Contains(string(counted), name) {
				t.Errorf("ignored name %s is part of counted name %s", name, counted)
			}
		}
	}
	scalars := task(t, ssn, "train-0").Resreq.ScalarResources
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
	c := newCluster(t, with([]runtime.Object{node(t, "node1", 1), node(t, "node2", 1)}, gang("train", 1, slice3000))...)
	broken := &failingPreBind{}
	broken.failures.Store(1)
	c.cache.RegisterBinder("broken", broken)
	conf := configuration("allocate", "")
	c.session(conf, 1)
	c.until("Volcano has taken the commit back", func() bool {
		for _, job := range c.cache.Snapshot().Jobs {
			if len(job.TaskStatusIndex[api.Pending]) == 1 && broken.failures.Load() < 1 {
				return true
			}
		}
		return false
	})
	ssn, list := c.open(conf, 1)
	if states := c.states(); len(states) != 0 {
		t.Errorf("the next session starts with %v", states)
	}
	list[0].Execute(ssn)
	framework.CloseSession(ssn)
	c.until("the pod is bound at last", func() bool { return c.states()[ledger.Bound] == 1 })
}

func TestPodWaitsForATerminatingOneWithoutTakingItsCards(t *testing.T) {
	// One card with one token, which a terminating pod has until its container is gone.
	small := node(t, "node1", 1)
	for _, list := range []v1.ResourceList{small.Status.Allocatable, small.Status.Capacity} {
		list["nvidia.com/gpu"] = resource.MustParse("1")
	}
	leaving := makePod("old", "old-0", slice3000)
	leaving.Spec.NodeName, leaving.Status.Phase = "node1", v1.PodRunning
	leaving.DeletionTimestamp, leaving.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{"test/keep"}
	text, err := wire.EncodeAllocation(wire.Allocation{Version: wire.AllocationVersion, Node: "node1",
		Containers: map[string][]wire.Slice{"main": {{UUID: "GPU-node1-0", Memory: 81920, Cores: 30}}}})
	if err != nil {
		t.Fatal(err)
	}
	leaving.Annotations[wire.AllocationKey] = text
	c := newCluster(t, with([]runtime.Object{small, podGroup("old", 1), leaving}, gang("new", 1, slice3000))...)
	ssn, list := c.open(configuration("allocate", ""), 2)
	list[0].Execute(ssn)
	if got := task(t, ssn, "new-0").Status; got != api.Pipelined {
		t.Errorf("task is %v, want pipelined", got)
	}
	if diff := cmp.Diff(map[ledger.State]int{ledger.Releasing: 1, ledger.Held: 1}, c.states()); diff != "" {
		t.Errorf("states during the session (-want,+got):\n%s", diff)
	}
	framework.CloseSession(ssn)
	if diff := cmp.Diff(map[ledger.State]int{ledger.Releasing: 1}, c.states()); diff != "" {
		t.Errorf("states after the session (-want,+got):\n%s", diff)
	}
	if n := len(c.bound()); n != 0 {
		t.Errorf("%d bindings, want none", n)
	}
	gone := leaving.DeepCopy()
	gone.Status.Phase = v1.PodSucceeded
	if err := c.client.Tracker().Update(v1.SchemeGroupVersion.WithResource("pods"), gone, testNamespace); err != nil {
		t.Fatal(err)
	}
	c.until("the slice is free", func() bool { return len(c.states()) == 0 })
	c.session(configuration("allocate", ""), 2)
	c.until("the waiting pod is bound", func() bool { return c.states()[ledger.Bound] == 1 })
}
