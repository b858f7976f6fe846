package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Bounds of waiting. They are far above what is normal: a busy machine must not fail a spec.
const (
	startTimeout = 90 * time.Second
	goneTimeout  = 90 * time.Second
	soon         = 30 * time.Second
	interval     = 200 * time.Millisecond
)

// namespaceLabel marks what the suite made; reports and the auditor look at nothing else.
const namespaceLabel = "basalt.io/e2e"

// newNamespace makes the namespace of one spec, and removes it with all pods at the spec's end. Then
// it checks what every spec has to leave: components running, no card held, none ever over-committed.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns, err := kube.CoreV1().Namespaces().Create(ctx, &v1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: map[string]string{namespaceLabel: "true"}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		// The auditor first: what it saw is a finding, whatever else goes wrong while cleaning up.
		violations := audit.takeViolations()
		emptyNamespace(ctx, ns.Name)
		err := kube.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(append(violations, audit.takeViolations()...)).To(BeEmpty(), "cards were over-committed")
		Eventually(ctx, ledgerPods).WithTimeout(soon).Should(BeEmpty(), "the ledger keeps pods that are gone")
		expectIdleCards(ctx)
	})
	return ns.Name
}

// emptyNamespace deletes jobs and pods and waits until the pods are gone.
func emptyNamespace(ctx context.Context, ns string) {
	GinkgoHelper()
	background := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	Expect(vc.BatchV1alpha1().Jobs(ns).DeleteCollection(ctx, background, metav1.ListOptions{})).To(Succeed())
	deletePods(ctx, ns, 1)
	Eventually(ctx, func(g Gomega) {
		pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		for i := range pods.Items {
			// A controller may have made it after the first round.
			if pods.Items[i].DeletionTimestamp == nil {
				g.Expect(kube.CoreV1().Pods(ns).Delete(ctx, pods.Items[i].Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)})).
					To(Or(Succeed(), Satisfy(apierrors.IsNotFound)))
			}
		}
		g.Expect(podNames(pods.Items)).To(BeEmpty())
	}).WithTimeout(goneTimeout).WithPolling(interval).Should(Succeed(), "pods of the spec do not end")
}

// deletePods asks all pods of a namespace to end.
func deletePods(ctx context.Context, ns string, graceSeconds int64) {
	GinkgoHelper()
	Expect(kube.CoreV1().Pods(ns).DeleteCollection(ctx,
		metav1.DeleteOptions{GracePeriodSeconds: &graceSeconds}, metav1.ListOptions{})).To(Succeed())
}

// deletePod asks one pod to end and waits until it is gone.
func deletePod(ctx context.Context, ns, name string) {
	GinkgoHelper()
	err := kube.CoreV1().Pods(ns).Delete(ctx, name, metav1.DeleteOptions{})
	Expect(err).To(Or(Succeed(), Satisfy(apierrors.IsNotFound)))
	waitGone(ctx, ns, name)
}

func waitGone(ctx context.Context, ns, name string) {
	GinkgoHelper()
	Eventually(ctx, func() error {
		_, err := kube.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
		return err
	}).WithTimeout(goneTimeout).WithPolling(interval).Should(Satisfy(apierrors.IsNotFound), "pod %s/%s does not end", ns, name)
}

func podNames(pods []v1.Pod) []string {
	var out []string
	for i := range pods {
		out = append(out, pods[i].Name)
	}
	return out
}
