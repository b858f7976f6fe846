// Package demo shows the main job on a running cluster: a gang of tasks, each with a slice of a card.
// It prints the commands that it runs, so that a reader can go on by hand.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/test/cluster"
)

const (
	job      = "vgpu-gang"
	example  = "examples/vcjob-vgpu.yaml"
	selector = "volcano.sh/job-name=" + job
	tasks    = 4
	patience = time.Minute
	settling = 3 * time.Second
)

// Run submits the example and shows what came of it. It can be run again: the job is made anew.
func Run(ctx context.Context, c *cluster.Cluster, repo string, out io.Writer) error {
	show := func(args ...string) error {
		fmt.Fprintf(out, "\n$ kubectl %s\n", strings.Join(args, " "))
		text, err := c.Kubectl(ctx, resolve(repo, args)...)
		fmt.Fprint(out, text)
		return err
	}
	if err := removeEarlier(ctx, c, repo); err != nil {
		return err
	}
	if err := show("apply", "-f", example); err != nil {
		return err
	}
	began := time.Now()
	explain := func(err error) error {
		return errors.Join(err, show("get", "pods,podgroups", "-o", "wide"), show("get", "events", "--sort-by=.lastTimestamp"),
			show("logs", "-l", selector, "--prefix", "--tail=-1"))
	}
	if err := waitPods(ctx, c, notRunning); err != nil {
		return explain(err)
	}
	fmt.Fprintf(out, "all %d tasks run after %s\n", tasks, time.Since(began).Round(100*time.Millisecond))
	if err := waitPods(ctx, c, notDone(ctx, c)); err != nil {
		return explain(err)
	}
	if err := show("get", "pods", "-l", selector, "-o", "wide"); err != nil {
		return err
	}
	if err := showAllocations(ctx, c, out); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nWhat each container sees of its card, and what it gets when it asks for more:")
	if err := show("logs", "-l", selector, "--prefix", "--tail=-1"); err != nil {
		return err
	}
	if err := showLedger(ctx, c, out); err != nil {
		return err
	}
	fmt.Fprint(out, `
The cluster stays up. To go on:
  build/bin/basalt-cluster kubectl get pods        any kubectl command
  build/bin/basalt-cluster kubectl apply -f examples/pod-vgpu.yaml
  build/bin/basalt-cluster logs basalt-scheduler   a component's log
  build/bin/basalt-cluster status
  make demo-down                                   end it and remove everything of it
`)
	return nil
}

// removeEarlier ends the job of an earlier demo. Volcano's controller (v1.14) goes on deleting from its
// cache for a moment after the last pod is gone, by name, and would take a new job of the same name
// with it: that job would never get pods. Nothing tells when it has finished, so it gets time.
func removeEarlier(ctx context.Context, c *cluster.Cluster, repo string) error {
	text, err := c.Kubectl(ctx, "delete", "-f", filepath.Join(repo, example), "--ignore-not-found")
	if err != nil || text == "" {
		return err
	}
	if err := waitPods(ctx, c, func(pods []corev1.Pod) string { return count(len(pods), "pods of an earlier demo are left") }); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("remove the job of an earlier demo: %w", ctx.Err())
	case <-time.After(settling):
		return nil
	}
}

// resolve makes the example's path absolute: kubectl may run anywhere.
func resolve(repo string, args []string) []string {
	resolved := make([]string, len(args))
	for i, arg := range args {
		if arg == example {
			arg = filepath.Join(repo, arg)
		}
		resolved[i] = arg
	}
	return resolved
}

// waitPods waits until missing, given the job's pods, says that nothing is.
func waitPods(ctx context.Context, c *cluster.Cluster, missing func([]corev1.Pod) string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := c.Client()
	if err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		pods, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return fmt.Errorf("list pods of job %s: %w", job, err)
		}
		why := missing(pods.Items)
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %s", patience, why)
		case <-tick.C:
		}
	}
}

// notDone says how many tasks have not reached the end of their script, where they hold their memory.
// A task whose expectation failed ends with an error instead, and never gets there.
func notDone(ctx context.Context, c *cluster.Cluster) func([]corev1.Pod) string {
	return func(pods []corev1.Pod) string {
		left := tasks
		for _, pod := range pods {
			text, err := c.Kubectl(ctx, "logs", pod.Name)
			if err == nil && strings.Contains(text, `"step":"hold"`) {
				left--
			}
		}
		return count(left, "tasks did not come to the end of their script")
	}
}

// notRunning says how many tasks do not run yet.
func notRunning(pods []corev1.Pod) string {
	running := 0
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	return count(tasks-running, "tasks do not run")
}

func count(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

func showAllocations(ctx context.Context, c *cluster.Cluster, out io.Writer) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return fmt.Errorf("list pods of job %s: %w", job, err)
	}
	fmt.Fprintf(out, "\nThe scheduler's decision, in each pod's annotation %s:\n", wire.AllocationKey)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POD\tCONTAINER\tCARD\tMEMORY\tCORES")
	for _, pod := range pods.Items {
		allocation, err := wire.DecodeAllocation(pod.Annotations[wire.AllocationKey])
		if err != nil {
			return fmt.Errorf("decode allocation of pod %s: %w", pod.Name, err)
		}
		for container, slices := range allocation.Containers {
			for _, slice := range slices {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d MiB\t%d %%\n", pod.Name, container, slice.UUID, slice.Memory, slice.Cores)
			}
		}
	}
	return w.Flush()
}

func showLedger(ctx context.Context, c *cluster.Cluster, out io.Writer) error {
	url := c.LedgerURL()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for the ledger: %w", err)
	}
	response, err := c.HTTPClient().Do(request)
	if err != nil {
		return fmt.Errorf("ask for the ledger: %w", err)
	}
	defer response.Body.Close()
	var snapshot ledger.Snapshot
	if err := json.NewDecoder(response.Body).Decode(&snapshot); err != nil {
		return fmt.Errorf("decode the ledger (%s): %w", response.Status, err)
	}
	fmt.Fprintf(out, "\nThe scheduler's ledger, %s:\n", url)
	return writeLedger(out, snapshot)
}

// writeLedger prints one line per card: what is used of what there is.
func writeLedger(out io.Writer, snapshot ledger.Snapshot) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tCARD\tMODEL\tSHARES\tMEMORY MiB\tCORES %")
	for _, node := range snapshot.Nodes {
		for _, card := range node.Cards {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%d/%d\t%d/%d\n", node.Name, card.UUID, card.Model,
				card.Used.Slots, card.Capacity.Slots, card.Used.Memory, card.Capacity.Memory, card.Used.Cores, card.Capacity.Cores)
		}
	}
	return w.Flush()
}
