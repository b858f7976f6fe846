package e2e

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
	batch "volcano.sh/apis/pkg/apis/batch/v1alpha1"

	"github.com/basalt-gpu/basalt/test/cluster"
)

var _ = Describe("A gang of vGPU tasks", Label(labelGang), func() {
	It("runs as examples/vcjob-vgpu.yaml promises: four tasks on shared cards, each confined to its 3000 MiB", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		createJob(ctx, ns, exampleJob())
		pods := waitRunning(ctx, ns, 4)

		By("each task has one slice of 3000 MiB and 30 % cores, and cards are shared")
		cards := map[string]int{}
		for i := range pods {
			for _, s := range expectAsked(&pods[i], "main", slice{cards: 1, memory: 3000, cores: 30}) {
				cards[s.UUID]++
			}
		}
		Expect(len(cards)).To(BeNumerically("<", 4), "no card is shared: %v", cards)

		By("inside, CUDA and NVML show the slice, 2500 MiB work beside the context, and 400 more do not")
		for i := range pods {
			v := waitView(ctx, &pods[i], "main", "hold")
			expectSeen(v, pods[i].Name, allocationOf(&pods[i]).Containers["main"])
			Expect(v.results("alloc")).To(Equal([]string{"2500 CUDA_SUCCESS", "400 CUDA_ERROR_OUT_OF_MEMORY"}))
		}

		By("a task that asks again for too much disturbs none of its neighbours")
		out, err := node.Exec(ctx, ns, pods[0].Name, "main", "cudaprobe", "alloc", "400", "alloc", "3000")
		Expect(err).NotTo(HaveOccurred())
		Expect(parseView(out).results("alloc")).To(Equal([]string{"400 CUDA_ERROR_OUT_OF_MEMORY", "3000 CUDA_ERROR_OUT_OF_MEMORY"}),
			"2500 MiB are taken and a second process brings a second context")
		expectUndisturbed(ctx, ns, pods)
	})

	It("is held to its slice by every way of allocating memory", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		ways := []string{"alloc", "managed", "pitch", "create", "async"}
		for _, way := range ways {
			// What is given back can be taken again: the last step would fail if a refusal were charged.
			create(ctx, ns, makePod(way).app("main", slice{cards: 1, memory: 3000, cores: 10},
				way, "2500", "expect-ok", way, "400", "expect-oom", "free", way, "2600", "expect-ok", "hold").obj())
		}
		for _, pod := range waitRunning(ctx, ns, len(ways)) {
			v := waitView(ctx, &pod, "main", "hold")
			Expect(v.results(pod.Name)).To(Equal([]string{"2500 CUDA_SUCCESS", "400 CUDA_ERROR_OUT_OF_MEMORY", "2600 CUDA_SUCCESS"}))
		}
	})

	It("leaves no trace when it does not fit", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		members := tooLarge(ctx, ns)
		By("the event of every member says which resource is short and by how much")
		for _, pod := range members {
			Eventually(func() string { return said(ctx, ns, pod.Name) }).WithTimeout(soon).WithPolling(interval).
				Should(MatchRegexp(shortage))
		}
		Expect(placed(jobPods(ctx, ns, "too-large"))).To(BeEmpty())
	})
})

const shortage = `event .*insufficient device memory.*asks 60000 MiB per card.*best card has (21920|51920) MiB free.*(38080|8080) MiB short`

// tooLarge submits a gang of which seven of nine members fit, checks that it leaves no trace, and
// returns its members.
func tooLarge(ctx context.Context, ns string) []v1.Pod {
	GinkgoHelper()
	neighbour := makePod("neighbour").raw(reporting("main", slice{cards: 1, memory: 30000, cores: 10})).obj()
	create(ctx, ns, neighbour)
	waitRunning(ctx, ns, 1)
	before := mustLedger(ctx)

	// One task fits on each card but the neighbour's.
	nine := makePod("").app("main", slice{cards: 1, memory: 60000}, "hold").obj()
	createJob(ctx, ns, makeJob("too-large", 0, task{name: "worker", replicas: 9, pod: nine}))
	Eventually(func(g Gomega) { g.Expect(list(ctx, ns)).To(HaveLen(10)) }).WithTimeout(soon).Should(Succeed())
	waitSessions(ctx, ns, 3)

	members := jobPods(ctx, ns, "too-large")
	Expect(members).To(HaveLen(9))
	Expect(placed(members)).To(BeEmpty(), "members of a gang that does not fit were placed")
	Eventually(func() ([]string, error) { return ledgerPods(ctx) }).WithTimeout(soon).Should(Equal([]string{ns + "/neighbour bound"}))
	after := mustLedger(ctx)
	Expect(after).To(Equal(before), "the ledger before and after")
	Expect(overcommitted(after)).To(BeEmpty())
	return members
}

// exampleJob is the example as committed.
func exampleJob() *batch.Job {
	GinkgoHelper()
	repo, err := cluster.FindRepo()
	Expect(err).NotTo(HaveOccurred())
	raw, err := os.ReadFile(filepath.Join(repo, "examples", "vcjob-vgpu.yaml"))
	Expect(err).NotTo(HaveOccurred())
	job := &batch.Job{}
	Expect(yaml.UnmarshalStrict(raw, job)).To(Succeed())
	Expect(job.Spec.MinAvailable).To(BeEquivalentTo(4), "the example is a gang of four")
	return job
}

// jobPods are the pods of a job.
func jobPods(ctx context.Context, ns, job string) []v1.Pod {
	GinkgoHelper()
	pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: batch.JobNameKey + "=" + job})
	Expect(err).NotTo(HaveOccurred())
	return pods.Items
}

// expectUndisturbed checks that the pods are still the same, running, with no container restarted,
// and still able to use their memory.
func expectUndisturbed(ctx context.Context, ns string, pods []v1.Pod) {
	GinkgoHelper()
	for i := range pods {
		now := get(ctx, ns, pods[i].Name)
		Expect(now.UID).To(Equal(pods[i].UID), "pod %s was replaced", now.Name)
		Expect(ready(now)).To(BeTrue(), "pod %s: %s", now.Name, describe(now))
		for _, s := range now.Status.ContainerStatuses {
			Expect(s.RestartCount).To(Equal(restarts(&pods[i], s.Name)), "container %s of %s was restarted", s.Name, now.Name)
		}
	}
}
