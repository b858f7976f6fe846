package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/test/cluster"
)

// Sizes of what a failed spec prints.
const (
	tailBytes = 6000
	mostPods  = 45
)

// reportState prints what is needed to understand a failed spec without running it again.
func reportState(ctx context.Context) {
	namespaces, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: namespaceLabel + "=true"})
	if err != nil {
		GinkgoWriter.Printf("list namespaces: %v\n", err)
		return
	}
	for _, ns := range namespaces.Items {
		reportNamespace(ctx, ns.Name)
	}
	snapshot, err := readLedger(ctx)
	if err != nil {
		GinkgoWriter.Printf("ledger: %v\n", err)
	} else if text, err := json.Marshal(snapshot); err == nil {
		GinkgoWriter.Printf("ledger: %.20000s\n", text)
	}
	for _, name := range []string{cluster.Scheduler, cluster.DevicePlugin} {
		GinkgoWriter.Printf("--- end of %s\n%s\n", node.LogPath(name), tail(node.LogPath(name)))
	}
}

func reportNamespace(ctx context.Context, ns string) {
	pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		GinkgoWriter.Printf("list pods: %v\n", err)
		return
	}
	GinkgoWriter.Printf("--- namespace %s: %d pods\n", ns, len(pods.Items))
	for i, p := range pods.Items {
		if i == mostPods {
			break
		}
		GinkgoWriter.Printf("%s node=%s %s\n    %s\n", p.Name, p.Spec.NodeName, describe(&p), p.Annotations[allocationKey])
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Waiting == nil && (s.RestartCount > 0 || s.State.Terminated != nil) {
				text, _ := logs(ctx, &p, s.Name)
				GinkgoWriter.Printf("    log of %s: %.1500s\n", s.Name, text)
			}
		}
	}
	events, err := kube.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	seen := map[string]int{}
	for _, e := range events.Items {
		line := fmt.Sprintf("%s %s: %.400s", e.InvolvedObject.Kind, e.Reason, e.Message)
		if seen[line]++; seen[line] == 1 && e.Reason != "Pulled" && e.Reason != "Created" && e.Reason != "Started" {
			GinkgoWriter.Printf("event of %s %s\n", e.InvolvedObject.Name, line)
		}
	}
}

// tail is the end of a file, from a line's beginning.
func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(raw) <= tailBytes {
		return string(raw)
	}
	_, text, _ := strings.Cut(string(raw[len(raw)-tailBytes:]), "\n")
	return text
}
