package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admission "k8s.io/api/admissionregistration/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/test/cluster"
)

var _ = Describe("A bind", Label(labelBind), func() {
	It("of 40 pods survives the scheduler's death in the middle: none lost, no card over-committed", func(ctx SpecContext) {
		const pods, passed, unanswered = 40, 12, 10
		ns := newNamespace(ctx)
		p := startProxy()
		restoreAfter(cluster.Scheduler)
		started(ctx, cluster.Scheduler, "--kubeconfig="+p.kubeconfig)
		waitSchedulerKnowsCards(ctx)
		seen := 0
		p.set(func(string) fate { // called under the proxy's lock
			seen++
			switch {
			case seen <= passed:
				return pass
			case seen <= passed+unanswered:
				return loseAnswer
			}
			return loseRequest
		})

		// Five of these fill a card: 40 fill the node, so a slice lost or sold twice cannot hide.
		one := makePod("").app("main", slice{cards: 1, memory: cardMemory / 5, cores: 20}, "info", "hold").obj()
		createJob(ctx, ns, makeJob("forty", 0, task{name: "worker", replicas: pods, pod: one}))
		Eventually(func() bool {
			return p.count(pass) == passed && p.count(loseAnswer) == unanswered && p.count(loseRequest) > 0
		}).WithTimeout(startTimeout).WithPolling(interval).Should(BeTrue(), "the scheduler is not in the middle of binding")
		killed(cluster.Scheduler)
		before := map[string]string{}
		for _, pod := range list(ctx, ns) {
			Expect(pod.Annotations[allocationKey] != "").To(Equal(bound(&pod)), "pod %s is half bound", pod.Name)
			if bound(&pod) {
				before[pod.Name] = pod.Annotations[allocationKey]
			}
		}
		Expect(before).To(HaveLen(passed + unanswered))

		started(ctx, cluster.Scheduler)
		for _, pod := range waitRunning(ctx, ns, pods) {
			expectAsked(&pod, "main", slice{cards: 1, memory: cardMemory / 5, cores: 20})
			if a, ok := before[pod.Name]; ok {
				Expect(pod.Annotations[allocationKey]).To(Equal(a), "the slice of pod %s changed", pod.Name)
			}
		}
		expectLedgerIs(ctx, ns)
		for _, c := range cardsOf(mustLedger(ctx)) {
			Expect(c.Used).To(Equal(ledger.Use{Slots: 5, Memory: cardMemory, Cores: 100}), "card %s", c.UUID)
		}
	})

	It("that the API refuses gives the slice back, and the pod runs once it is accepted", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		removePolicy := refuseBinds(ctx, ns, "refused-")
		for i := range 3 {
			create(ctx, ns, makePod(fmt.Sprintf("refused-%d", i)).raw(reporting("main", slice{cards: 1, memory: 20000, cores: 10})).obj())
			create(ctx, ns, makePod(fmt.Sprintf("free-%d", i)).raw(reporting("main", slice{cards: 2, memory: 9000, cores: 10})).obj())
		}
		waitRunning(ctx, ns, 3)
		By("the refusal is told, and holds nothing")
		Eventually(func() string { return said(ctx, ns, "refused-0") }).WithTimeout(soon).WithPolling(interval).
			Should(ContainSubstring("the suite refuses this bind"))
		for i := range 3 {
			name := fmt.Sprintf("refused-%d", i)
			Eventually(func() *ledger.PodSnapshot { return ledgerPod(mustLedger(ctx), ns, name) }).
				WithTimeout(soon).WithPolling(20*time.Millisecond).Should(BeNil(), "the refused bind of %s keeps its slice", name)
			Expect(placed([]v1.Pod{*get(ctx, ns, name)})).To(BeEmpty())
		}
		By("a refused pod that is deleted leaves nothing")
		deletePod(ctx, ns, "refused-2")
		Consistently(func() *ledger.PodSnapshot { return ledgerPod(mustLedger(ctx), ns, "refused-2") }).
			WithTimeout(3 * time.Second).WithPolling(interval).Should(BeNil())

		removePolicy(ctx)
		waitRunning(ctx, ns, 5)
		expectLedgerIs(ctx, ns)
	})

	It("that times out leaves the ledger as the API decides it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		p := startProxy()
		restoreAfter(cluster.Scheduler)
		started(ctx, cluster.Scheduler, "--kubeconfig="+p.kubeconfig, "--basalt-bind-timeout=2s")
		waitSchedulerKnowsCards(ctx)
		p.set(func(pod string) fate {
			switch {
			case strings.HasPrefix(pod, "unanswered-"):
				return loseAnswer
			case strings.HasPrefix(pod, "lost-"):
				return loseRequest
			}
			return pass
		})
		for i := range 2 {
			create(ctx, ns, makePod(fmt.Sprintf("unanswered-%d", i)).raw(reporting("main", slice{cards: 2, memory: 30000, cores: 30})).obj())
			create(ctx, ns, makePod(fmt.Sprintf("lost-%d", i)).raw(reporting("main", slice{cards: 2, memory: 30000, cores: 30})).obj())
		}
		By("a bind that took effect without an answer is a bind: once, with its slice")
		waitRunning(ctx, ns, 2)
		By("a bind that never arrived is tried again after its time-out, and meanwhile no pod is placed twice")
		Eventually(func() int { return p.tries("lost-0") }).WithTimeout(startTimeout).WithPolling(interval).Should(BeNumerically(">=", 2))
		Expect(placed([]v1.Pod{*get(ctx, ns, "lost-0"), *get(ctx, ns, "lost-1")})).To(BeEmpty())
		Expect(overcommitted(mustLedger(ctx))).To(BeEmpty())
		By("deleted while its bind is open, a pod leaves nothing")
		deletePod(ctx, ns, "lost-1")
		Eventually(func() *ledger.PodSnapshot { return ledgerPod(mustLedger(ctx), ns, "lost-1") }).
			WithTimeout(soon).WithPolling(interval).Should(BeNil())

		p.set(func(string) fate { return pass })
		waitRunning(ctx, ns, 3)
		Expect(p.tries("unanswered-0")).To(Equal(1), "a bound pod was bound again")
		expectLedgerIs(ctx, ns)
	})
})

// expectLedgerIs waits until the ledger holds exactly the pods of a namespace, each bound with the
// slices of its annotation, and every card the sum of these.
func expectLedgerIs(ctx context.Context, ns string) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		s, err := readLedger(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		sums := map[string]amount{}
		count := 0
		for i := range pods.Items {
			pod := &pods.Items[i]
			if pod.Annotations[allocationKey] == "" || succeeded(pod) {
				continue
			}
			count++
			a := allocationOf(pod)
			entry := ledgerPod(s, ns, pod.Name)
			g.Expect(entry).NotTo(BeNil(), "pod %s is not in the ledger", pod.Name)
			g.Expect(entry.State).To(Equal(ledger.Bound), "pod %s", pod.Name)
			g.Expect(entry.Allocation).To(Equal(a.Containers), "pod %s", pod.Name)
			for uuid, use := range peak(pod, a) {
				sums[uuid] = sums[uuid].plus(use)
			}
		}
		g.Expect(s.Pods).To(HaveLen(count), "pods in the ledger")
		for _, c := range cardsOf(s) {
			g.Expect(amount{uint64(c.Used.Memory), uint64(c.Used.Cores), uint64(c.Used.Slots)}).To(Equal(sums[c.UUID]), "card %s", c.UUID)
		}
		g.Expect(overcommitted(s)).To(BeEmpty())
	}).WithTimeout(soon).WithPolling(interval).Should(Succeed())
}

// waitSchedulerKnowsCards waits until a scheduler that has just started has read the node.
func waitSchedulerKnowsCards(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		s, err := readLedger(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cardsOf(s)).To(HaveLen(cardCount))
	}).WithTimeout(soon).WithPolling(interval).Should(Succeed())
}

// refuseBinds lets the API server refuse Bindings of pods whose names begin so, until the function
// that it returns is called, or the spec ends.
func refuseBinds(ctx context.Context, ns, prefix string) (remove func(context.Context)) {
	GinkgoHelper()
	name := "e2e-refuse-" + ns
	policies := kube.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	bindings := kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err := policies.Create(ctx, &admission.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admission.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admission.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1.LabelMetadataName: ns}},
				ResourceRules: []admission.NamedRuleWithOperations{{RuleWithOperations: admission.RuleWithOperations{
					Operations: []admission.OperationType{admission.Create},
					Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/binding"}},
				}}},
			},
			Validations: []admission.Validation{{
				Expression: fmt.Sprintf("!object.metadata.name.startsWith(%q)", prefix),
				Message:    "the suite refuses this bind",
			}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = bindings.Create(ctx, &admission.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admission.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admission.ValidationAction{admission.Deny}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	remove = func(ctx context.Context) {
		GinkgoHelper()
		Expect(bindings.Delete(ctx, name, metav1.DeleteOptions{})).To(Or(Succeed(), Satisfy(apierrors.IsNotFound)))
		Expect(policies.Delete(ctx, name, metav1.DeleteOptions{})).To(Or(Succeed(), Satisfy(apierrors.IsNotFound)))
	}
	DeferCleanup(func(ctx SpecContext) { remove(ctx) })

	// The policy is asked before the pod is looked up: a pod that does not exist tells when it is in force.
	Eventually(ctx, func() string {
		err := kube.CoreV1().Pods(ns).Bind(ctx, &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: prefix + "canary"},
			Target:     v1.ObjectReference{Kind: "Node", Name: cluster.NodeName},
		}, metav1.CreateOptions{})
		return fmt.Sprint(err)
	}).WithTimeout(soon).WithPolling(interval).Should(ContainSubstring("the suite refuses this bind"))
	return remove
}
