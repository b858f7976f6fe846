package volcano_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	"volcano.sh/volcano/pkg/scheduler/actions/preempt"
	"volcano.sh/volcano/pkg/scheduler/actions/reclaim"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

const breakable = "name: gang\n    enablePreemptable: false\n    enableReclaimable: false"

// evicting is a configuration in which gangs may be broken.
func evicting(actions string) string {
	return volcanotest.ConfigurationOf(actions,
		[]string{"name: priority", breakable, "name: conformance"}, []string{"name: predicates", "name: deviceshare"})
}

// sparing is one in which only what gangs can spare is evicted.
func sparing(actions string) string {
	return volcanotest.ConfigurationOf(actions,
		[]string{"name: priority", "name: gang", "name: conformance"}, []string{"name: predicates", "name: deviceshare"})
}

// greedy is one in which jobs starve until all their tasks run.
func greedy(actions string) string {
	return volcanotest.ConfigurationOf(actions,
		[]string{"name: priority"}, []string{breakable}, []string{"name: predicates", "name: deviceshare"})
}

var (
	low, high = volcanotest.MakePriorityClass("low", 1), volcanotest.MakePriorityClass("high", 100)
	whole     = volcanotest.Slice(81920, 100)
	half      = volcanotest.Slice(40000, 30)
)

func on(node string, card, memory, cores int) wire.Slice {
	return wire.Slice{UUID: fmt.Sprintf("GPU-%s-%d", node, card), Memory: device.MiB(memory), Cores: device.CorePercent(cores)}
}

// tokens makes a node that advertises that many tokens, which are scarce or plenty beside its cards.
func tokens(name string, cards, count int) *v1.Node {
	return volcanotest.MakeNode(name).Cards(cards).Allocatable(volcanotest.ResourceGPU, fmt.Sprint(count)).Obj()
}

// runs makes a gang of one that runs with slices, of low priority and evictable.
func runs(name, node string, slices ...wire.Slice) []runtime.Object {
	return running(volcanotest.MakeGang(name, 1, half), func(int) []wire.Slice { return slices }, node)
}

// running puts the pods of a gang on a node, of low priority and evictable.
func running(g *volcanotest.GangBuilder, slices func(i int) []wire.Slice, nodes ...string) []runtime.Object {
	return g.Priority("low", 1).Each(func(i int, p *volcanotest.PodBuilder) {
		p.Preemptable().Bound(nodes[i%len(nodes)], slices(i)...)
	}).Objects()
}

// stays makes a pod that runs and must not be evicted.
func stays(name, node string, slices ...wire.Slice) []runtime.Object {
	return volcanotest.MakeGang(name, 1, half).Priority("low", 1).
		Each(func(_ int, p *volcanotest.PodBuilder) {
			p.Annotation(schedulingv1beta1.PodPreemptable, "false").Bound(node, slices...)
		}).Objects()
}

func wants(name string, n int, asks volcanotest.Asks) *volcanotest.GangBuilder {
	return volcanotest.MakeGang(name, n, asks).Priority("high", 100)
}

// against runs a test with Volcano's own preempt and reclaim, and with ours.
func against(t *testing.T, run func(t *testing.T, stock bool, start func(objects ...any) *volcanotest.Cluster)) {
	t.Helper()
	for name, stock := range map[string]bool{"stock actions": true, "ours": false} {
		t.Run(name, func(t *testing.T) {
			run(t, stock, func(objects ...any) *volcanotest.Cluster {
				c := volcanotest.New(t, volcanotest.Objects(append([]any{low, high}, objects...)...)...)
				if stock {
					framework.RegisterAction(preempt.New())
					framework.RegisterAction(reclaim.New())
				}
				return c
			})
		})
	}
}

// evicted runs sessions and compares who was evicted in them.
func evicted(t *testing.T, c *volcanotest.Cluster, sessions int, configuration string, want ...string) {
	t.Helper()
	for range sessions {
		c.Session(configuration)
		c.Settle()
	}
	// Volcano evicts in the background: first a status, then the deletion.
	c.Until(fmt.Sprintf("%d pods are evicted", len(want)), func() bool { return len(c.Evictions()) >= len(want) })
	c.Settle()
	if diff := cmp.Diff(want, c.Evictions(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("evictions in %d sessions (-want,+got):\n%s", sessions, diff)
	}
}

func TestCardsAreFullWhileTokensAreIdle(t *testing.T) {
	against(t, func(t *testing.T, stock bool, start func(...any) *volcanotest.Cluster) {
		c := start(tokens("node1", 1, 10), runs("old", "node1", on("node1", 0, 81920, 100)), wants("new", 1, whole).Objects())
		if stock {
			// The scalars suffice, so no victim is looked for.
			evicted(t, c, 3, evicting("allocate, preempt"))
			return
		}
		evicted(t, c, 3, evicting("allocate, preempt"), "old-0")
	})
}

func TestVictimsAreThoseWhoseCardFits(t *testing.T) {
	against(t, func(t *testing.T, stock bool, start func(...any) *volcanotest.Cluster) {
		// Card 0 cannot be emptied, card 1 can. Three tokens are used, there is no more.
		c := start(tokens("node1", 2, 3), stays("stay", "node1", on("node1", 0, 40000, 30)),
			runs("a", "node1", on("node1", 1, 40000, 30)), runs("b", "node1", on("node1", 0, 40000, 30)),
			wants("new", 1, whole).Objects())
		if stock {
			// Its order names b first, whose card remains too small; the pod starves.
			evicted(t, c, 3, evicting("allocate, preempt"))
			return
		}
		evicted(t, c, 3, evicting("allocate, preempt"), "a-0")
	})
}

func TestNothingIsEvictedForAPlacementThatIsRefused(t *testing.T) {
	against(t, func(t *testing.T, stock bool, start func(...any) *volcanotest.Cluster) {
		// The job runs with one pod and would like another, on a card that cannot be emptied.
		job := wants("new", 2, whole).MinMember(1).Each(func(i int, p *volcanotest.PodBuilder) {
			if i == 0 {
				p.Bound("node2", on("node2", 0, 81920, 100))
			}
		})
		c := start(tokens("node1", 1, 2), tokens("node2", 1, 1), stays("stay", "node1", on("node1", 0, 40000, 30)),
			runs("b", "node1", on("node1", 0, 40000, 30)), job.Objects())
		if stock {
			evicted(t, c, 1, greedy("allocate, preempt"), "b-0")
			return
		}
		evicted(t, c, 3, greedy("allocate, preempt"))
	})
}

func TestOthersDoNotTakeTheCardsThatTerminate(t *testing.T) {
	against(t, func(t *testing.T, stock bool, start func(...any) *volcanotest.Cluster) {
		// The thief's queue is served first and may not evict.
		thief := volcanotest.MakeGang("a-thief", 1, whole).Queue("a-queue").Priority("high", 100).Objects()
		c := start(volcanotest.MakeQueue("a-queue").Obj(), volcanotest.MakeQueue("b-queue").Obj(), tokens("node1", 2, 2),
			running(volcanotest.MakeGang("x", 1, whole).Queue("b-queue"), func(int) []wire.Slice { return []wire.Slice{on("node1", 0, 81920, 100)} }, "node1"),
			running(volcanotest.MakeGang("y", 1, whole).Queue("b-queue"), func(int) []wire.Slice { return []wire.Slice{on("node1", 1, 81920, 100)} }, "node1"),
			wants("new", 1, whole).Queue("b-queue").Objects(), thief)
		conf := evicting("allocate, preempt")
		evicted(t, c, 4, conf, "y-0")
		c.Finish("y-0")
		c.Session(conf)
		c.Settle()
		// The stock action forgets for whom it evicted: the thief's queue is served first.
		want := "new-0"
		if stock {
			want = "a-thief-0"
		}
		if bound := c.Bound(); bound[want] == nil || len(bound) != 1 {
			t.Errorf("bound are %v, want %s", slices.Collect(maps.Keys(bound)), want)
		}
		if !stock {
			evicted(t, c, 3, conf, "y-0")
		}
	})
}

func TestReclaimFreesCardsNotScalars(t *testing.T) {
	against(t, func(t *testing.T, stock bool, start func(...any) *volcanotest.Cluster) {
		c := start(volcanotest.MakeQueue("a-queue").Obj(), tokens("node1", 2, 3), stays("stay", "node1", on("node1", 0, 40000, 30)),
			runs("a", "node1", on("node1", 1, 40000, 30)), runs("b", "node1", on("node1", 0, 40000, 30)),
			volcanotest.MakeGang("new", 1, whole).Queue("a-queue").Objects())
		if stock {
			evicted(t, c, 3, evicting("allocate, reclaim"))
			return
		}
		evicted(t, c, 3, evicting("allocate, reclaim"), "a-0")
	})
}

// TestVolcanosDryRunJudgesCards drives the stock action in its topology-aware mode, which asks plugins
// what a node would be like without its victims.
func TestVolcanosDryRunJudgesCards(t *testing.T) {
	c := volcanotest.New(t, volcanotest.Objects(low, high, tokens("node1", 2, 10), stays("stay", "node1", on("node1", 0, 40000, 30)),
		runs("a", "node1", on("node1", 1, 40000, 30)), runs("b", "node1", on("node1", 0, 40000, 30)), wants("new", 1, whole).Objects())...)
	framework.RegisterAction(preempt.New())
	evicted(t, c, 1, evicting("allocate, preempt")+"configurations:\n- name: preempt\n  arguments:\n    enableTopologyAwarePreemption: true\n", "a-0")
}

func TestPodsWithoutDevicesArePreemptedAsByVolcano(t *testing.T) {
	cpu := func(n string) volcanotest.Asks { return volcanotest.Asks{v1.ResourceCPU: n} }
	node := func(name, cpus string) *v1.Node {
		return volcanotest.MakeNode(name).Allocatable(v1.ResourceCPU, cpus).Obj()
	}
	pod := func(name, node, cpus string) []runtime.Object {
		return running(volcanotest.MakeGang(name, 1, cpu(cpus)), func(int) []wire.Slice { return nil }, node)
	}
	tests := map[string]struct {
		objects []any
		conf    string
		want    []string
	}{
		"one victim suffices": {
			objects: []any{node("node1", "4"), pod("a", "node1", "2"), pod("b", "node1", "2"), wants("new", 1, cpu("2")).Objects()},
			conf:    evicting("allocate, preempt"), want: []string{"b-0"},
		},
		"two victims are needed": {
			objects: []any{node("node1", "4"), pod("a", "node1", "2"), pod("b", "node1", "2"), wants("new", 1, cpu("3")).Objects()},
			conf:    evicting("allocate, preempt"), want: []string{"a-0", "b-0"},
		},
		"only one node has enough": {
			objects: []any{node("node1", "2"), node("node2", "4"), pod("a", "node1", "2"), pod("b", "node2", "4"), wants("new", 1, cpu("3")).Objects()},
			conf:    evicting("allocate, preempt"), want: []string{"b-0"},
		},
		"a gang that does not fit whole evicts nobody": {
			objects: []any{node("node1", "4"), pod("a", "node1", "2"), pod("b", "node1", "2"), wants("new", 3, cpu("2")).Objects()},
			conf:    evicting("allocate, preempt"),
		},
		"a whole gang gets its room": {
			objects: []any{node("node1", "4"), pod("a", "node1", "2"), pod("b", "node1", "2"), wants("new", 2, cpu("2")).Objects()},
			conf:    evicting("allocate, preempt"), want: []string{"a-0", "b-0"},
		},
		"what a gang cannot spare stays": {
			objects: []any{node("node1", "4"), pod("a", "node1", "4"), wants("new", 1, cpu("2")).Objects()},
			conf:    sparing("allocate, preempt"),
		},
		"what a gang can spare goes": {
			objects: []any{node("node1", "2"), node("node2", "4"), wants("new", 1, cpu("3")).Objects(),
				running(volcanotest.MakeGang("a", 2, cpu("2")).MinMember(1), func(int) []wire.Slice { return nil }, "node1", "node2")},
			conf: sparing("allocate, preempt"), want: []string{"a-1"},
		},
		"equal priority evicts nobody": {
			objects: []any{node("node1", "4"), pod("a", "node1", "4"), volcanotest.MakeGang("new", 1, cpu("2")).Priority("low", 1).Objects()},
			conf:    evicting("allocate, preempt"),
		},
		"another queue takes back": {
			objects: []any{volcanotest.MakeQueue("a-queue").Obj(), node("node1", "4"), pod("a", "node1", "2"), pod("b", "node1", "2"),
				volcanotest.MakeGang("new", 1, cpu("2")).Queue("a-queue").Objects()},
			conf: evicting("allocate, reclaim"), want: []string{"b-0"},
		},
		"a queue that is not to be reclaimed keeps its pods": {
			objects: []any{volcanotest.MakeQueue("a-queue").Obj(), volcanotest.MakeQueue("b-queue").Reclaimable(false).Obj(), node("node1", "4"),
				running(volcanotest.MakeGang("a", 1, cpu("4")).Queue("b-queue"), func(int) []wire.Slice { return nil }, "node1"),
				volcanotest.MakeGang("new", 1, cpu("2")).Queue("a-queue").Objects()},
			conf: evicting("allocate, reclaim"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			against(t, func(t *testing.T, _ bool, start func(...any) *volcanotest.Cluster) {
				evicted(t, start(tc.objects...), 2, tc.conf, tc.want...)
			})
		})
	}
}
