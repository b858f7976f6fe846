package e2e

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	batch "volcano.sh/apis/pkg/apis/batch/v1alpha1"

	"github.com/basalt-gpu/basalt/test/cluster"
)

// The churn: so many short pods go through one token per card, in jobs of churnBatch pods, of which
// churnOpen are in the cluster at a time. How long all of it takes is the machine's business; it fails
// when for churnStall no job ends.
const (
	churnPods  = 1000
	churnBatch = 20
	churnOpen  = 3
	churnStall = 2 * time.Minute
	churnMost  = 20 * time.Minute
)

var _ = Describe("Recycled tokens", Label(labelChurn), func() {
	It("never carry an old slice: 1000 short pods through 8 tokens, two slices alternating", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		restoreAfter(cluster.Scheduler)
		restoreAfter(cluster.DevicePlugin)
		started(ctx, cluster.DevicePlugin, "--device-split-count=1")
		waitTokens(ctx, cardCount)
		// Shorter pauses between sessions only make it faster.
		started(ctx, cluster.Scheduler, "--schedule-period=100ms")

		next, open := 0, map[string]bool{}
		progress := time.Now()
		Eventually(ctx, func(g Gomega) {
			for len(open) < churnOpen && next < churnPods/churnBatch {
				name := fmt.Sprintf("churn-%02d", next)
				createJob(ctx, ns, churnJob(name))
				open[name] = true
				next++
			}
			for name := range open {
				if finishedChurn(ctx, ns, name) {
					delete(open, name)
					progress = time.Now()
				}
			}
			if time.Since(progress) > churnStall {
				StopTrying(fmt.Sprintf("no job ended for %s, %d were started", churnStall, next)).Now()
			}
			g.Expect(open).To(BeEmpty(), "%d of %d jobs were started", next, churnPods/churnBatch)
		}).WithTimeout(churnMost).WithPolling(interval).Should(Succeed())
		Expect(next * churnBatch).To(Equal(churnPods))
	})
})

// churnJob is a job whose pods check what they got and end; half of them ask for one slice, half for
// another.
func churnJob(name string) *batch.Job {
	odd := slice{cards: 1, memory: 3000, cores: 30}
	even := slice{cards: 1, memory: 7000, cores: 60}
	probe := func(s slice) task {
		return task{name: fmt.Sprintf("m%d", s.memory), replicas: churnBatch / 2, pod: makePod("").app("main", s,
			"info", "expect-devices", "1", "expect-total", mib(s.memory), "alloc", mib(s.memory-400), "expect-ok", "alloc", "400", "expect-oom").obj()}
	}
	return makeJob(name, 1, probe(odd), probe(even))
}

// finishedChurn reports whether a job is done, and removes it then. A pod that saw a wrong slice ends
// with an error, and with it the spec. The pods are counted themselves: Volcano clears the counters of
// a job's status when the job completes.
func finishedChurn(ctx context.Context, ns, name string) bool {
	GinkgoHelper()
	succeeded := 0
	for _, pod := range jobPods(ctx, ns, name) {
		switch pod.Status.Phase {
		case v1.PodSucceeded:
			succeeded++
		case v1.PodFailed:
			text, _ := logs(ctx, &pod, "main")
			StopTrying(fmt.Sprintf("pod %s failed: %s\n%s", pod.Name, describe(&pod), text)).Now()
		}
	}
	if succeeded < churnBatch {
		return false
	}
	Expect(vc.BatchV1alpha1().Jobs(ns).Delete(ctx, name,
		metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)})).To(Succeed())
	return true
}
