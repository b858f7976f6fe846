package e2e

import (
	"context"
	"fmt"
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
)

var _ = Describe("A card that goes bad", Label(labelHealth), func() {
	It("gets no new slices, disturbs no pod on other cards, and serves again when it is good", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		cards := cardsOf(mustLedger(ctx))
		Expect(cards).To(HaveLen(cardCount))
		bad := cards[3].UUID
		DeferCleanup(func(ctx SpecContext) { setCard(ctx, bad, true) })

		// One neighbour on each card.
		neighbour := slice{cards: 1, memory: 42000, cores: 10}
		for i := range cardCount {
			create(ctx, ns, makePod(fmt.Sprintf("old-%d", i)).app("main", neighbour, "alloc", "2000", "expect-ok", "hold").obj())
		}
		old := waitRunning(ctx, ns, cardCount)
		setCard(ctx, bad, false)

		// 39920 MiB are left of each card: one more of these fits on each good one.
		extra := slice{cards: 1, memory: 39000, cores: 10}
		for i := range cardCount {
			create(ctx, ns, makePod(fmt.Sprintf("new-%d", i)).app("main", extra, "info", "expect-total", "39000", "hold").obj())
		}
		waitRunning(ctx, ns, cardCount+cardCount-1)
		waitSessions(ctx, ns, 2)
		var left []string
		var running []v1.Pod
		for _, pod := range list(ctx, ns) {
			if pod.Spec.Containers[0].Resources.Limits == nil {
				continue // a session's canary
			}
			if !bound(&pod) {
				left = append(left, pod.Name)
				continue
			}
			got := allocationOf(&pod).Containers["main"][0].UUID
			if pod.Name[:3] == "new" {
				Expect(got).NotTo(Equal(bad), "pod %s has a slice of the bad card", pod.Name)
				running = append(running, pod)
			}
		}
		Expect(left).To(HaveLen(1), "one pod waits for the bad card")
		Expect(said(ctx, ns, left[0])).To(MatchRegexp(`insufficient (healthy devices|device memory)`))
		var elsewhere []v1.Pod
		for _, pod := range old {
			if allocationOf(&pod).Containers["main"][0].UUID != bad {
				elsewhere = append(elsewhere, pod)
			}
		}
		Expect(elsewhere).To(HaveLen(cardCount - 1))
		expectUndisturbed(ctx, ns, append(elsewhere, running...))

		setCard(ctx, bad, true)
		last := waitPod(ctx, ns, left[0], "running", ready)
		Expect(allocationOf(last).Containers["main"][0].UUID).To(Equal(bad))
		expectUndisturbed(ctx, ns, elsewhere)
	})
})

// setCard breaks or repairs a fake card, and waits until the scheduler knows.
func setCard(ctx context.Context, uuid string, healthy bool) {
	GinkgoHelper()
	// XID 79: the card has fallen off the bus.
	args := []string{"set-bad", uuid, "79", "lost"}
	if healthy {
		args = []string{"set-good", uuid}
	}
	out, err := exec.CommandContext(ctx, node.FakeGPUControl(), args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	Eventually(ctx, func(g Gomega) {
		for _, c := range cardsOf(mustLedger(ctx)) {
			if c.UUID == uuid {
				g.Expect(c.Healthy).To(Equal(healthy))
			}
		}
	}).WithTimeout(startTimeout).WithPolling(interval).Should(Succeed(), "the scheduler has not heard that card %s is healthy=%v", uuid, healthy)
}
