package volcanotest

import (
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

// Bound returns the Bindings that the API accepted, by pod name.
func (c *Cluster) Bound() map[string]*v1.Binding {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]*v1.Binding{}
	for _, b := range c.bindings {
		out[b.Name] = b
	}
	return out
}

// Placements returns the node of each pod that has one, by pod name, as the API holds it.
func (c *Cluster) Placements() map[string]string {
	c.tb.Helper()
	out := map[string]string{}
	for _, pod := range c.pods() {
		if pod.Spec.NodeName != "" {
			out[pod.Name] = pod.Spec.NodeName
		}
	}
	return out
}

// Evictions returns the names of the pods whose deletion the scheduler asked for, sorted; a pod that
// was evicted twice is there twice.
func (c *Cluster) Evictions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(c.evictions)
	slices.Sort(out)
	return out
}

// States counts the ledger's pods by state.
func (c *Cluster) States() map[ledger.State]int {
	out := map[ledger.State]int{}
	for _, p := range c.Adapter.Ledger().Snapshot().Pods {
		out[p.State]++
	}
	return out
}

// Pod reads a pod from the API.
func (c *Cluster) Pod(name string) *v1.Pod {
	c.tb.Helper()
	p, err := c.Client.CoreV1().Pods(Namespace).Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	return p.DeepCopy()
}

// PodGroup reads a PodGroup from the API.
func (c *Cluster) PodGroup(name string) *schedulingv1beta1.PodGroup {
	c.tb.Helper()
	pg, err := c.VC.SchedulingV1beta1().PodGroups(Namespace).Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	return pg.DeepCopy()
}

// Queue reads a queue from the API.
func (c *Cluster) Queue(name string) *schedulingv1beta1.Queue {
	c.tb.Helper()
	q, err := c.VC.SchedulingV1beta1().Queues().Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	return q.DeepCopy()
}

func (c *Cluster) pods() []v1.Pod {
	c.tb.Helper()
	list, err := c.Client.CoreV1().Pods(metav1.NamespaceAll).List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	return list.Items
}

// Reason is the message of a pod's PodScheduled condition.
func (c *Cluster) Reason(name string) string {
	c.tb.Helper()
	for _, condition := range c.Pod(name).Status.Conditions {
		if condition.Type == v1.PodScheduled {
			return condition.Message
		}
	}
	return ""
}

// Events returns the events since the last call, each as "type reason message".
func (c *Cluster) Events() []string {
	var out []string
	for {
		select {
		case e := <-c.events.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

// EventsAbout counts the events with a reason since the last call, and drops all of them.
func (c *Cluster) EventsAbout(reason string) int {
	n := 0
	for _, e := range c.Events() {
		if strings.Contains(e, " "+reason+" ") {
			n++
		}
	}
	return n
}
