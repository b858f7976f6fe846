package gpuquota_test

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"

	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

func TestWallOfAQueue(t *testing.T) {
	tests := map[string]struct {
		queues []*schedulingv1beta1.Queue
		asks   vt.Asks
		// members and minimum of the gang.
		members, minimum int
		wantBound        int
		// wantReason is in the reason of some pod that waits.
		wantReason string
	}{
		"memory is per card times cards": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": "64000"}).Obj()},
			asks:   vt.Asks{"nvidia.com/gpu": "2", "nvidia.com/gpumem": "20000"}, members: 3, minimum: 1, wantBound: 1,
			wantReason: "queue q: queue limit exceeded: device memory: used 40000 MiB, asked 40000 MiB, limit 64000 MiB"},
		"half cards are half of their memory": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"volcano.sh/vgpu-memory": "100000"}).Obj()},
			asks:   vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem-percentage": "50"}, members: 4, minimum: 1, wantBound: 2,
			wantReason: "device memory: used 81920 MiB, asked 40960 MiB, limit 100000 MiB"},
		"physical cards, in fractions": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"basalt.io/gpu-cards": "1500m"}).Obj()},
			asks:   vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpucores": "50", "nvidia.com/gpumem": "1000"}, members: 5, minimum: 1, wantBound: 3,
			wantReason: "device cards: used 1.500 cards, asked 0.500 cards, limit 1.500 cards"},
		"cores": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpucores": "50"}).Obj()},
			asks:   vt.Slice(1000, 30), members: 3, minimum: 1, wantBound: 1,
			wantReason: "device cores: used 30 percent, asked 30 percent, limit 50 percent"},
		"a parent's wall": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("dept").Capability(vt.Asks{"nvidia.com/gpumem": "5000"}).Obj(), vt.MakeQueue("q").Parent("dept").Obj()},
			asks:   vt.Slice(3000, 10), members: 3, minimum: 1, wantBound: 1,
			wantReason: "queue dept: queue limit exceeded: device memory: used 3000 MiB, asked 3000 MiB, limit 5000 MiB"},
		"what is guaranteed to others": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Obj(), vt.MakeQueue("other").Guarantee(vt.Asks{"basalt.io/gpu-cards": "3"}).Obj()},
			asks:   vt.Asks{"nvidia.com/gpu": "1"}, members: 3, minimum: 1, wantBound: 1,
			wantReason: "queue q: rest is guaranteed to other queues: device cards: used 1 cards, asked 1 cards, limit 1 cards"},
		"a gang beyond the wall leaves nothing behind": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": "5000"}).Obj()},
			asks:   vt.Slice(3000, 10), members: 2, minimum: 2, wantBound: 0,
			wantReason: "queue q: queue limit exceeded: device memory: used 3000 MiB, asked 3000 MiB, limit 5000 MiB"},
		"nothing at all": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": "0"}).Obj()},
			asks:   vt.Slice(3000, 10), members: 2, minimum: 1, wantBound: 0,
			wantReason: "used 0 MiB, asked 3000 MiB, limit 0 MiB"},
		"limits that cannot be read": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": "64Gi"}).Obj()},
			asks:   vt.Slice(3000, 10), members: 1, minimum: 1, wantBound: 0,
			wantReason: "queue q: queue is not usable for devices: spec.capability[nvidia.com/gpumem]"},
		"no limits": {
			queues: []*schedulingv1beta1.Queue{vt.MakeQueue("q").Obj()}, asks: vt.Slice(3000, 10), members: 4, minimum: 4, wantBound: 4},
	}
	for name, tc := range tests {
		for _, beside := range besides {
			t.Run(name+"/"+beside, func(t *testing.T) {
				objects := vt.Objects(vt.MakeNode("node1").Cards(4).Obj(),
					vt.MakeGang("g", tc.members, tc.asks).MinMember(tc.minimum).Queue("q").Objects())
				for _, q := range tc.queues {
					objects = append(objects, q)
				}
				c := newCluster(t, objects...)
				c.Sessions(2, configuration("allocate", beside))
				c.Settle()
				if got := c.boundOf("g"); got != tc.wantBound {
					t.Errorf("%d pods are bound, want %d", got, tc.wantBound)
				}
				needs(t, "reasons", c.waiting(), tc.wantReason)
				if tc.wantBound == 0 {
					// Pods that were placed and taken back with their gang are told, too.
					for i := range tc.members {
						pod := fmt.Sprintf("g-%d", i)
						needs(t, "reason of "+pod, c.Reason(pod), tc.wantReason)
					}
				}
			})
		}
	}
}

func TestPodsWithoutDevicesPassAFullQueue(t *testing.T) {
	for _, beside := range besides {
		t.Run(beside, func(t *testing.T) {
			c := newCluster(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(),
				vt.MakeQueue("q").Capability(vt.Asks{"nvidia.com/gpumem": "0"}).Obj(),
				vt.MakeGang("gpu", 1, vt.Slice(3000, 10)).Queue("q").Objects(),
				vt.MakeGang("cpu", 1, vt.Asks{"cpu": "1"}).Queue("q").Objects())...)
			c.Session(configuration("allocate", beside))
			c.Settle()
			if c.boundOf("cpu") != 1 || c.boundOf("gpu") != 0 {
				t.Errorf("placements are %v", c.Placements())
			}
			needs(t, "reason", c.Reason("gpu-0"), "queue q: queue limit exceeded")
			needs(t, "condition", c.PodGroup("gpu").Status.Conditions[0].Message, "queue q: queue limit exceeded", "limit 0 MiB")
		})
	}
}

// The share of a card depends on the card: a pod that would be within the limit on the largest card
// goes beyond it on a smaller one.
func TestWallHoldsOnSmallerCards(t *testing.T) {
	small := vt.Cards("small", 2)
	for i := range small {
		small[i].Model, small[i].Memory = "NVIDIA-A30", 24576
	}
	tests := map[string]struct {
		limit      string
		wantBound  int
		wantReason string
	}{
		"within on the card it gets": {limit: "500m", wantBound: 1},
		"beyond on the card it gets": {limit: "400m", wantReason: "queue q: queue limit exceeded: device cards: used 0 cards, asked 0.407 cards, limit 0.400 cards"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, vt.Objects(vt.MakeNode("large").Cards(1).Obj(), vt.MakeNode("small").Label("size", "small").With(small...).Obj(),
				vt.MakeQueue("q").Capability(vt.Asks{"basalt.io/gpu-cards": tc.limit}).Obj(),
				vt.MakeGang("g", 1, vt.Slice(10000, 10)).Queue("q").
					Each(func(_ int, p *vt.PodBuilder) { p.NodeSelector("size", "small") }).Objects())...)
			c.Session(configuration("allocate", "capacity"))
			c.Settle()
			if got := c.boundOf("g"); got != tc.wantBound {
				t.Errorf("%d pods are bound, want %d", got, tc.wantBound)
			}
			needs(t, "reason", c.Reason("g-0"), tc.wantReason)
		})
	}
}

func TestNamespaceQuotaIsChargedTrueTotals(t *testing.T) {
	hard := func(name string, asks vt.Asks) *v1.ResourceQuota {
		q := &v1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: vt.Namespace, Name: name}, Spec: v1.ResourceQuotaSpec{Hard: v1.ResourceList{}}}
		for n, v := range asks {
			q.Spec.Hard[n] = resource.MustParse(v)
		}
		return q
	}
	scoped := hard("scoped", vt.Asks{"limits.nvidia.com/gpumem": "1"})
	scoped.Spec.Scopes = []v1.ResourceQuotaScope{v1.ResourceQuotaScopeTerminating}
	urgent := hard("urgent", vt.Asks{"limits.nvidia.com/gpumem": "1"})
	urgent.Spec.ScopeSelector = &v1.ScopeSelector{MatchExpressions: []v1.ScopedResourceSelectorRequirement{
		{ScopeName: v1.ResourceQuotaScopePriorityClass, Operator: v1.ScopeSelectorOpIn, Values: []string{"urgent"}}}}
	best := hard("scope-of-all", vt.Asks{"limits.nvidia.com/gpumem": "30000"})
	best.Spec.Scopes = []v1.ResourceQuotaScope{v1.ResourceQuotaScopeNotTerminating, v1.ResourceQuotaScopeBestEffort}
	elsewhere := hard("elsewhere", vt.Asks{"limits.nvidia.com/gpu": "0"})
	elsewhere.Namespace = "team-b"
	tests := map[string]struct {
		quota      *v1.ResourceQuota
		wantBound  int
		wantReason string
	}{
		"memory": {quota: hard("gpus", vt.Asks{"limits.nvidia.com/gpumem": "64000"}), wantBound: 1,
			wantReason: "namespace team-a, quota gpus: namespace quota exceeded: device memory: used 40000 MiB, asked 40000 MiB, hard limit 64000 MiB"},
		"memory in the other dialect, as requests": {quota: hard("gpus", vt.Asks{"requests.volcano.sh/vgpu-memory": "64000"}), wantBound: 1,
			wantReason: "used 40000 MiB, asked 40000 MiB, hard limit 64000 MiB"},
		"cores": {quota: hard("gpus", vt.Asks{"limits.nvidia.com/gpucores": "100"}), wantBound: 1,
			wantReason: "device cores: used 60 percent, asked 60 percent, hard limit 100 percent"},
		"slots": {quota: hard("gpus", vt.Asks{"limits.nvidia.com/gpu": "3"}), wantBound: 1,
			wantReason: "device slots: used 2, asked 2, hard limit 3"},
		"cards":                   {quota: hard("gpus", vt.Asks{"limits.basalt.io/gpu-cards": "1"}), wantBound: 1, wantReason: "device cards: used 0.600 cards, asked 0.600 cards"},
		"of another namespace":    {quota: elsewhere, wantBound: 3},
		"of other pods by scope":  {quota: scoped, wantBound: 3},
		"of other pods by class":  {quota: urgent, wantBound: 3},
		"of these pods by scopes": {quota: best, wantReason: "quota scope-of-all: namespace quota exceeded"},
		"that cannot be read":     {quota: hard("gpus", vt.Asks{"limits.nvidia.com/gpumem-percentage": "1"}), wantReason: "namespace team-a, quota gpus: namespace quota is not usable: spec.hard[limits.nvidia.com/gpumem-percentage]"},
	}
	for name, tc := range tests {
		for _, beside := range besides {
			t.Run(name+"/"+beside, func(t *testing.T) {
				c := newCluster(t, vt.Objects(vt.MakeNode("node1").Cards(4).Obj(), tc.quota,
					vt.MakeGang("g", 3, vt.Asks{"nvidia.com/gpu": "2", "nvidia.com/gpumem": "20000", "nvidia.com/gpucores": "30"}).MinMember(1).Objects())...)
				c.Sessions(2, configuration("allocate", beside))
				c.Settle()
				if got := c.boundOf("g"); got != tc.wantBound {
					t.Errorf("%d pods are bound, want %d", got, tc.wantBound)
				}
				needs(t, "reasons", c.waiting(), tc.wantReason)
			})
		}
	}
}
