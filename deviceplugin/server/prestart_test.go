package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/deviceplugin/cdi"
	"github.com/basalt-gpu/basalt/deviceplugin/kubelet/kubelettest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// slice is what one container of a test shall get.
type slice struct {
	memory, cores, card int
}

// check compares what a CDI name gives a container with its slice.
func (r *rig) check(uid, container, cdiName string, want slice) error {
	got, err := r.injected(cdiName)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", uid, container, err)
	}
	wantOwner := cdi.Owner{PodUID: uid, Container: container}
	switch {
	case got.Owner != wantOwner:
		return fmt.Errorf("%s/%s: spec belongs to %+v", uid, container, got.Owner)
	case got.Cards != cardUUID(want.card):
		return fmt.Errorf("%s/%s: cards %s, want card %d", uid, container, got.Cards, want.card)
	case len(got.Limit.Devices) != 1 || got.Limit.PodUID != uid || got.Limit.Container != container:
		return fmt.Errorf("%s/%s: limits page %+v", uid, container, got.Limit)
	}
	d := got.Limit.Devices[0]
	if d.UUID != cardUUID(want.card) || d.LimitBytes != uint64(want.memory)<<20 || d.CorePercent != uint32(want.cores) {
		return fmt.Errorf("%s/%s: limits %+v, want %+v", uid, container, d, want)
	}
	return nil
}

// twentyPods runs 20 pods of an init and two app containers each, all different, all at once. The
// first app container uses the init container's token again.
func twentyPods(t *testing.T, r *rig, round int) []*v1.Pod {
	t.Helper()
	var all []*v1.Pod
	var wg sync.WaitGroup
	errs := make(chan error, 60)
	for i := range 20 {
		uid := fmt.Sprintf("uid-%d-%02d", round, i)
		n := round*20 + i
		want := map[string]slice{
			"init": {memory: 100 + n, cores: 1, card: i % 8},
			"a":    {memory: 200 + n, cores: 2, card: (i + 1) % 8},
			"b":    {memory: 300 + n, cores: 3, card: (i + 2) % 8},
		}
		b := makePod(uid, fmt.Sprintf("pod-%02d", i))
		b.init("init", want["init"].memory, 1, want["init"].card)
		b.app("a", want["a"].memory, 2, want["a"].card).app("b", want["b"].memory, 3, want["b"].card)
		pod := b.obj(t)
		r.create(pod)
		all = append(all, pod)
		// A kubelet admits pods one after the other.
		names := map[string]string{}
		var initIDs []string
		initIDs, names["init"] = r.admit(uid, "init", 1)
		_, names["a"] = r.admit(uid, "a", 1, initIDs...)
		_, names["b"] = r.admit(uid, "b", 1)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, container := range []string{"init", "a", "b"} {
				err := r.kubelet.StartContainer(uid, container)
				if err == nil {
					err = r.check(uid, container, names[container], want[container])
				}
				if err != nil {
					errs <- err
				}
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	return all
}

func TestEveryContainerGetsItsOwnSliceOnRecycledTokens(t *testing.T) {
	r := newRig(t, 8).run()
	for round := range 3 {
		for _, pod := range twentyPods(t, r, round) {
			r.remove(pod)
		}
	}
}

func TestPodRecreatedUnderTheSameNameGetsItsOwnSlice(t *testing.T) {
	r := newRig(t, 2).run()
	for i := range 5 {
		uid := fmt.Sprintf("uid-%d", i)
		pod := makePod(uid, "same-name").app("main", 1000+i, 10, i%2).obj(t)
		r.create(pod)
		_, name := r.admit(uid, "main", 1)
		if err := r.kubelet.StartContainer(uid, "main"); err != nil {
			t.Fatalf("start: %v", err)
		}
		if err := r.check(uid, "main", name, slice{memory: 1000 + i, cores: 10, card: i % 2}); err != nil {
			t.Error(err)
		}
		r.remove(pod)
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		pod     *podBuilder
		strip   bool
		wantMsg string
	}{
		"a pod without an allocation is told who should have scheduled it": {
			pod: makePod("u", "p").app("main", 3000, 30, 0), strip: true,
			wantMsg: `bound by scheduler "volcano"; pods that ask for shared devices have to be scheduled by Basalt`,
		},
		"an allocation for another node is refused": {
			pod: makePod("u", "p").app("main", 3000, 30, 0).onNode("node2"), wantMsg: "node2",
		},
		"more memory than the container asks is refused": {
			pod:     makePod("u", "p").app("main", 3000, 30, 0).allocated("main", 4000, 30, 0),
			wantMsg: "asks for 3000 MiB of card " + cardUUID(0) + " and was allocated 4000 MiB",
		},
		"more cores than the container asks are refused": {
			pod:     makePod("u", "p").app("main", 3000, 30, 0).allocated("main", 3000, 90, 0),
			wantMsg: "asks for 30 % of the cores",
		},
		"more cards than the container asks are refused": {
			pod:     makePod("u", "p").app("main", 3000, 30, 0).allocated("main", 3000, 30, 0, 1),
			wantMsg: "asks for 1 cards and was allocated 2",
		},
		"a card of another node is refused": {
			pod:     makePod("u", "p").app("main", 3000, 30, 0).allocated("main", 3000, 30, 7),
			wantMsg: "not on this node",
		},
		"slices for a container that asks for none are refused": {
			pod:     makePod("u", "p").app("main", 3000, 30, 0).allocated("other", 3000, 30, 0),
			wantMsg: "container other was allocated 1 cards and asks for none",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2).run()
			pod := tc.pod.obj(t)
			if tc.strip {
				delete(pod.Annotations, wire.AllocationKey)
			}
			r.create(pod)
			_, cdiName := r.admit("u", "main", 1)
			for range 3 { // the kubelet tries again; the event is written once
				err := r.kubelet.StartContainer("u", "main")
				if err == nil || !strings.Contains(err.Error(), tc.wantMsg) {
					t.Fatalf("start: %v, want an error with %q", err, tc.wantMsg)
				}
			}
			if _, err := r.injected(cdiName); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("spec of a refused container: %v, want none", err)
			}
			kubelettest.Eventually(t, "the pod has an event", func() bool { return len(r.events("DeviceSliceRefused")) > 0 })
			if got := r.events("DeviceSliceRefused"); len(got) != 1 || !strings.Contains(got[0], tc.wantMsg) {
				t.Errorf("events: %q, want one with %q", got, tc.wantMsg)
			}
		})
	}
}

func TestCardIsNotSoldTwice(t *testing.T) {
	r := newRig(t, 1).run()
	r.create(makePod("first", "first").app("main", 80000, 30, 0).obj(t))
	r.admit("first", "main", 1)
	if err := r.kubelet.StartContainer("first", "main"); err != nil {
		t.Fatalf("start first: %v", err)
	}
	r.create(makePod("second", "second").app("main", 3000, 30, 0).obj(t))
	_, name := r.admit("second", "main", 1)
	refused := make(chan error, 1)
	go func() { refused <- r.kubelet.StartContainer("second", "main") }()
	// The call waits for room; the pod that ends meanwhile gives it.
	first, err := r.client.CoreV1().Pods("default").Get(t.Context(), "first", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if err == nil {
			t.Fatal("the second pod started beside the first")
		}
	default:
	}
	first.Status.Phase = v1.PodSucceeded
	if _, err := r.client.CoreV1().Pods("default").UpdateStatus(t.Context(), first, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err != nil {
		t.Fatalf("start second after the first ended: %v", err)
	}
	if err := r.check("second", "main", name, slice{memory: 3000, cores: 30, card: 0}); err != nil {
		t.Error(err)
	}
}

func TestRewrittenAnnotationIsIgnoredWithOneEvent(t *testing.T) {
	r := newRig(t, 2).run()
	pod := makePod("u", "p").app("main", 3000, 30, 0).obj(t)
	r.create(pod)
	_, name := r.admit("u", "main", 1)
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("start: %v", err)
	}
	for _, memory := range []int{9000, 10000} {
		changed := makePod("u", "p").app("main", 3000, 30, 0).allocated("main", memory, 30, 1).obj(t)
		if _, err := r.client.CoreV1().Pods("default").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		kubelettest.Eventually(t, "the change is seen", func() bool { return len(r.events("DeviceAllocationChanged")) > 0 })
		if err := r.kubelet.StartContainer("u", "main"); err != nil {
			t.Fatalf("restart: %v", err)
		}
		if err := r.check("u", "main", name, slice{memory: 3000, cores: 30, card: 0}); err != nil {
			t.Error(err)
		}
	}
	r.stop()
	r.run()
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("restart after the agent's: %v", err)
	}
	if got := r.events("DeviceAllocationChanged"); len(got) != 1 {
		t.Errorf("events: %q, want one", got)
	}
}

func TestStaleCheckpointIsWrittenAgain(t *testing.T) {
	r := newRig(t, 1).run()
	before := r.kubelet.Checkpoint(nil)
	r.create(makePod("u", "p").app("main", 3000, 30, 0).obj(t))
	_, name := r.admit("u", "main", 1)
	r.kubelet.Checkpoint(before)
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("start: %v", err)
	}
	if err := r.check("u", "main", name, slice{memory: 3000, cores: 30, card: 0}); err != nil {
		t.Error(err)
	}
}

func TestGarbageInTheCheckpointRefusesWithoutHarm(t *testing.T) {
	r := newRig(t, 1).run()
	r.create(makePod("u", "p").app("main", 3000, 30, 0).obj(t))
	r.admit("u", "main", 1)
	r.kubelet.Checkpoint([]byte(`{"Data":{"PodDeviceEntries":[{"PodUID":`))
	if err := r.kubelet.StartContainer("u", "main"); err == nil || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("start: %v, want an error about the checkpoint", err)
	}
}

func TestDeadRegionIsReplacedAndAGoodOneKept(t *testing.T) {
	r := newRig(t, 1).run()
	r.create(makePod("u", "p").app("main", 3000, 30, 0).obj(t))
	r.admit("u", "main", 1)
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("start: %v", err)
	}
	region := filepath.Join(r.opts.RunDir, "pods", "u", "main", "region")
	first, err := os.Stat(region)
	if err != nil {
		t.Fatal(err)
	}
	if first.Mode().Perm() != 0o666 {
		t.Errorf("region mode %v, want 0666", first.Mode().Perm())
	}
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("restart: %v", err)
	}
	if second, _ := os.Stat(region); !os.SameFile(first, second) {
		t.Error("a good region was replaced")
	}
	if err := os.Truncate(region, 10); err != nil {
		t.Fatal(err)
	}
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("restart after damage: %v", err)
	}
	second, err := os.Stat(region)
	if diff := cmp.Diff(first.Size(), second.Size()); err != nil || diff != "" {
		t.Errorf("region after damage: %v (-want,+got)\n%s", err, diff)
	}
}
