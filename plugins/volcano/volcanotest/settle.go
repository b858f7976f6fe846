package volcanotest

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Settle waits until the Bindings under way have ended, and Volcano's cache and the ledger have seen
// what the API holds. Once events are held back only the first list is waited for.
func (c *Cluster) Settle() {
	c.tb.Helper()
	if c.scale {
		return
	}
	what := ""
	defer func() {
		if c.tb.Failed() {
			c.tb.Logf("not settled: %s", what)
		}
	}()
	c.Until("cache and ledger see what the API holds", func() bool {
		what = c.unsettled()
		return what == ""
	})
}

// unsettled names something that the scheduler has not seen yet, or "".
func (c *Cluster) unsettled() string {
	c.mu.Lock()
	blind := c.blind
	c.mu.Unlock()
	for _, unseen := range []func() string{c.unseenNode, c.unseenQueue, c.unseenGroup, c.unseenClass} {
		if what := unseen(); what != "" {
			return what
		}
	}
	tasks := map[string]*api.TaskInfo{}
	for _, job := range c.Cache.Snapshot().Jobs {
		for _, task := range job.Tasks {
			tasks[task.Name] = task
		}
	}
	pods := c.pods()
	for i := range pods {
		pod := &pods[i]
		if what := unseenPod(pod, tasks[pod.Name], blind); what != "" {
			return what
		}
		delete(tasks, pod.Name)
	}
	if blind {
		return ""
	}
	for name := range tasks {
		return fmt.Sprintf("pod %s is gone and Volcano's cache still has it", name)
	}
	return c.unbooked(pods)
}

func (c *Cluster) unseenNode() string {
	nodes, err := c.Client.CoreV1().Nodes().List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Cache.Lock()
	defer c.Cache.Unlock()
	for i := range nodes.Items {
		want := &nodes.Items[i]
		if got := c.Cache.Nodes[want.Name]; got == nil || !equality.Semantic.DeepEqual(got.Node, want) {
			return fmt.Sprintf("node %s: Volcano's cache has an older state or none", want.Name)
		}
		if !c.booked(want) {
			return fmt.Sprintf("node %s: the ledger has an older state or none", want.Name)
		}
	}
	if len(c.Cache.Nodes) != len(nodes.Items) {
		return fmt.Sprintf("Volcano's cache has %d nodes, the API %d", len(c.Cache.Nodes), len(nodes.Items))
	}
	return ""
}

// booked reports whether the ledger has the cards of a node as they are registered.
func (c *Cluster) booked(node *v1.Node) bool {
	if c.Adapter == nil || !c.Adapter.Fed() {
		return true
	}
	cards, _, _, err := wire.DecodeNode(node.Annotations)
	if err != nil {
		cards = nil
	}
	wire.Cordon(node.Annotations, cards)
	var view fit.Node
	c.Adapter.Ledger().View(node.Name, 0, &view)
	offered := map[string]bool{}
	for i := range view.Cards {
		if card := &view.Cards[i]; !card.Gone {
			offered[card.UUID] = card.Healthy && !card.Cordoned
		}
	}
	for i := range cards {
		is, known := offered[cards[i].UUID]
		if !known || is != (cards[i].Healthy && !cards[i].Cordoned) {
			return false
		}
	}
	return len(offered) == len(cards)
}

func (c *Cluster) unseenQueue() string {
	queues, err := c.VC.SchedulingV1beta1().Queues().List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Cache.Lock()
	defer c.Cache.Unlock()
	for i := range queues.Items {
		want := &queues.Items[i]
		got := c.Cache.Queues[api.QueueID(want.Name)]
		if got == nil || got.Weight != want.Spec.Weight || string(got.Queue.Status.State) != string(want.Status.State) ||
			!equality.Semantic.DeepEqual(got.Queue.Spec.Capability, want.Spec.Capability) ||
			!equality.Semantic.DeepEqual(got.Queue.Spec.Deserved, want.Spec.Deserved) {
			return fmt.Sprintf("queue %s: Volcano's cache has an older state or none", want.Name)
		}
	}
	return ""
}

func (c *Cluster) unseenGroup() string {
	groups, err := c.VC.SchedulingV1beta1().PodGroups(metav1.NamespaceAll).List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Cache.Lock()
	defer c.Cache.Unlock()
	for i := range groups.Items {
		want := &groups.Items[i]
		got := c.Cache.Jobs[api.JobID(want.Namespace+"/"+want.Name)]
		if got == nil || got.PodGroup == nil || string(got.PodGroup.Status.Phase) != string(want.Status.Phase) || got.MinAvailable != want.Spec.MinMember {
			return fmt.Sprintf("PodGroup %s: Volcano's cache has an older state or none", want.Name)
		}
	}
	return ""
}

func (c *Cluster) unseenClass() string {
	classes, err := c.Client.SchedulingV1().PriorityClasses().List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Cache.Lock()
	defer c.Cache.Unlock()
	for _, want := range classes.Items {
		if c.Cache.PriorityClasses[want.Name] == nil {
			return fmt.Sprintf("priority class %s: Volcano's cache has none", want.Name)
		}
	}
	return ""
}

func unseenPod(pod *v1.Pod, task *api.TaskInfo, blind bool) string {
	if pod.Spec.SchedulerName != schedulerName {
		return ""
	}
	switch {
	case ended(pod):
		if task != nil && !blind && task.Pod.Status.Phase != pod.Status.Phase {
			return fmt.Sprintf("pod %s has ended: Volcano's cache has not seen it", pod.Name)
		}
		return ""
	case task == nil:
		return fmt.Sprintf("pod %s: Volcano's cache has no task of it (is there a PodGroup, and its queue?)", pod.Name)
	case blind:
		return ""
	case !equality.Semantic.DeepEqual(task.Pod.Status, pod.Status):
		return fmt.Sprintf("pod %s: Volcano's cache has an older status", pod.Name)
	case pod.Spec.NodeName != "" && (task.NodeName != pod.Spec.NodeName || task.Status == api.Binding):
		return fmt.Sprintf("pod %s is on node %s, Volcano's cache has node %q, status %v", pod.Name, pod.Spec.NodeName, task.NodeName, task.Status)
	case pod.Spec.NodeName == "" && task.Status == api.Binding:
		return fmt.Sprintf("pod %s is being bound", pod.Name)
	case (pod.DeletionTimestamp != nil) != (task.Pod.DeletionTimestamp != nil):
		return fmt.Sprintf("pod %s: Volcano's cache has not seen its deletion", pod.Name)
	case pod.DeletionTimestamp == nil && task.Status == api.Releasing:
		return fmt.Sprintf("pod %s is being evicted", pod.Name)
	}
	return ""
}

// unbooked names a bound pod that the ledger has in another state than the API.
func (c *Cluster) unbooked(pods []v1.Pod) string {
	if c.Adapter == nil || !c.Adapter.Fed() {
		return ""
	}
	alive := map[string]bool{}
	for i := range pods {
		pod := &pods[i]
		uid := string(pod.UID)
		alive[uid] = !ended(pod)
		if pod.Spec.NodeName == "" || pod.Annotations[wire.AllocationKey] == "" || !alive[uid] {
			continue
		}
		want := ledger.Bound
		if pod.DeletionTimestamp != nil {
			want = ledger.Releasing
		}
		if _, state, _ := c.Adapter.Ledger().Held(uid); state != want {
			return fmt.Sprintf("pod %s is %q in the ledger, want %q", pod.Name, state, want)
		}
	}
	for _, p := range c.Adapter.Ledger().Snapshot().Pods {
		if !alive[p.UID] {
			return fmt.Sprintf("pod %s/%s has ended and is %q in the ledger", p.Namespace, p.Name, p.State)
		}
	}
	return ""
}

func ended(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}
