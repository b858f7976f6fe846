package volcano_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/plugins/volcano"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// queued is a gang of n in a queue with the given annotations; its pods have annotations of their own.
func queued(n int, queueAnnotations, podAnnotations map[string]string) []runtime.Object {
	q := vt.MakeQueue("research")
	for key, value := range queueAnnotations {
		q.Annotation(key, value)
	}
	train := vt.MakeGang("train", n, slice3000).Queue("research").Each(func(_ int, p *vt.PodBuilder) {
		for key, value := range podAnnotations {
			p.Annotation(key, value)
		}
	})
	return vt.Objects(q.Obj(), train.Objects())
}

func TestPodsPolicyComesBeforeItsQueuesAndThatBeforeTheArguments(t *testing.T) {
	tests := map[string]struct {
		pod, queue map[string]string
		arguments  string
		want       request.Policy
	}{
		"nothing said stays nothing": {},
		"the published argument sets nodes and cards": {
			arguments: "deviceshare.SchedulePolicy: spread",
			want:      request.Policy{Node: score.NodeSpread, Card: score.Spread},
		},
		"our arguments come before the published one": {
			arguments: "deviceshare.SchedulePolicy: spread, deviceshare.CardPolicy: 'mutex,numa', deviceshare.CardWeights: 'slot=1,core=0,memory=2'",
			want: request.Policy{Node: score.NodeSpread, Card: score.Mutex | score.NUMA,
				Weights: score.Weights{Slot: 1, Memory: 2}},
		},
		"the queue comes before the arguments": {
			queue:     map[string]string{request.QueueNodePolicyKey: "binpack"},
			arguments: "deviceshare.SchedulePolicy: spread",
			want:      request.Policy{Node: score.NodeBinpack, Card: score.Spread},
		},
		"the pod comes before both": {
			pod:       map[string]string{request.CardPolicyKey: "topology-aware"},
			queue:     map[string]string{request.QueueCardPolicyKey: "numa", request.QueueNodePolicyKey: "spread"},
			arguments: "deviceshare.NodePolicy: binpack, deviceshare.CardPolicy: binpack",
			want:      request.Policy{Node: score.NodeSpread, Card: score.Topology},
		},
		"what a queue says wrong counts as not said": {
			queue:     map[string]string{request.QueueNodePolicyKey: "best", request.QueueCardPolicyKey: "numa"},
			arguments: "deviceshare.NodePolicy: spread",
			want:      request.Policy{Node: score.NodeSpread, Card: score.NUMA},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), queued(1, tc.queue, tc.pod))...)
			// The second session takes the parsed request over from the first and must not keep its policy.
			for _, arguments := range []string{"deviceshare.SchedulePolicy: binpack", tc.arguments} {
				ssn, _ := c.Open(vt.Configuration("allocate", arguments))
				got := volcano.RequestOf(c.Adapter, c.Task(ssn, "train-0").Pod).Policy
				framework.CloseSession(ssn)
				if diff := cmp.Diff(tc.want, got); arguments == tc.arguments && diff != "" {
					t.Errorf("policy (-want,+got):\n%s", diff)
				}
			}
		})
	}
}

func TestNodePolicyOfTheQueueDecides(t *testing.T) {
	for policy, want := range map[string]int{"binpack": 1, "spread": 2} {
		t.Run(policy, func(t *testing.T) {
			c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(2).Obj(), vt.MakeNode("node2").Cards(2).Obj(),
				queued(2, map[string]string{request.QueueNodePolicyKey: policy}, nil))...)
			c.Session(vt.Configuration("allocate", ""))
			c.Until("the gang is bound", func() bool { return len(c.Bound()) == 2 })
			used := map[string]bool{}
			for _, b := range c.Bound() {
				used[b.Target.Name] = true
			}
			if len(used) != want {
				t.Errorf("pods are on %d nodes, want %d", len(used), want)
			}
		})
	}
}

func TestNodesThatAreAlikeAreTakenByName(t *testing.T) {
	var nodes []runtime.Object
	for i := range 6 {
		nodes = append(nodes, vt.MakeNode(fmt.Sprintf("node%d", 5-i)).Cards(1).Obj())
	}
	c := vt.New(t, vt.Objects(nodes, vt.MakeGang("train", 1, slice3000).Objects())...)
	ssn, _ := c.Open(vt.Configuration("allocate", ""))
	defer framework.CloseSession(ssn)
	last := 0.0
	for i := 5; i >= 0; i-- {
		points, err := volcano.NodeOrder(c.Adapter, c.Task(ssn, "train-0"), ssn.Nodes[fmt.Sprintf("node%d", i)])
		if err != nil {
			t.Fatal(err)
		}
		if i < 5 && points <= last || points < 0 || points > 100*volcano.DefaultWeight {
			t.Errorf("node%d scores %v, after %v for the next by name", i, points, last)
		}
		last = points
	}
}

func TestCordonedCardsAreNotGiven(t *testing.T) {
	cordoned := vt.MakeNode("node1").Cards(2).Annotation("hami.io/device-cordon", "GPU-node1-0").Obj()
	c := vt.New(t, vt.Objects(cordoned, vt.MakeGang("train", 1, slice3000).Objects(),
		vt.MakeGang("whole", 1, vt.Asks{"nvidia.com/gpu": "2"}).Objects())...)
	c.Session(vt.Configuration("allocate", ""))
	c.Until("train-0 is bound", func() bool { return c.Bound()["train-0"] != nil })
	if b := c.Bound(); len(b) != 1 {
		t.Errorf("%d pods are bound, want train-0 alone", len(b))
	}
	if m := c.Reason("whole-0"); !someHasAll([]string{m}, []string{"devices cordoned"}) {
		t.Errorf("pod that needs both cards says %q", m)
	}
}

func TestPodsOfAGroupAreKeptApart(t *testing.T) {
	spread := map[string]string{request.GroupPolicyKey: "spread"}
	tests := map[string]struct {
		pods, group map[string]string
		cards       int
		wantBound   int
		wantCards   int
	}{
		"without the policy they share a card": {cards: 2, wantBound: 2, wantCards: 1},
		"by an annotation of the pods":         {pods: spread, cards: 2, wantBound: 2, wantCards: 2},
		"by an annotation of the PodGroup":     {group: spread, cards: 2, wantBound: 2, wantCards: 2},
		"or they wait":                         {pods: spread, cards: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			objects := queued(2, map[string]string{request.QueueCardPolicyKey: "binpack"}, tc.pods)
			for _, o := range objects {
				if group, ok := o.(*schedulingv1beta1.PodGroup); ok {
					group.Annotations = tc.group
				}
			}
			c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(tc.cards).Obj(), objects)...)
			c.Session(vt.Configuration("allocate", ""))
			c.Until("the gang is bound", func() bool { return len(c.Bound()) == tc.wantBound })
			used := map[string]bool{}
			for _, card := range c.Adapter.Ledger().Snapshot().Nodes[0].Cards {
				if card.Used.Slots > 0 {
					used[card.UUID] = true
				}
			}
			if len(used) != tc.wantCards {
				t.Errorf("pods are on %d cards, want %d", len(used), tc.wantCards)
			}
		})
	}
}
