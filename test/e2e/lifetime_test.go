package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

var _ = Describe("A pod that is being deleted", Label(labelLifetime), func() {
	It("keeps its cards during its grace period, until its containers are gone", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		all := slice{cards: cardCount, memory: 60000, cores: 10}
		// The shell answers SIGTERM some seconds late; the CUDA program behind it lives as long.
		victim := makePod("victim").grace(30).raw(container("main", all.limits(), "sh", "-c",
			"trap 'sleep 6; exit 0' TERM; cudaprobe alloc 50000 expect-ok hold & while :; do wait; done")).obj()
		create(ctx, ns, victim)
		waitRunning(ctx, ns, 1)
		create(ctx, ns, makePod("heir").app("main", all, "alloc", "59000", "expect-ok", "hold").obj())
		waitSessions(ctx, ns, 1)
		Expect(placed([]v1.Pod{*get(ctx, ns, "heir")})).To(BeEmpty())

		Expect(kube.CoreV1().Pods(ns).Delete(ctx, "victim", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](30)})).To(Succeed())
		releasing, waited := false, 0
		var finished time.Time
		Eventually(ctx, func(g Gomega) {
			var old, heir *v1.Pod
			pods := list(ctx, ns) // one list is one moment
			for i := range pods {
				switch pods[i].Name {
				case "victim":
					old = &pods[i]
				case "heir":
					heir = &pods[i]
				}
			}
			if old != nil && !ended(old) {
				waited++
				Expect(placed([]v1.Pod{*heir})).To(BeEmpty(), "the heir has cards whose owner still runs: %s", describe(old))
				if entry := ledgerPod(mustLedger(ctx), ns, "victim"); entry != nil && entry.State == ledger.Releasing {
					releasing = true
				}
			}
			if old != nil {
				for _, s := range old.Status.ContainerStatuses {
					if s.State.Terminated != nil {
						finished = s.State.Terminated.FinishedAt.Time
					}
				}
			}
			g.Expect(ready(heir)).To(BeTrue(), "heir: %s", describe(heir))
		}).WithTimeout(startTimeout).WithPolling(100 * time.Millisecond).Should(Succeed())
		Expect(waited).To(BeNumerically(">", 10), "the victim ended before anything could be seen")
		Expect(releasing).To(BeTrue(), "the ledger never had the victim as releasing")
		heir := get(ctx, ns, "heir")
		if !finished.IsZero() {
			Expect(heir.Status.ContainerStatuses[0].State.Running.StartedAt.Time).NotTo(BeTemporally("<", finished))
		}
		expectAsked(heir, "main", all)
		expectLedgerIs(ctx, ns)
	})
})
