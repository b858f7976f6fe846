package gpuquota_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// roomFor is a cluster whose queue q has room for that many pods of 3000 MiB, of which one runs and
// three wait.
func roomFor(t *testing.T, memory string) *cluster {
	t.Helper()
	return newCluster(t, vt.Objects(vt.MakeNode("node1").Cards(4).Obj(), vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": memory}).Obj(),
		vt.MakeGang("old", 1, vt.Slice(3000, 10)).Queue("q").Each(func(_ int, p *vt.PodBuilder) {
			p.Preemptable().Bound("node1", wire.Slice{UUID: "GPU-node1-0", Memory: 3000, Cores: 10})
		}).Objects(),
		vt.MakeGang("new", 3, vt.Slice(3000, 10)).Queue("q").Objects())...)
}

func TestEventsOfStatementsKeepTheSums(t *testing.T) {
	for _, beside := range besides {
		t.Run(beside, func(t *testing.T) {
			c := roomFor(t, "9000")
			ssn, _ := c.Open(configuration("allocate", beside))
			defer framework.CloseSession(ssn)
			queue, node := ssn.Queues["q"], ssn.Nodes["node1"]
			allowed := func(what string, want bool) {
				t.Helper()
				if got := ssn.Allocatable(queue, c.Task(ssn, "new-2")); got != want {
					t.Errorf("%s: the third pod is allowed: %t, want %t", what, got, want)
				}
			}
			allocate := func(s *framework.Statement, names ...string) {
				t.Helper()
				for _, n := range names {
					if err := ssn.PrePredicateFn(c.Task(ssn, n)); err != nil {
						t.Fatal(err)
					}
					if err := s.Allocate(c.Task(ssn, n), node); err != nil {
						t.Fatal(err)
					}
				}
			}
			allowed("at the start", true)
			first := framework.NewStatement(ssn)
			allocate(first, "new-0", "new-1")
			allowed("two are placed", false)
			saved := framework.SaveOperations(first)
			first.Discard()
			allowed("both are taken back", true)
			again := framework.NewStatement(ssn)
			if err := again.RecoverOperations(saved); err != nil {
				t.Fatal(err)
			}
			allowed("both are placed again, as clones", false)

			eviction := framework.NewStatement(ssn)
			if err := eviction.Evict(c.Task(ssn, "old-0").Clone(), "test"); err != nil {
				t.Fatal(err)
			}
			allowed("the running pod is a victim", true)
			eviction.Discard()
			allowed("the victim is let off", false)
			again.Discard()
			allowed("nothing is placed any more", true)
		})
	}
}

// Some actions place without asking first: the wall holds against them too.
func TestPlacementBeyondTheWallFails(t *testing.T) {
	c := roomFor(t, "5000")
	ssn, _ := c.Open(configuration("allocate", "capacity"))
	task := c.Task(ssn, "new-0")
	if err := ssn.PrePredicateFn(task); err != nil {
		t.Fatal(err)
	}
	s := framework.NewStatement(ssn)
	if err := s.Pipeline(task, "node1", false); err == nil {
		t.Error("a pod beyond the wall is pipelined")
	}
	if err := s.UnPipeline(task); err != nil {
		t.Fatal(err)
	}
	framework.CloseSession(ssn)
	c.Settle()
	needs(t, "reason", c.Reason("new-0"), "queue q: queue limit exceeded: device memory: used 3000 MiB, asked 3000 MiB, limit 5000 MiB")
}

func TestTrialsOfTopologyAwarePreemption(t *testing.T) {
	for _, beside := range besides {
		t.Run(beside, func(t *testing.T) {
			c := roomFor(t, "3000")
			ssn, _ := c.Open(configuration("allocate, preempt", beside))
			defer framework.CloseSession(ssn)
			queue, node := ssn.Queues["q"], ssn.Nodes["node1"]
			preemptor, victim := c.Task(ssn, "new-0"), c.Task(ssn, "old-0")
			if err := ssn.PrePredicateFn(preemptor); err != nil {
				t.Fatal(err)
			}
			state := ssn.GetCycleState(preemptor.UID)
			other := state.Clone()
			allowed := func(what string, want bool) {
				t.Helper()
				if got := ssn.SimulateAllocatableFn(context.Background(), state, queue, preemptor); got != want {
					t.Errorf("%s: the preemptor is allowed: %t, want %t", what, got, want)
				}
			}
			allowed("before", false)
			if err := ssn.SimulateRemoveTaskFn(context.Background(), state, preemptor, victim, node); err != nil {
				t.Fatal(err)
			}
			allowed("without the victim", true)
			if ssn.SimulateAllocatableFn(context.Background(), other, queue, preemptor) || ssn.Allocatable(queue, preemptor) {
				t.Error("another trial, or the session, saw the victim go")
			}
			if err := ssn.SimulateAddTaskFn(context.Background(), state, preemptor, victim, node); err != nil {
				t.Fatal(err)
			}
			allowed("with the victim again", false)
		})
	}
}

func TestQueueStatusShowsTrueTotals(t *testing.T) {
	tests := map[string]struct {
		limits vt.Asks
		want   map[v1.ResourceName]string
	}{
		"in the names of the pods": {limits: vt.Asks{"cpu": "64"},
			want: map[v1.ResourceName]string{"nvidia.com/gpu": "4", "nvidia.com/gpumem": "80k", "nvidia.com/gpucores": "120", "basalt.io/gpu-cards": "1200m"}},
		"in the names of the queue's limits": {limits: vt.Asks{"volcano.sh/vgpu-memory": "900000"},
			want: map[v1.ResourceName]string{"nvidia.com/gpu": "4", "volcano.sh/vgpu-memory": "80k", "volcano.sh/vgpu-cores": "120", "basalt.io/gpu-cards": "1200m"}},
	}
	for name, tc := range tests {
		for _, beside := range besides {
			t.Run(name+"/"+beside, func(t *testing.T) {
				c := newCluster(t, vt.Objects(vt.MakeNode("node1").Cards(4).Obj(),
					vt.MakeQueue("dept").Obj(), vt.MakeQueue("q").Parent("dept").Capability(tc.limits).Obj(),
					vt.MakeGang("g", 2, vt.Asks{"nvidia.com/gpu": "2", "nvidia.com/gpumem": "20000", "nvidia.com/gpucores": "30"}).Queue("q").Objects())...)
				for range 2 { // what was placed in the session, and what runs
					c.Session(configuration("allocate", beside))
					c.Settle()
					for _, queue := range []string{"q", "dept"} {
						got := map[v1.ResourceName]string{}
						for n, q := range c.Queue(queue).Status.Allocated {
							if n != "cpu" && n != "memory" && n != "pods" {
								got[n] = q.String()
							}
						}
						if diff := cmp.Diff(tc.want, got); diff != "" {
							t.Errorf("allocated of queue %s (-want,+got):\n%s", queue, diff)
						}
					}
				}
			})
		}
	}
}
