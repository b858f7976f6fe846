package e2e

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	batch "volcano.sh/apis/pkg/apis/batch/v1alpha1"
)

func create(ctx context.Context, ns string, pod *v1.Pod) *v1.Pod {
	GinkgoHelper()
	out, err := kube.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return out
}

func createJob(ctx context.Context, ns string, job *batch.Job) *batch.Job {
	GinkgoHelper()
	out, err := vc.BatchV1alpha1().Jobs(ns).Create(ctx, job, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return out
}

func get(ctx context.Context, ns, name string) *v1.Pod {
	GinkgoHelper()
	pod, err := kube.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return pod
}

func list(ctx context.Context, ns string) []v1.Pod {
	GinkgoHelper()
	pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	return pods.Items
}

// waitRunning waits until so many pods of a namespace run with all containers ready, fails as soon
// as one of them has ended, and returns them.
func waitRunning(ctx context.Context, ns string, count int) []v1.Pod {
	GinkgoHelper()
	var pods []v1.Pod
	Eventually(ctx, func(g Gomega) {
		all, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		pods = nil
		var waiting []string
		for _, p := range all.Items {
			if p.Status.Phase == v1.PodFailed {
				StopTrying(fmt.Sprintf("pod %s has failed: %s", p.Name, describe(&p))).Now()
			}
			if ready(&p) {
				pods = append(pods, p)
			} else {
				waiting = append(waiting, p.Name+": "+describe(&p))
			}
		}
		g.Expect(pods).To(HaveLen(count), "not running yet:\n%s", strings.Join(waiting, "\n"))
	}).WithTimeout(startTimeout).WithPolling(interval).Should(Succeed())
	return pods
}

// waitPod waits until a pod meets a condition.
func waitPod(ctx context.Context, ns, name, what string, ok func(*v1.Pod) bool) *v1.Pod {
	GinkgoHelper()
	var pod *v1.Pod
	Eventually(ctx, func(g Gomega) {
		var err error
		pod, err = kube.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ok(pod)).To(BeTrue(), "pod %s is not %s: %s", name, what, describe(pod))
	}).WithTimeout(startTimeout).WithPolling(interval).Should(Succeed())
	return pod
}

func ready(pod *v1.Pod) bool {
	if pod.Status.Phase != v1.PodRunning || pod.DeletionTimestamp != nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

func succeeded(pod *v1.Pod) bool { return pod.Status.Phase == v1.PodSucceeded }
func bound(pod *v1.Pod) bool     { return pod.Spec.NodeName != "" }

// restarts is how often a container of the pod was started anew.
func restarts(pod *v1.Pod, container string) int32 {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s.RestartCount
		}
	}
	return 0
}

// describe says in one line where a pod stands.
func describe(pod *v1.Pod) string {
	out := []string{string(pod.Status.Phase), pod.Status.Reason, pod.Status.Message}
	for _, c := range pod.Status.Conditions {
		if c.Status != v1.ConditionTrue && c.Message != "" {
			out = append(out, fmt.Sprintf("%s: %s: %s", c.Type, c.Reason, c.Message))
		}
	}
	for _, s := range append(append([]v1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		if w := s.State.Waiting; w != nil {
			out = append(out, fmt.Sprintf("%s waits: %s: %s", s.Name, w.Reason, w.Message))
		}
		if t := s.State.Terminated; t != nil {
			out = append(out, fmt.Sprintf("%s ended: %s (%d)", s.Name, t.Reason, t.ExitCode))
		}
	}
	return strings.Join(strings.Fields(strings.Join(out, " ")), " ")
}

// said collects what users can read about an object: its events, and for pods the conditions.
func said(ctx context.Context, ns, name string) string {
	GinkgoHelper()
	var out []string
	events, err := kube.CoreV1().Events(ns).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.name", name).String()})
	Expect(err).NotTo(HaveOccurred())
	for _, e := range events.Items {
		out = append(out, fmt.Sprintf("event %s: %s", e.Reason, e.Message))
	}
	pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	Expect(err).NotTo(HaveOccurred())
	for _, p := range pods.Items {
		for _, c := range p.Status.Conditions {
			out = append(out, fmt.Sprintf("condition %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
		}
	}
	return strings.Join(out, "\n")
}

// placed lists the pods that have a node or an allocation.
func placed(pods []v1.Pod) []string {
	var out []string
	for _, p := range pods {
		if p.Spec.NodeName != "" || p.Annotations[allocationKey] != "" {
			out = append(out, p.Name)
		}
	}
	return out
}
