package e2e

import (
	"context"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/test/cluster"
)

// waitComponents waits until what specs may have restarted works again, the node offers its usual
// tokens, and the scheduler knows the cards.
func waitComponents(ctx context.Context) {
	GinkgoHelper()
	for _, name := range []string{cluster.APIServer, cluster.VolcanoController, cluster.Scheduler, cluster.Kubelet, cluster.DevicePlugin} {
		Expect(node.WaitReady(ctx, name)).To(Succeed())
	}
	waitTokens(ctx, cardCount*cardSlots)
	Eventually(ctx, func(g Gomega) {
		s, err := readLedger(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cardsOf(s)).To(HaveLen(cardCount))
		for _, c := range cardsOf(s) {
			g.Expect(c.Capacity.Slots).To(BeEquivalentTo(cardSlots))
		}
	}).WithTimeout(soon).WithPolling(interval).Should(Succeed())
}

// waitTokens waits until the node offers so many tokens under both names.
func waitTokens(ctx context.Context, want int) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		n, err := kube.CoreV1().Nodes().Get(ctx, cluster.NodeName, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		for _, name := range []v1.ResourceName{gpu, vgpuNumber} {
			q := n.Status.Allocatable[name]
			g.Expect(q.Value()).To(BeEquivalentTo(want), "%s of node %s", name, cluster.NodeName)
		}
	}).WithTimeout(startTimeout).WithPolling(interval).Should(Succeed())
}

// restoreAfter puts a component back to its usual arguments at the spec's end.
func restoreAfter(name string) {
	DeferCleanup(func(ctx SpecContext) {
		Expect(node.Start(name)).To(Succeed())
		waitComponents(ctx)
	})
}

// killed ends a component as a crash would.
func killed(name string) {
	GinkgoHelper()
	Expect(node.Kill(name, syscall.SIGKILL)).To(Succeed())
}

// started starts a component and waits until it works.
func started(ctx context.Context, name string, extra ...string) {
	GinkgoHelper()
	Expect(node.StartWithArgs(name, extra...)).To(Succeed())
	Expect(node.WaitReady(ctx, name)).To(Succeed())
}

// waitSessions waits until the scheduler has finished so many more sessions, told by pods without
// devices that it places: each is made after the one before was bound.
func waitSessions(ctx context.Context, ns string, count int) {
	GinkgoHelper()
	for range count {
		pod := makePod("").raw(container("main", nil, "true")).obj()
		pod.GenerateName = "session-"
		pod = create(ctx, ns, pod)
		Eventually(ctx, func(g Gomega) string {
			p, err := kube.CoreV1().Pods(ns).Get(ctx, pod.Name, metav1.GetOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			return p.Spec.NodeName
		}).WithTimeout(startTimeout).WithPolling(100*time.Millisecond).ShouldNot(BeEmpty(), "the scheduler places nothing any more")
	}
}

// waitPolicies waits until the admission policy of allocation keys is in force. The API server reads
// policies with a delay.
func waitPolicies(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() error {
		pod := makePod("policy-canary").raw(container("main", nil, "true")).annotate(allocationKey, "{}").obj()
		_, err := kube.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}).WithTimeout(soon).WithPolling(interval).Should(Satisfy(apierrors.IsForbidden), "the admission policy of allocation keys is not in force")
}
