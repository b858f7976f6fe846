package e2e

import (
	"context"
	"fmt"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
)

// manyPods is how many pods with different slices start at once.
const manyPods = 20

var _ = Describe("Containers with different slices", Label(labelSlices), func() {
	for run := 1; run <= 3; run++ {
		It(fmt.Sprintf("each get exactly their own, 20 pods of two created at once on one node, run %d of 3", run), func(ctx SpecContext) {
			ns := newNamespace(ctx)
			wants := map[string][2]slice{}
			var pods []*v1.Pod
			for i := range manyPods {
				name := fmt.Sprintf("pod-%02d", i)
				wants[name] = differentSlices(i, run)
				pods = append(pods, makePod(name).
					raw(reporting("left", wants[name][0])).
					raw(reporting("right", wants[name][1])).obj())
			}
			createAtOnce(ctx, ns, pods)
			for _, pod := range waitRunning(ctx, ns, manyPods) {
				expectSlice(ctx, &pod, "left", wants[pod.Name][0])
				expectSlice(ctx, &pod, "right", wants[pod.Name][1])
			}
			Expect(overcommitted(mustLedger(ctx))).To(BeEmpty())
		})
	}

	It("get their own in both vocabularies, as percentage and as whole cards", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		create(ctx, ns, makePod("percent").raw(container("main", v1.ResourceList{gpu: quantity(1), gpumemPct: quantity(25), gpucores: quantity(20)},
			"sh", "-c", reportScript+"; exec cudaprobe info hold")).obj())
		create(ctx, ns, makePod("volcano-percent").raw(container("main", v1.ResourceList{vgpuNumber: quantity(2), vgpuPercent: quantity(10), vgpuCores: quantity(15)},
			"sh", "-c", reportScript+"; exec cudaprobe info hold")).obj())
		create(ctx, ns, makePod("volcano").raw(container("main", v1.ResourceList{vgpuNumber: quantity(1), vgpuMemory: quantity(4321), vgpuCores: quantity(7)},
			"sh", "-c", reportScript+"; exec cudaprobe info hold")).obj())
		create(ctx, ns, makePod("whole").raw(container("main", v1.ResourceList{gpu: quantity(1)},
			"sh", "-c", reportScript+"; exec cudaprobe info hold")).obj())
		wants := map[string]slice{
			"percent":         {cards: 1, memory: cardMemory / 4, cores: 20},
			"volcano-percent": {cards: 2, memory: cardMemory / 10, cores: 15},
			"volcano":         {cards: 1, memory: 4321, cores: 7},
			"whole":           {cards: 1, memory: cardMemory},
		}
		for _, pod := range waitRunning(ctx, ns, len(wants)) {
			expectSlice(ctx, &pod, "main", wants[pod.Name])
		}
	})

	It("get their own in init containers, sidecars and app containers that share tokens", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		const count = 6
		check := func(name string, s slice) v1.Container {
			// An init container's report outlives it in its log; its own checks fail the pod if its slice is wrong.
			return container(name, s.limits(), "sh", "-c", reportScript+"; exec cudaprobe info expect-devices "+
				fmt.Sprint(s.cards)+" expect-total "+mib(s.memory)+" alloc "+mib(s.memory-400)+" expect-ok alloc 400 expect-oom")
		}
		wants := map[string]map[string]slice{}
		var pods []*v1.Pod
		for i := range count {
			n := uint64(i)
			want := map[string]slice{
				"first":   {cards: 1, memory: 1000 + 10*n, cores: 5},
				"sidecar": {cards: 1, memory: 1500 + 10*n, cores: 3},
				"second":  {cards: 2, memory: 2000 + 10*n, cores: 10},
				"left":    {cards: 1, memory: 3000 + 10*n, cores: 7},
				"right":   {cards: 1, memory: 4000 + 10*n, cores: 8},
			}
			name := fmt.Sprintf("pod-%d", i)
			wants[name] = want
			pods = append(pods, makePod(name).
				init(check("first", want["first"])).
				sidecar(reporting("sidecar", want["sidecar"])).
				init(check("second", want["second"])).
				raw(reporting("left", want["left"])).
				raw(reporting("right", want["right"])).obj())
		}
		createAtOnce(ctx, ns, pods)
		for _, pod := range waitRunning(ctx, ns, count) {
			for name, want := range wants[pod.Name] {
				expectSlice(ctx, &pod, name, want)
			}
		}
	})

	It("get their own when a pod is deleted and made again under the same name with another slice", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		names := []string{"phoenix-a", "phoenix-b", "phoenix-c", "phoenix-d"}
		for round := range uint64(3) {
			wants := map[string]slice{}
			var pods []*v1.Pod
			for i, name := range names {
				wants[name] = slice{cards: 1, memory: 2000 + 1000*round + 100*uint64(i), cores: 5 + uint32(round)}
				pods = append(pods, makePod(name).raw(reporting("main", wants[name])).obj())
			}
			createAtOnce(ctx, ns, pods)
			for _, pod := range waitRunning(ctx, ns, len(names)) {
				expectSlice(ctx, &pod, "main", wants[pod.Name])
			}
			deletePods(ctx, ns, 2)
			for _, name := range names {
				waitGone(ctx, ns, name)
			}
		}
	})
})

// differentSlices are the two slices of the i-th pod: no container of a run asks what another asks,
// and no run what the one before asked. All of a run's fit on the node.
func differentSlices(i, run int) [2]slice {
	n, r := uint64(i), uint64(run)
	left := slice{cards: 1, memory: 1000 + 64*n + 7*r, cores: uint32(3 + i%7)}
	right := slice{cards: 1, memory: 4000 + 96*n + 11*r, cores: uint32(4 + i%5)}
	if i%4 == 0 {
		right.cards = 2
	}
	return [2]slice{left, right}
}

// createAtOnce makes all pods side by side.
func createAtOnce(ctx context.Context, ns string, pods []*v1.Pod) {
	GinkgoHelper()
	var all sync.WaitGroup
	for _, pod := range pods {
		all.Add(1)
		go func() {
			defer GinkgoRecover()
			defer all.Done()
			create(ctx, ns, pod)
		}()
	}
	all.Wait()
}
