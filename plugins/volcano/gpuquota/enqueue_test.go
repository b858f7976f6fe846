package gpuquota_test

import (
	"testing"

	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// gangRequest is four pods of two cards each, with 20,000 MiB of each card.
func gangRequest(t *testing.T, minAvailable int) string {
	t.Helper()
	text, err := wire.EncodeGangRequest(wire.GangRequest{Version: wire.GangRequestVersion, MinAvailable: minAvailable, Shapes: []wire.GangShape{
		{Name: "launcher", Replicas: 1},
		{Name: "worker", Replicas: 4, MinAvailable: minAvailable - 1, Containers: []wire.GangContainer{{Name: "main", Count: 2, Memory: 20000}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGangIsJudgedBeforeItsPodsAreMade(t *testing.T) {
	minimum := vt.Asks{"nvidia.com/gpu": "8", "nvidia.com/gpumem": "20000"}
	tests := map[string]struct {
		memory string
		group  func(*vt.PodGroupBuilder) *vt.PodGroupBuilder
		want   []string // empty: it is let in
	}{
		"its request fits": {memory: "160000", group: func(b *vt.PodGroupBuilder) *vt.PodGroupBuilder {
			return b.Annotation(wire.GangRequestKey, gangRequest(t, 5))
		}},
		"its request is beyond the limit": {memory: "159999", group: func(b *vt.PodGroupBuilder) *vt.PodGroupBuilder {
			return b.Annotation(wire.GangRequestKey, gangRequest(t, 5))
		}, want: []string{"queue dept: queue limit exceeded: device memory: used 0 MiB, asked 160000 MiB, limit 159999 MiB"}},
		"only its minimum counts": {memory: "80000", group: func(b *vt.PodGroupBuilder) *vt.PodGroupBuilder {
			return b.Annotation(wire.GangRequestKey, gangRequest(t, 3))
		}},
		"a request that cannot be read": {memory: "160000", group: func(b *vt.PodGroupBuilder) *vt.PodGroupBuilder {
			return b.Annotation(wire.GangRequestKey, `{"version":1,"minAvailable":9}`)
		}, want: []string{"annotation basalt.io/gang-request is refused", "shapes"}},
		"minimal resources are the least": {memory: "19999", group: func(b *vt.PodGroupBuilder) *vt.PodGroupBuilder { return b },
			want: []string{"asked 20000 MiB, limit 19999 MiB"}},
		"minimal resources within the limit": {memory: "20000", group: func(b *vt.PodGroupBuilder) *vt.PodGroupBuilder { return b }},
	}
	for name, tc := range tests {
		for _, beside := range besides {
			t.Run(name+"/"+beside, func(t *testing.T) {
				group := tc.group(vt.MakePodGroup("g", 5).Queue("q").MinResources(minimum).Phase(schedulingv1beta1.PodGroupPending))
				c := newCluster(t, vt.MakeNode("node1").Cards(8).Obj(),
					vt.MakeQueue("dept").Capability(vt.Asks{"nvidia.com/gpumem": tc.memory}).Obj(), vt.MakeQueue("q").Parent("dept").Obj(), group.Obj())
				c.Session(configuration("enqueue, allocate", beside))
				got := c.PodGroup("g").Status
				if letIn := got.Phase == schedulingv1beta1.PodGroupInqueue; letIn != (len(tc.want) == 0) {
					t.Errorf("phase is %s", got.Phase)
				}
				if len(tc.want) > 0 {
					if len(got.Conditions) != 1 || got.Conditions[0].Reason != "DeviceQuotaExceeded" {
						t.Fatalf("conditions are %+v", got.Conditions)
					}
					needs(t, "condition", got.Conditions[0].Message, tc.want...)
				}
			})
		}
	}
}

// Jobs that were let in and have not placed their pods yet take room too, and what jobs have above
// their minimum does not.
func TestRoomOfAQueueIsWhatNobodyWaitsFor(t *testing.T) {
	pending := func(name string) *schedulingv1beta1.PodGroup {
		return vt.MakePodGroup(name, 5).Queue("q").MinResources(vt.Asks{"nvidia.com/gpu": "8"}).
			Phase(schedulingv1beta1.PodGroupPending).Annotation(wire.GangRequestKey, gangRequest(t, 5)).Obj()
	}
	waiting := vt.MakePodGroup("c", 5).Queue("q").MinResources(vt.Asks{"nvidia.com/gpu": "8"}).Annotation(wire.GangRequestKey, gangRequest(t, 5)).Obj()
	elastic := vt.MakeGang("e", 2, vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "80000"}).MinMember(1).Queue("q").
		Each(func(i int, p *vt.PodBuilder) {
			p.Bound("node1", wire.Slice{UUID: []string{"GPU-node1-0", "GPU-node1-1"}[i], Memory: 80000})
		}).Objects()
	tests := map[string]struct {
		objects []any
		memory  string
		want    int // let in, of a and b
	}{
		"two in turn, room for one":             {memory: "200000", want: 1},
		"two in turn, room for both":            {memory: "320000", want: 2},
		"one waits already, room for it":        {objects: []any{waiting}, memory: "200000", want: 0},
		"spare pods of a job can be taken back": {objects: []any{elastic}, memory: "240000", want: 1},
		"its minimum cannot":                    {objects: []any{elastic}, memory: "239999", want: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, vt.Objects(append(tc.objects, vt.MakeNode("node1").Cards(8).Obj(),
				vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": tc.memory}).Obj(), pending("a"), pending("b"))...)...)
			c.Session(configuration("enqueue", "capacity"))
			got := 0
			for _, g := range []string{"a", "b"} {
				if c.PodGroup(g).Status.Phase == schedulingv1beta1.PodGroupInqueue {
					got++
				}
			}
			if got != tc.want {
				t.Errorf("%d jobs are let in, want %d", got, tc.want)
			}
		})
	}
}

func TestPodsThatExistAreTheRequestOfAJob(t *testing.T) {
	c := newCluster(t, vt.Objects(vt.MakeNode("node1").Cards(8).Obj(), vt.MakeQueue("q").Capability(vt.Asks{"basalt.io/gpu-cards": "2500m"}).Obj(),
		vt.MakeGang("g", 3, vt.Asks{"nvidia.com/gpu": "1"}).Queue("q").Group(func(b *vt.PodGroupBuilder) {
			b.Phase(schedulingv1beta1.PodGroupPending).MinResources(vt.Asks{"nvidia.com/gpu": "3"})
		}).Objects())...)
	c.Session(configuration("enqueue, allocate", "capacity"))
	c.Settle()
	text := "the least that the gang needs is refused: queue q: queue limit exceeded: device cards: used 0 cards, asked 3 cards, limit 2.500 cards"
	needs(t, "condition", c.PodGroup("g").Status.Conditions[0].Message, text)
	needs(t, "reason", c.Reason("g-0"), text)
	if c.boundOf("g") != 0 {
		t.Errorf("placements are %v", c.Placements())
	}
}
