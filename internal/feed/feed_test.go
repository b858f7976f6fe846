package feed

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

var testCards = []device.Card{
	{UUID: "GPU-0", Index: 0, Vendor: device.VendorNVIDIA, Model: "NVIDIA-A100", Memory: 81920, Cores: 100, Slots: 10, Healthy: true, Mode: device.ModeHAMiCore},
	{UUID: "GPU-1", Index: 1, Vendor: device.VendorNVIDIA, Model: "NVIDIA-A100", Memory: 81920, Cores: 100, Slots: 10, Healthy: true, Mode: device.ModeHAMiCore},
}

func newFeed(t *testing.T) (*Feed, *record.FakeRecorder) {
	t.Helper()
	recorder := record.NewFakeRecorder(100)
	return New(context.Background(), ledger.New(), Options{Requests: request.Defaults(), Recorder: recorder}), recorder
}

func testNode(t *testing.T) *v1.Node {
	t.Helper()
	registered, err := wire.EncodeNodeHAMi(testCards)
	if err != nil {
		t.Fatal(err)
	}
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1", UID: "n1", Annotations: map[string]string{
		wire.HAMiNodeRegisterKey: registered, wire.AgentKey: wire.AgentVersion,
	}}}
}

// placed makes a running pod on node1 with a slice of 3000 MiB.
func placed(t *testing.T, uid string) *v1.Pod {
	t.Helper()
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "p", UID: types.UID(uid)},
		Spec: v1.PodSpec{NodeName: "node1", Containers: []v1.Container{{Name: "main", Resources: v1.ResourceRequirements{
			Limits: v1.ResourceList{"nvidia.com/gpu": resource.MustParse("1"), "nvidia.com/gpumem": resource.MustParse("3000")},
		}}}},
		Status: v1.PodStatus{Phase: v1.PodRunning},
	}
	return allocated(t, pod, "node1")
}

func allocated(t *testing.T, pod *v1.Pod, node string) *v1.Pod {
	t.Helper()
	value, err := wire.EncodeAllocation(wire.Allocation{Version: wire.AllocationVersion, Node: node,
		Containers: map[string][]wire.Slice{"main": {{UUID: "GPU-0", Memory: 3000, Cores: 30}}}})
	if err != nil {
		t.Fatal(err)
	}
	pod.Annotations = map[string]string{wire.AllocationKey: value}
	return pod
}

func status(states ...v1.ContainerState) []v1.ContainerStatus {
	var out []v1.ContainerStatus
	for _, s := range states {
		out = append(out, v1.ContainerStatus{State: s})
	}
	return out
}

var (
	running    = v1.ContainerState{Running: &v1.ContainerStateRunning{}}
	waiting    = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{}}
	terminated = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{}}
)

func TestPodKeepsItsSliceUntilItsContainersAreGone(t *testing.T) {
	tests := map[string]struct {
		change func(*v1.Pod)
		// want is the state in the ledger, "" for none.
		want ledger.State
	}{
		"running":   {change: func(*v1.Pod) {}, want: ledger.Bound},
		"succeeded": {change: func(p *v1.Pod) { p.Status.Phase = v1.PodSucceeded }},
		"failed":    {change: func(p *v1.Pod) { p.Status.Phase = v1.PodFailed }},
		"all containers ended, restarted by the kubelet": {change: func(p *v1.Pod) { p.Status.ContainerStatuses = status(terminated) }, want: ledger.Bound},
		"terminating, container runs": {change: func(p *v1.Pod) {
			p.DeletionTimestamp, p.Status.ContainerStatuses = &metav1.Time{Time: time.Unix(1, 0)}, status(running)
		}, want: ledger.Releasing},
		"terminating, nothing is known of its container": {change: func(p *v1.Pod) {
			p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}, want: ledger.Releasing},
		"terminating, container is between two crashes": {change: func(p *v1.Pod) {
			p.DeletionTimestamp, p.Status.ContainerStatuses = &metav1.Time{Time: time.Unix(1, 0)}, status(waiting)
		}, want: ledger.Releasing},
		"terminating, sidecar still runs": {change: func(p *v1.Pod) {
			p.DeletionTimestamp, p.Status.ContainerStatuses = &metav1.Time{Time: time.Unix(1, 0)}, status(terminated)
			p.Status.InitContainerStatuses = status(running)
		}, want: ledger.Releasing},
		"terminating, all containers ended": {change: func(p *v1.Pod) {
			p.DeletionTimestamp, p.Status.ContainerStatuses = &metav1.Time{Time: time.Unix(1, 0)}, status(terminated)
			p.Status.InitContainerStatuses = status(terminated)
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := newFeed(t)
			f.nodeChanged(nil, testNode(t))
			before := placed(t, "u1")
			f.podChanged(nil, before)
			after := before.DeepCopy()
			tc.change(after)
			f.podChanged(before, after)
			_, state, ok := f.ledger.Held("u1")
			if !ok {
				state = ""
			}
			if state != tc.want {
				t.Errorf("state %q, want %q", state, tc.want)
			}
		})
	}
}

func TestOnlyAllocationsThatNameTheNodeCount(t *testing.T) {
	tests := map[string]struct {
		pod          func(*v1.Pod) *v1.Pod
		wantHeld     bool
		wantBypassed float64
	}{
		"allocation names the node":          {pod: func(p *v1.Pod) *v1.Pod { return p }, wantHeld: true},
		"allocation names another node":      {pod: func(p *v1.Pod) *v1.Pod { return allocated(t, p, "node2") }, wantBypassed: 1},
		"not bound yet":                      {pod: func(p *v1.Pod) *v1.Pod { p.Spec.NodeName = ""; return p }},
		"bound without allocation":           {pod: func(p *v1.Pod) *v1.Pod { p.Annotations = nil; return p }, wantBypassed: 1},
		"allocation cannot be read":          {pod: func(p *v1.Pod) *v1.Pod { p.Annotations[wire.AllocationKey] = "{"; return p }, wantBypassed: 1},
		"bound without allocation elsewhere": {pod: func(p *v1.Pod) *v1.Pod { p.Annotations, p.Spec.NodeName = nil, "node9"; return p }},
		"asks for no devices": {pod: func(p *v1.Pod) *v1.Pod {
			p.Annotations, p.Spec.Containers[0].Resources = nil, v1.ResourceRequirements{}
			return p
		}},
	}
	for name, tc := range tests {
		for _, nodeFirst := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				f, _ := newFeed(t)
				if nodeFirst {
					f.nodeChanged(nil, testNode(t))
				}
				pod := tc.pod(placed(t, "u1"))
				f.podChanged(nil, pod)
				if !nodeFirst {
					f.nodeChanged(nil, testNode(t))
				}
				if _, _, held := f.ledger.Held("u1"); held != tc.wantHeld {
					t.Errorf("held %t, want %t", held, tc.wantHeld)
				}
				if got := f.bypassedCount(); got != tc.wantBypassed {
					t.Errorf("%v bypassed pods, want %v", got, tc.wantBypassed)
				}
				f.podDeleted(pod)
				if got := f.bypassedCount(); got != 0 {
					t.Errorf("%v bypassed pods after the deletion", got)
				}
			})
		}
	}
}

func TestDeletionGoesByUID(t *testing.T) {
	tests := map[string]func(f *Feed, old, recreated *v1.Pod){
		"deletion, then creation":         func(f *Feed, old, recreated *v1.Pod) { f.podDeleted(old); f.podChanged(nil, recreated) },
		"late deletion of the old object": func(f *Feed, old, recreated *v1.Pod) { f.podChanged(nil, recreated); f.podDeleted(old) },
		"both joined into one update":     func(f *Feed, old, recreated *v1.Pod) { f.podChanged(old, recreated) },
		"deletion found by a new list, unwatched": func(f *Feed, old, recreated *v1.Pod) {
			f.podDeleted(cache.DeletedFinalStateUnknown{Key: "team-a/p", Obj: old})
			f.podChanged(nil, recreated)
		},
	}
	for name, events := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := newFeed(t)
			f.nodeChanged(nil, testNode(t))
			old, recreated := placed(t, "u1"), placed(t, "u2")
			f.podChanged(nil, old)
			events(f, old, recreated)
			if _, _, held := f.ledger.Held("u1"); held {
				t.Error("the old pod still has its slice")
			}
			if _, state, _ := f.ledger.Held("u2"); state != ledger.Bound {
				t.Errorf("the new pod is %q, want %q", state, ledger.Bound)
			}
		})
	}
	f, _ := newFeed(t)
	f.podDeleted(cache.DeletedFinalStateUnknown{Key: "team-a/p"})
	f.nodeDeleted(cache.DeletedFinalStateUnknown{Key: "node1"})
}

func TestPodsOfOtherSchedulersAreCountedFromTheirOwnAnnotations(t *testing.T) {
	encoders := map[string]func(*v1.Pod, wire.Allocation) (map[string]string, error){
		"HAMi": wire.EncodeHAMiPod, "Volcano": wire.EncodeVolcanoPod,
	}
	for name, encode := range encoders {
		t.Run(name, func(t *testing.T) {
			f, _ := newFeed(t)
			f.nodeChanged(nil, testNode(t))
			pod := placed(t, "u1")
			own, err := wire.DecodeAllocation(pod.Annotations[wire.AllocationKey])
			if err != nil {
				t.Fatal(err)
			}
			if pod.Annotations, err = encode(pod, own); err != nil {
				t.Fatal(err)
			}
			f.podChanged(nil, pod)
			got, _, held := f.ledger.Held("u1")
			if !held {
				t.Fatal("pod has no slice in the ledger")
			}
			if diff := cmp.Diff(own.Containers, got.Containers); diff != "" {
				t.Errorf("slices (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestRewrittenAllocationOfABoundPodChangesNothing(t *testing.T) {
	tests := map[string]func(*v1.Pod){
		"smaller slice": func(p *v1.Pod) {
			p.Annotations[wire.AllocationKey] = strings.ReplaceAll(p.Annotations[wire.AllocationKey], "3000", "1")
		},
		"unreadable":   func(p *v1.Pod) { p.Annotations[wire.AllocationKey] = "{" },
		"removed":      func(p *v1.Pod) { p.Annotations = nil },
		"another node": func(p *v1.Pod) { allocated(t, p, "node2") },
	}
	for name, rewrite := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := newFeed(t)
			f.nodeChanged(nil, testNode(t))
			before := placed(t, "u1")
			f.podChanged(nil, before)
			want, _, _ := f.ledger.Held("u1")
			after := before.DeepCopy()
			rewrite(after)
			f.podChanged(before, after)
			f.podChanged(after, after.DeepCopy())
			got, state, _ := f.ledger.Held("u1")
			if diff := cmp.Diff(want, got); diff != "" || state != ledger.Bound {
				t.Errorf("state %q, slices (-want,+got):\n%s", state, diff)
			}
		})
	}
}

func TestNodeOffersWhatCanBeRead(t *testing.T) {
	tests := map[string]struct {
		change      func(*v1.Node)
		wantCards   int
		wantRefusal string
		wantEvents  int
	}{
		"registered by Basalt's agent": {change: func(*v1.Node) {}, wantCards: 2},
		"registered by another plugin": {change: func(n *v1.Node) { delete(n.Annotations, wire.AgentKey) }, wantCards: 2, wantRefusal: "another device plugin"},
		"no longer registered":         {change: func(n *v1.Node) { n.Annotations = nil }},
		"registration cannot be read": {change: func(n *v1.Node) { n.Annotations[wire.HAMiNodeRegisterKey] = "[{]" },
			wantRefusal: "cannot be read", wantEvents: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, recorder := newFeed(t)
			old := testNode(t)
			f.nodeChanged(nil, old)
			f.podChanged(nil, placed(t, "u1"))
			changed := old.DeepCopy()
			tc.change(changed)
			f.nodeChanged(old, changed)
			heartbeat := changed.DeepCopy()
			heartbeat.ResourceVersion = "7"
			f.nodeChanged(changed, heartbeat)

			known := 0
			for _, n := range f.ledger.Snapshot().Nodes {
				for _, c := range n.Cards {
					if !c.Unknown {
						known++
					}
				}
			}
			if known != tc.wantCards {
				t.Errorf("%d cards, want %d", known, tc.wantCards)
			}
			if got := f.Refusal("node1"); !strings.Contains(got, tc.wantRefusal) || (tc.wantRefusal == "") != (got == "") {
				t.Errorf("refusal %q, want %q", got, tc.wantRefusal)
			}
			if len(recorder.Events) != tc.wantEvents {
				t.Errorf("%d events, want %d", len(recorder.Events), tc.wantEvents)
			}
			if _, _, held := f.ledger.Held("u1"); !held {
				t.Error("the pod that runs there lost its slice")
			}
		})
	}
}

func TestNodeSaysWhichCardsNewPodsGet(t *testing.T) {
	const links = `[{"uuid":"GPU-0","score":{"GPU-1":610}}]`
	tests := map[string]struct {
		annotations  map[string]string
		wantCordoned []bool
		wantLink     device.PairScore
		wantEvent    string // its reason
	}{
		"nothing said":   {wantCordoned: []bool{false, false}},
		"a cordon":       {annotations: map[string]string{wire.CordonKey: "GPU-1"}, wantCordoned: []bool{false, true}},
		"links of cards": {annotations: map[string]string{wire.HAMiNodeScoreKey: links}, wantCordoned: []bool{false, false}, wantLink: 610},
		"a cordon of a card that is not there": {
			annotations:  map[string]string{wire.CordonKey: "GPU-0,GPU-9"},
			wantCordoned: []bool{true, false}, wantEvent: ReasonUnknownCordon,
		},
		"links that cannot be read leave the cards": {
			annotations:  map[string]string{wire.HAMiNodeScoreKey: "{"},
			wantCordoned: []bool{false, false}, wantEvent: ReasonUnreadableLinks,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, recorder := newFeed(t)
			old := testNode(t)
			f.nodeChanged(nil, old)
			changed := old.DeepCopy()
			for key, value := range tc.annotations {
				changed.Annotations[key] = value
			}
			f.nodeChanged(old, changed)
			var n fit.Node
			f.ledger.View("node1", 0, &n)
			var cordoned []bool
			for _, c := range n.Cards {
				cordoned = append(cordoned, c.Cordoned)
			}
			if diff := cmp.Diff(tc.wantCordoned, cordoned); diff != "" {
				t.Errorf("cordoned (-want,+got):\n%s", diff)
			}
			if got := n.Pairs.Score(0, 1); got != tc.wantLink {
				t.Errorf("link is %d, want %d", got, tc.wantLink)
			}
			event := ""
			if len(recorder.Events) > 0 {
				event = <-recorder.Events
			}
			if !strings.Contains(event, tc.wantEvent) || tc.wantEvent == "" && event != "" {
				t.Errorf("event %q, want %q", event, tc.wantEvent)
			}
		})
	}
}

func TestFeedFillsTheLedgerFromARunningFactory(t *testing.T) {
	objects := []runtime.Object{testNode(t), placed(t, "u1")}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	factory.Core().V1().Nodes().Informer()
	factory.Core().V1().Pods().Informer()
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())

	f, _ := newFeed(t)
	if f.HasSynced() {
		t.Error("a feed that watches nothing says that it is filled")
	}
	if err := f.Attach(factory); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !f.WaitForSync(ctx) {
		t.Fatal("ledger is not filled")
	}
	if _, state, _ := f.ledger.Held("u1"); state != ledger.Bound {
		t.Errorf("state %q, want %q", state, ledger.Bound)
	}
}
