package gpuquota_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// wholeCard asks for a card and for half of a node's CPUs.
var wholeCard = vt.Asks{"nvidia.com/gpu": "1", "cpu": "32"}

// running makes a gang of pods that run on node1, each with a whole card, from card number first on.
func running(name, queue string, n, minimum, first int) []runtime.Object {
	return vt.MakeGang(name, n, wholeCard).MinMember(minimum).Queue(queue).Each(func(i int, p *vt.PodBuilder) {
		p.Preemptable().Bound("node1", wire.Slice{UUID: fmt.Sprintf("GPU-node1-%d", first+i), Memory: vt.CardMemory})
	}).Objects()
}

// node1 has CPUs for as many pods as it has cards.
func node1(cards int) runtime.Object {
	return vt.MakeNode("node1").Cards(cards).Allocatable("cpu", fmt.Sprint(32*cards)).Obj()
}

// Volcano's own plugins would evict a pod of the lender in every one of these cases: it has more CPU
// than it deserves.
func TestReclaim(t *testing.T) {
	tests := map[string]struct {
		lender, owner *vt.QueueBuilder
		jobs          []runtime.Object
		cards         int
		want          []string
		// not names a plugin that would evict nobody here: proportion gives each queue half of the node,
		// which is less than a pod.
		not string
	}{
		"above what it deserves, down to it": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			jobs:   running("job", "lender", 2, 1, 0), cards: 2, want: []string{"job-0"}},
		"within what it deserves of devices": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "2"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			jobs:   running("job", "lender", 2, 1, 0), cards: 2},
		"a guarantee under a name of ours holds": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "32"}).Guarantee(vt.Asks{"nvidia.com/gpumem": "163840"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32"}),
			jobs:   running("job", "lender", 2, 1, 0), cards: 2},
		"and does not stop the reclaim of what is above it": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "32"}).Guarantee(vt.Asks{"nvidia.com/gpumem": "81920", "basalt.io/gpu-cards": "1"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32"}),
			jobs:   running("job", "lender", 2, 1, 0), cards: 2, want: []string{"job-0"}},
		"the owner deserves no devices": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "0"}),
			jobs:   running("job", "lender", 2, 1, 0), cards: 2},
		"spare pods go before a whole gang": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			jobs:   vt.Objects(running("a-rigid", "lender", 1, 1, 0), running("elastic", "lender", 2, 1, 1)), cards: 3, want: []string{"elastic-0"}},
		"a whole gang goes where nothing is spare": {
			lender: vt.MakeQueue("lender").Deserved(vt.Asks{"cpu": "16", "basalt.io/gpu-cards": "0"}),
			owner:  vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}),
			jobs:   running("rigid", "lender", 1, 1, 0), cards: 1, want: []string{"rigid-0"}, not: "proportion"},
	}
	for name, tc := range tests {
		for _, beside := range besides {
			if beside == tc.not {
				continue
			}
			t.Run(name+"/"+beside, func(t *testing.T) {
				c := newCluster(t, vt.Objects(node1(tc.cards), tc.lender.Obj(), tc.owner.Obj(), tc.jobs,
					vt.MakeGang("new", 1, wholeCard).Queue("owner").Objects())...)
				c.Session(configuration("allocate, reclaim", beside))
				c.Settle()
				if diff := cmp.Diff(tc.want, c.Evictions()); diff != "" {
					t.Errorf("evictions (-want,+got):\n%s\nreason: %s", diff, c.Reason("new-0"))
				}
			})
		}
	}
}

// To capacity a queue that deserves only what Volcano leaves to us deserves nothing. Pods with devices
// cannot take from it, those without can; its owner is warned.
func TestQueueThatDeservesNamesOfOursOnly(t *testing.T) {
	tests := map[string]struct {
		deserved vt.Asks
		asks     vt.Asks
		// wantEvicted says whether any pod of the queue is evicted.
		wantEvicted, wantTold bool
	}{
		"pod with devices":                {deserved: vt.Asks{"basalt.io/gpu-cards": "2"}, asks: wholeCard, wantTold: true},
		"pod without devices":             {deserved: vt.Asks{"nvidia.com/gpumem": "163840"}, asks: vt.Asks{"cpu": "32"}, wantEvicted: true, wantTold: true},
		"pod without devices, cpu beside": {deserved: vt.Asks{"basalt.io/gpu-cards": "2", "cpu": "64"}, asks: vt.Asks{"cpu": "32"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, vt.Objects(node1(2), vt.MakeQueue("lender").Deserved(tc.deserved).Obj(),
				vt.MakeQueue("owner").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "1"}).Obj(),
				running("job", "lender", 2, 1, 0), vt.MakeGang("new", 1, tc.asks).Queue("owner").Objects())...)
			c.Sessions(2, configuration("allocate, reclaim", "capacity"))
			c.Settle()
			if got := c.Evictions(); len(got) > 0 != tc.wantEvicted {
				t.Errorf("evicted are %v", got)
			}
			told := drain(c.told)
			if tc.wantTold {
				needs(t, "events", fmt.Sprint(told), "Warning DeviceLimits spec.deserved names only resources")
			}
			if want := map[bool]int{true: 1}[tc.wantTold]; len(told) != want {
				t.Errorf("%d events in two sessions, want %d: %v", len(told), want, told)
			}
		})
	}
}

func TestQueueWithTheSmallerShareOfDevicesIsServedFirst(t *testing.T) {
	for _, beside := range besides {
		t.Run(beside, func(t *testing.T) {
			c := newCluster(t, vt.Objects(node1(3),
				vt.MakeQueue("half").Deserved(vt.Asks{"cpu": "64", "basalt.io/gpu-cards": "2"}).Obj(),
				vt.MakeQueue("third").Deserved(vt.Asks{"cpu": "32", "basalt.io/gpu-cards": "3"}).Obj(),
				running("a", "half", 1, 1, 0), running("b", "third", 1, 1, 1))...)
			ssn, _ := c.Open(configuration("allocate", beside))
			half, third := ssn.Queues["half"], ssn.Queues["third"]
			if ssn.QueueOrderFn(half, third) || !ssn.QueueOrderFn(third, half) {
				t.Error("the queue with half of its devices comes before the one with a third")
			}
		})
	}
}
