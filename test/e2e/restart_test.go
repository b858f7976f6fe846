package e2e

import (
	"context"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/test/cluster"
)

var _ = Describe("A slice", Label(labelRestart), func() {
	It("stays the same when kubelet, device plugin or container start again", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		restoreAfter(cluster.Kubelet)
		restoreAfter(cluster.DevicePlugin)
		wants := map[string]slice{
			"calm":         {cards: 2, memory: 5000, cores: 20},
			"kubelet":      {cards: 1, memory: 6000, cores: 15},
			"plugin":       {cards: 1, memory: 7000, cores: 10},
			"while-down":   {cards: 1, memory: 8000, cores: 25},
			"crash-looped": {cards: 1, memory: 9000, cores: 5},
		}
		for name, want := range wants {
			c := reporting("main", want)
			if name == "crash-looped" {
				c.Command = []string{"sh", "-c", reportScript + "; cudaprobe info; exit 7"}
			}
			create(ctx, ns, makePod(name).restart(v1.RestartPolicyAlways).raw(c).obj())
		}
		first := map[string]*v1.Pod{}
		for name, want := range wants {
			first[name] = waitPod(ctx, ns, name, "started", func(p *v1.Pod) bool {
				return ready(p) || restarts(p, "main") > 0
			})
			expectSlice(ctx, first[name], "main", want)
		}
		// same waits until a container has been started so often, and checks its slice.
		same := func(name string, times int32) {
			GinkgoHelper()
			pod := waitPod(ctx, ns, name, "restarted", func(p *v1.Pod) bool {
				return restarts(p, "main") >= times && (ready(p) || name == "crash-looped")
			})
			Expect(pod.UID).To(Equal(first[name].UID))
			Expect(pod.Annotations[allocationKey]).To(Equal(first[name].Annotations[allocationKey]))
			expectSlice(ctx, pod, "main", wants[name])
		}

		By("kubelet restarted")
		Expect(node.Restart(cluster.Kubelet)).To(Succeed())
		waitComponents(ctx)
		poke(ctx, ns, "kubelet")
		same("kubelet", 1)

		By("device plugin killed, and started again; a container that ends meanwhile waits for it")
		killed(cluster.DevicePlugin)
		poke(ctx, ns, "while-down")
		waitPod(ctx, ns, "while-down", "down", func(p *v1.Pod) bool { return !ready(p) })
		started(ctx, cluster.DevicePlugin)
		waitComponents(ctx)
		poke(ctx, ns, "plugin")
		same("plugin", 1)
		same("while-down", 1)

		By("container crash-looping")
		same("crash-looped", 2)

		By("what nobody touched did not notice")
		expectUndisturbed(ctx, ns, []v1.Pod{*first["calm"]})
		expectSlice(ctx, get(ctx, ns, "calm"), "main", wants["calm"])
		expectLedgerIs(ctx, ns)
	})

	It("is served again by a device plugin that hangs and is killed while pods wait for it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		restoreAfter(cluster.DevicePlugin)
		want := slice{cards: 1, memory: 3500, cores: 12}
		Expect(node.Kill(cluster.DevicePlugin, syscall.SIGSTOP)).To(Succeed())
		create(ctx, ns, makePod("early").restart(v1.RestartPolicyAlways).raw(reporting("main", want)).obj())
		waitPod(ctx, ns, "early", "bound", bound)
		// A stopped process does not end by being asked to.
		killed(cluster.DevicePlugin)
		started(ctx, cluster.DevicePlugin)
		waitComponents(ctx)

		By("a pod that the kubelet had to fail is failed with a reason and its card is free; any other runs with its slice")
		pod := waitPod(ctx, ns, "early", "decided", func(p *v1.Pod) bool { return ready(p) || p.Status.Phase == v1.PodFailed })
		if pod.Status.Phase == v1.PodFailed {
			Expect(describe(pod)).To(ContainSubstring("UnexpectedAdmissionError"))
			Eventually(func() ([]string, error) { return ledgerPods(ctx) }).WithTimeout(soon).Should(BeEmpty())
		} else {
			expectSlice(ctx, pod, "main", want)
		}
		create(ctx, ns, makePod("late").raw(reporting("main", want)).obj())
		late := waitPod(ctx, ns, "late", "running", ready)
		expectSlice(ctx, late, "main", want)
	})
})

// poke ends the present instance of a container: its main process is told to end.
func poke(ctx context.Context, ns, pod string) {
	GinkgoHelper()
	_, err := node.Exec(ctx, ns, pod, "main", "kill", "1")
	if err != nil { // The container's end may take this command with it.
		Expect(err.Error()).To(HaveSuffix("exit code 137"))
	}
}
