package planning

import (
	"encoding/json"
	"fmt"
	"maps"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// candidates answers which nodes a pod may use by what it says about nodes: node selector, required
// affinity, tolerations. Answers are kept until some node changes in what they depend on.
type candidates struct {
	nodes map[string]*v1.Node
	sets  map[string]*packing.Set
}

// refresh forgets the answers if nodes changed.
func (c *candidates) refresh(nodes map[string]*api.NodeInfo) {
	same := len(nodes) == len(c.nodes)
	for name, n := range nodes {
		known := c.nodes[name]
		if known == n.Node {
			continue
		}
		// Most changes of a node are of its status.
		same = same && known != nil && n.Node != nil && alike(known, n.Node)
		if same {
			c.nodes[name] = n.Node // or it would be compared again in every session
		}
	}
	if same && c.sets != nil {
		return
	}
	c.nodes = make(map[string]*v1.Node, len(nodes))
	for name, n := range nodes {
		c.nodes[name] = n.Node
	}
	c.sets = map[string]*packing.Set{}
}

// alike reports whether pods that could use one of the nodes could use the other.
func alike(a, b *v1.Node) bool {
	return a.Spec.Unschedulable == b.Spec.Unschedulable && maps.Equal(a.Labels, b.Labels) &&
		equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints)
}

// of returns the nodes that a pod may use.
func (c *candidates) of(pod *v1.Pod, pool *packing.Pool) (*packing.Set, error) {
	key, err := constraints(pod)
	if err != nil {
		return nil, err
	}
	if set, known := c.sets[key]; known {
		return set, nil
	}
	set := &packing.Set{}
	for name := range c.nodes {
		if i, known := pool.Index(name); known && c.why(pod, name) == "" {
			set.Add(i)
		}
	}
	c.sets[key] = set
	return set, nil
}

// The reasons why a node is closed to a pod, as Volcano's predicates name them.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonTaint         = "node(s) had untolerated taints"
	reasonAffinity      = "node(s) didn't match Pod's node affinity/selector"
)

// why returns the reason why a pod may not use a node, or "".
func (c *candidates) why(pod *v1.Pod, name string) string {
	node := c.nodes[name]
	switch {
	case node == nil:
		return ""
	case !schedulable(pod, node):
		return reasonUnschedulable
	case !tolerated(pod, node):
		return reasonTaint
	}
	if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match {
		return reasonAffinity
	}
	return ""
}

// unschedulable is how an unschedulable node looks to tolerations.
var unschedulable = v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule}

func schedulable(pod *v1.Pod, node *v1.Node) bool {
	return !node.Spec.Unschedulable || v1helper.TolerationsTolerateTaint(pod.Spec.Tolerations, &unschedulable)
}

func tolerated(pod *v1.Pod, node *v1.Node) bool {
	_, untolerated := v1helper.FindMatchingUntoleratedTaint(node.Spec.Taints, pod.Spec.Tolerations, func(t *v1.Taint) bool {
		return t.Effect == v1.TaintEffectNoSchedule || t.Effect == v1.TaintEffectNoExecute
	})
	return !untolerated
}

// constraints returns a text that is equal for pods that say the same about nodes.
func constraints(pod *v1.Pod) (string, error) {
	says := struct {
		Selector    map[string]string `json:",omitempty"`
		Affinity    *v1.NodeSelector  `json:",omitempty"`
		Tolerations []v1.Toleration   `json:",omitempty"`
	}{Selector: pod.Spec.NodeSelector, Tolerations: pod.Spec.Tolerations}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		says.Affinity = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if len(says.Selector) == 0 && says.Affinity == nil && len(says.Tolerations) == 0 {
		return "", nil
	}
	key, err := json.Marshal(says)
	if err != nil {
		return "", fmt.Errorf("name node constraints of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return string(key), nil
}

// soft reports whether a pod says more about nodes than the planner knows: preferences, and relations to
// other pods.
func soft(pod *v1.Pod) bool {
	if len(pod.Spec.TopologySpreadConstraints) > 0 || len(pod.Spec.ResourceClaims) > 0 {
		return true
	}
	a := pod.Spec.Affinity
	return a != nil && (a.PodAffinity != nil || a.PodAntiAffinity != nil ||
		a.NodeAffinity != nil && len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0)
}

// single reports whether each pod of a kind must be tried by predicates itself: what one of them takes
// on a node, the next one cannot have there.
func single(pod *v1.Pod) bool {
	for i := range pod.Spec.Containers {
		for _, port := range pod.Spec.Containers[i].Ports {
			if port.HostPort > 0 {
				return true
			}
		}
	}
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].PersistentVolumeClaim != nil || pod.Spec.Volumes[i].Ephemeral != nil {
			return true
		}
	}
	return soft(pod)
}
