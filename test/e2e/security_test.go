package e2e

import (
	"context"
	"encoding/json"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authn "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// policyName is the admission policy of allocation keys, and its binding, as in manifests/.
const policyName = "basalt-allocation"

var _ = Describe("A tenant", Label(labelSecurity), func() {
	It("cannot talk its way out of its slice by environment variables", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		want := slice{cards: 1, memory: 3000, cores: 30}
		limited := []string{"info", "expect-devices", "1", "expect-total", "3000", "alloc", "2500", "expect-ok", "alloc", "400", "expect-oom", "hold"}
		with := func(prefix ...string) []string { return append(append([]string{}, prefix...), limited...) }
		ways := map[string][]string{
			"cleared":       with("cudaprobe", "unsetenv", "exec"),
			"cleared-shell": with("env", "-i", "/usr/bin/cudaprobe"),
			"generous":      with("env", "CUDA_DEVICE_MEMORY_LIMIT=999g", "CUDA_DEVICE_MEMORY_LIMIT_0=999g", "/usr/bin/cudaprobe"),
			"disabled": with("env", "CUDA_DISABLE_CONTROL=true", "LD_PRELOAD=", "CUDA_DEVICE_SM_LIMIT=100",
				"CUDA_DEVICE_MEMORY_SHARED_CACHE=/tmp/none", "HC_TEST_DIR=/tmp", "/usr/bin/cudaprobe"),
			"in-spec": with("cudaprobe"),
		}
		for name, command := range ways {
			c := container("main", want.limits(), command...)
			if name == "in-spec" {
				c.Env = []v1.EnvVar{{Name: "CUDA_DEVICE_MEMORY_LIMIT", Value: "999g"}, {Name: "CUDA_DEVICE_MEMORY_LIMIT_0", Value: "999g"},
					{Name: "CUDA_DISABLE_CONTROL", Value: "true"}, {Name: "NVIDIA_VISIBLE_DEVICES", Value: "all"}}
			}
			create(ctx, ns, makePod(name).raw(c).obj())
		}
		for _, pod := range waitRunning(ctx, ns, len(ways)) {
			v := waitView(ctx, &pod, "main", "hold")
			expectSeen(v, pod.Name, expectAsked(&pod, "main", want))
			Expect(v.results("alloc")).To(Equal([]string{"2500 CUDA_SUCCESS", "400 CUDA_ERROR_OUT_OF_MEMORY"}), pod.Name)
		}
	})

	It("cannot change the files that limit it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		create(ctx, ns, makePod("root").raw(reporting("main", slice{cards: 1, memory: 3000, cores: 30})).obj())
		pod := waitPod(ctx, ns, "root", "running", ready)
		waitView(ctx, pod, "main", "hold")
		out, err := node.Exec(ctx, ns, "root", "main", "sh", "-c", fmt.Sprintf(
			"for f in %s /usr/local/basalt/libvgpu.so /etc/ld.so.preload; do "+
				"(echo x >> $f) 2>/dev/null && echo wrote $f; rm -f $f 2>/dev/null && echo removed $f; "+
				"mv $f /tmp/away 2>/dev/null && echo moved $f; done; echo done", limitsPath))
		Expect(err).NotTo(HaveOccurred())
		Expect(out).To(Equal("done\n"))
		out, err = node.Exec(ctx, ns, "root", "main", "cudaprobe", "expect-devices", "1", "expect-total", "3000", "info")
		Expect(err).NotTo(HaveOccurred())
		expectSeen(parseView(out), "root", allocationOf(pod).Containers["main"])
	})

	It("who is admin of the namespace may not write allocations", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		admin := namespaceAdmin(ctx, ns)
		want := slice{cards: 1, memory: 3000, cores: 30}
		pod, err := admin.CoreV1().Pods(ns).Create(ctx, makePod("mine").raw(reporting("main", want)).obj(), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred(), "an admin makes pods as before")
		pod = waitPod(ctx, ns, pod.Name, "running", ready)

		for what, patch := range map[string]string{
			"grow":       annotationPatch(allocationKey, quoted(grown(pod))),
			"remove":     annotationPatch(allocationKey, "null"),
			"legacy key": annotationPatch(hamiKey, `"GPU-x,NVIDIA,90000,100:;"`),
		} {
			_, err := admin.CoreV1().Pods(ns).Patch(ctx, "mine", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%s: %v", what, err)
			Expect(err.Error()).To(ContainSubstring("metadata.annotations["), what)
		}
		forged := makePod("forged").raw(reporting("main", want)).annotate(allocationKey, grown(pod)).obj()
		_, err = admin.CoreV1().Pods(ns).Create(ctx, forged, metav1.CreateOptions{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "create with an allocation: %v", err)
		err = admin.CoreV1().Pods(ns).Bind(ctx, &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "mine", Annotations: map[string]string{allocationKey: grown(pod)}},
			Target:     v1.ObjectReference{Kind: "Node", Name: pod.Spec.NodeName},
		}, metav1.CreateOptions{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "bind with an allocation: %v", err)

		_, err = admin.CoreV1().Pods(ns).Patch(ctx, "mine", types.MergePatchType, []byte(annotationPatch("team", `"a"`)), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred(), "other annotations are the admin's")
		Expect(get(ctx, ns, "mine").Annotations[allocationKey]).To(Equal(pod.Annotations[allocationKey]))
	})

	It("who rewrites the allocation while no policy stops it gets the same slice after a restart, and one event", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		admin := namespaceAdmin(ctx, ns)
		want := slice{cards: 1, memory: 3000, cores: 30}
		create(ctx, ns, makePod("mine").restart(v1.RestartPolicyAlways).raw(reporting("main", want)).obj())
		pod := waitPod(ctx, ns, "mine", "running", ready)
		expectSlice(ctx, pod, "main", want)
		removeAllocationPolicy(ctx)

		Eventually(func() error {
			_, err := admin.CoreV1().Pods(ns).Patch(ctx, "mine", types.MergePatchType,
				[]byte(annotationPatch(allocationKey, quoted(grown(pod)))), metav1.PatchOptions{})
			return err
		}).WithTimeout(soon).WithPolling(interval).Should(Succeed(), "the policy is still in force")
		Expect(get(ctx, ns, "mine").Annotations[allocationKey]).To(Equal(grown(pod)))

		for round := int32(1); round <= 2; round++ {
			poke(ctx, ns, "mine")
			waitPod(ctx, ns, "mine", "restarted", func(p *v1.Pod) bool { return restarts(p, "main") >= round && ready(p) })
			// The pod as it was: the annotation now says something else, the slice must not.
			expectSlice(ctx, pod, "main", want)
		}
		Eventually(func() []string { return driftEvents(ctx, ns, "mine") }).WithTimeout(soon).WithPolling(interval).Should(HaveLen(1))
		waitSessions(ctx, ns, 2)
		Expect(driftEvents(ctx, ns, "mine")).To(HaveLen(1), "one event, not one for each restart")
		Expect(overcommitted(mustLedger(ctx))).To(BeEmpty())
	})
})

// namespaceAdmin is a client with the identity of a service account that has the role `admin` in one
// namespace and nothing else.
func namespaceAdmin(ctx context.Context, ns string) kubernetes.Interface {
	GinkgoHelper()
	_, err := kube.CoreV1().ServiceAccounts(ns).Create(ctx, &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "boss"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = kube.RbacV1().RoleBindings(ns).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "boss"},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Namespace: ns, Name: "boss"}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	token, err := kube.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "boss", &authn.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	c := rest.AnonymousClientConfig(config)
	c.BearerToken = token.Status.Token
	client, err := kubernetes.NewForConfig(c)
	Expect(err).NotTo(HaveOccurred())
	// A role binding is in force a moment after it was made.
	Eventually(ctx, func() error {
		_, err := client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		return err
	}).WithTimeout(soon).WithPolling(interval).Should(Succeed())
	return client
}

// grown is the pod's allocation with ten times the memory.
func grown(pod *v1.Pod) string {
	GinkgoHelper()
	var a map[string]any
	Expect(json.Unmarshal([]byte(pod.Annotations[allocationKey]), &a)).To(Succeed())
	for _, slices := range a["containers"].(map[string]any) {
		for _, s := range slices.([]any) {
			one := s.(map[string]any)
			one["memoryMiB"] = one["memoryMiB"].(float64) * 10
		}
	}
	raw, err := json.Marshal(a)
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

func quoted(s string) string {
	raw, _ := json.Marshal(s) // strings always encode
	return string(raw)
}

func annotationPatch(key, value string) string {
	return fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, value)
}

// removeAllocationPolicy takes the policy's binding away until the spec ends.
func removeAllocationPolicy(ctx context.Context) {
	GinkgoHelper()
	bindings := kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	binding, err := bindings.Get(ctx, policyName, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		fresh := binding.DeepCopy()
		fresh.ObjectMeta = metav1.ObjectMeta{Name: binding.Name, Labels: binding.Labels, Annotations: binding.Annotations}
		_, err := bindings.Create(ctx, fresh, metav1.CreateOptions{})
		Expect(err).To(Or(Succeed(), Satisfy(apierrors.IsAlreadyExists)))
		waitPolicies(ctx)
	})
	Expect(bindings.Delete(ctx, policyName, metav1.DeleteOptions{})).To(Succeed())
}

// driftEvents are the events that say that a changed allocation is ignored, one entry for each time
// that it was said.
func driftEvents(ctx context.Context, ns, pod string) []string {
	GinkgoHelper()
	events, err := kube.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	var out []string
	for _, e := range events.Items {
		if e.InvolvedObject.Name != pod || e.Source.Component != agentComponent {
			continue
		}
		for range max(e.Count, 1) {
			out = append(out, e.Reason+": "+e.Message)
		}
	}
	return out
}

// agentComponent is the name under which the device plugin writes events.
const agentComponent = "basalt-device-plugin"
