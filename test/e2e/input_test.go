package e2e

import (
	"context"
	"fmt"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// badInput is a pod that cannot be meant, and what its user must be told.
type badInput struct {
	name        string
	limits      map[v1.ResourceName]string
	annotations map[string]string
	// want are parts of the refusal: the field, the value.
	want []string
	// never says that the API server itself refuses it; else the pod waits, with the reason on it.
	never bool
}

const noCard = "GPU-00000000-dead-beef-0000-000000000000"

var badInputs = []badInput{
	{name: "memory-not-whole", limits: map[v1.ResourceName]string{gpu: "1", gpumem: "1.5"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpumem]", "1500m"}, never: true},
	{name: "count-not-whole", limits: map[v1.ResourceName]string{gpu: "0.5"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpu]", "500m"}, never: true},
	{name: "memory-negative", limits: map[v1.ResourceName]string{gpu: "1", gpumem: "-3000"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpumem]", "-3k"}, never: true},
	{name: "cores-negative", limits: map[v1.ResourceName]string{vgpuNumber: "1", vgpuCores: "-30"},
		want: []string{"spec.containers[0].resources.limits[volcano.sh/vgpu-cores]", "-30"}, never: true},
	{name: "percentage-above-100", limits: map[v1.ResourceName]string{gpu: "1", gpumemPct: "101"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpumem-percentage]", "101"}},
	{name: "volcano-percentage-above-100", limits: map[v1.ResourceName]string{vgpuNumber: "1", vgpuPercent: "250"},
		want: []string{"spec.containers[0].resources.limits[volcano.sh/vgpu-memory-percentage]", "250"}},
	{name: "cores-above-100", limits: map[v1.ResourceName]string{gpu: "1", gpumem: "3000", gpucores: "130"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpucores]", "130"}},
	{name: "more-cards-than-a-node", limits: map[v1.ResourceName]string{gpu: "9", gpumem: "100"},
		want: []string{"container main asks 9 cards", "the node has 8"}},
	{name: "more-memory-than-a-card", limits: map[v1.ResourceName]string{gpu: "1", gpumem: "90000"},
		want: []string{"insufficient device memory", "asks 90000 MiB", "81920 MiB", "8080 MiB short"}},
	{name: "unknown-uuid", limits: map[v1.ResourceName]string{gpu: "1", gpumem: "3000"},
		annotations: map[string]string{useUUIDKey: noCard}, want: []string{"uuid", noCard}},
	{name: "memory-without-count", limits: map[v1.ResourceName]string{gpumem: "3000"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpu]", "nvidia.com/gpumem 3000"}},
	{name: "percentage-without-count", limits: map[v1.ResourceName]string{gpumemPct: "50"},
		want: []string{"spec.containers[0].resources.limits[nvidia.com/gpu]", "nvidia.com/gpumem-percentage 50"}},
	{name: "cores-without-count", limits: map[v1.ResourceName]string{vgpuCores: "30"},
		want: []string{"spec.containers[0].resources.limits[volcano.sh/vgpu-number]", "volcano.sh/vgpu-cores 30"}},
}

var _ = Describe("Bad input", Label(labelInput), func() {
	It("is refused or waits, with field and value named, and never runs as if it asked for no GPU", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		var waiting []badInput
		for _, in := range badInputs {
			_, err := kube.CoreV1().Pods(ns).Create(ctx, in.pod(), metav1.CreateOptions{})
			if in.never {
				Expect(err).To(HaveOccurred(), "%s was accepted", in.name)
				Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%s: %v", in.name, err)
				in.expectNamed(err.Error())
				continue
			}
			Expect(err).NotTo(HaveOccurred(), in.name)
			waiting = append(waiting, in)
		}
		expectNeverPlaced(ctx, ns, waiting, func(in badInput) []string { return []string{in.name} })
	})

	It("is refused as a job too: no member runs, and the reason is on the pod or its job's group", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		var waiting []badInput
		for _, in := range badInputs {
			if in.never {
				continue
			}
			waiting = append(waiting, in)
			createJob(ctx, ns, makeJob(in.name, 0, task{name: "worker", replicas: 2, pod: in.pod()}))
		}
		expectNeverPlaced(ctx, ns, waiting, func(in badInput) []string {
			var out []string
			for i := range 2 {
				out = append(out, fmt.Sprintf("%s-worker-%d", in.name, i))
			}
			return out
		})
	})
})

func (in badInput) pod() *v1.Pod {
	limits := v1.ResourceList{}
	for name, text := range in.limits {
		limits[name] = resource.MustParse(text)
	}
	b := makePod(in.name).raw(container("main", limits, "cudaprobe", "hold"))
	for key, value := range in.annotations {
		b.annotate(key, value)
	}
	return b.obj()
}

// expectNamed checks that a text tells the user what is wrong: each wanted part, numbers as whole words.
func (in badInput) expectNamed(text string) {
	GinkgoHelper()
	for _, want := range in.want {
		Expect(text).To(MatchRegexp(`(^|[^0-9])`+regexp.QuoteMeta(want)+`($|[^0-9])`), in.name)
	}
}

// expectNeverPlaced lets the scheduler look at all pods in several sessions, and checks that none has
// a node and each says why.
func expectNeverPlaced(ctx context.Context, ns string, inputs []badInput, pods func(badInput) []string) {
	GinkgoHelper()
	for _, in := range inputs {
		for _, name := range pods(in) {
			Eventually(func() error {
				_, err := kube.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
				return err
			}).WithTimeout(soon).WithPolling(interval).Should(Succeed())
		}
	}
	for range 2 {
		waitSessions(ctx, ns, 2)
		for _, in := range inputs {
			for _, name := range pods(in) {
				Expect(placed([]v1.Pod{*get(ctx, ns, name)})).To(BeEmpty(), "%s was placed", in.name)
			}
		}
		Expect(mustLedger(ctx).Pods).To(BeEmpty())
	}
	for _, in := range inputs {
		for _, name := range pods(in) {
			for _, want := range in.want {
				Eventually(func() string { return said(ctx, ns, name) }).WithTimeout(soon).WithPolling(interval).
					Should(MatchRegexp(`(^|[^0-9])`+regexp.QuoteMeta(want)+`($|[^0-9])`), "what is said of %s", name)
			}
		}
	}
}
