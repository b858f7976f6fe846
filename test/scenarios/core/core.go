package core

import (
	"maps"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/test/scenarios"
)

// Runner runs rows by the core alone.
type Runner struct{}

// Name implements scenarios.Runner.
func (Runner) Name() string { return "core" }

// Start implements scenarios.Runner.
func (Runner) Start(t testing.TB, row *scenarios.Row) scenarios.Cluster {
	return &cluster{
		TB: t, policy: policy(t, row), queues: queuePolicies(t, row), hyperNodes: row.HyperNodes, ledger: ledger.New(), options: request.Defaults(),
		nodes: map[string]*v1.Node{}, pods: map[string]*v1.Pod{}, reasons: map[string]string{}, refused: map[string]bool{},
		unseen: map[string]bool{},
	}
}

// cluster is the objects of an API server, and one scheduler's ledger.
type cluster struct {
	testing.TB
	// policy is what the configuration says of pods that say nothing themselves, queues what their queue
	// says before that.
	policy request.Policy
	queues map[string]request.Policy
	// hyperNodes is the topology.
	hyperNodes []scenarios.HyperNode
	ledger     *ledger.Ledger
	options    request.Options

	nodes   map[string]*v1.Node
	pods    map[string]*v1.Pod
	groups  []*scenarios.Group
	reasons map[string]string
	refused map[string]bool
	// unseen are the pods that were bound while the watch was delayed.
	unseen  map[string]bool
	delayed bool
}

// SetNode implements scenarios.Cluster.
func (c *cluster) SetNode(n *v1.Node) {
	c.nodes[n.Name] = n
	cards, _, found, err := wire.DecodeNode(n.Annotations)
	if !found && err == nil {
		c.ledger.RemoveNode(n.Name)
		return
	}
	// A registration that cannot be read offers no cards, and links that cannot be read count by NUMA node.
	wire.Cordon(n.Annotations, cards)
	var pairs *device.Pairs
	if text, ok := n.Annotations[wire.HAMiNodeScoreKey]; ok {
		pairs, _ = wire.DecodeNodeScores(text, cards)
	}
	c.ledger.SetNode(device.Node{Name: n.Name, Cards: cards, Pairs: pairs})
}

// RemoveNode implements scenarios.Cluster.
func (c *cluster) RemoveNode(name string) {
	delete(c.nodes, name)
	c.ledger.RemoveNode(name)
}

// Submit implements scenarios.Cluster.
func (c *cluster) Submit(groups []*scenarios.Group, pods []*v1.Pod) {
	for _, g := range groups {
		c.groups = append(c.groups, g)
		for _, p := range g.Pods {
			c.pods[p.Name] = p.DeepCopy()
		}
	}
	for _, p := range pods {
		c.pods[p.Name] = p.DeepCopy()
		c.observe(p.Name)
	}
}

// observe tells the ledger what the API says of a pod.
func (c *cluster) observe(name string) {
	p := c.pods[name]
	if p.Status.Phase == v1.PodSucceeded || p.Status.Phase == v1.PodFailed {
		c.ledger.Forget(string(p.UID))
		return
	}
	allocation, _, found, err := wire.DecodePod(p)
	if err != nil || !found {
		allocation = wire.Allocation{}
	}
	parsed, _ := request.Parse(p, c.options)
	c.ledger.Observe(ledger.PodState{
		UID: string(p.UID), Namespace: p.Namespace, Name: p.Name, Node: p.Spec.NodeName, Allocation: allocation, Request: parsed,
		Releasing: p.DeletionTimestamp != nil,
	})
}

// ChangePod implements scenarios.Cluster.
func (c *cluster) ChangePod(name string, change func(*v1.Pod)) {
	change(c.pods[name])
	if !c.unseen[name] {
		c.observe(name)
	}
}

// RemovePod implements scenarios.Cluster.
func (c *cluster) RemovePod(name string) {
	c.ledger.Forget(string(c.pods[name].UID))
	delete(c.pods, name)
}

// DelayWatch implements scenarios.Cluster.
func (c *cluster) DelayWatch(delayed bool) {
	c.delayed = delayed
	if delayed {
		return
	}
	for name := range c.unseen {
		c.observe(name)
	}
	clear(c.unseen)
}

// RefuseBindings implements scenarios.Cluster.
func (c *cluster) RefuseBindings(names []string) {
	clear(c.refused)
	for _, n := range names {
		c.refused[n] = true
	}
}

// Restart implements scenarios.Cluster: a new ledger learns nodes and bound pods from the API.
func (c *cluster) Restart() {
	c.ledger = ledger.New()
	clear(c.unseen)
	for name := range c.pods {
		c.observe(name)
	}
	for _, n := range c.nodes {
		c.SetNode(n)
	}
}

// Pods implements scenarios.Cluster.
func (c *cluster) Pods() map[string]scenarios.Outcome {
	out := map[string]scenarios.Outcome{}
	for name, p := range c.pods {
		o := scenarios.Outcome{Node: p.Spec.NodeName, Reason: c.reasons[name]}
		if allocation, _, found, err := wire.DecodePod(p); found && err == nil {
			o.Slices = allocation.Containers
		}
		out[name] = o
	}
	return out
}

// Evictions implements scenarios.Cluster: the core chooses no victims.
func (c *cluster) Evictions() []string { return nil }

// Uses implements scenarios.Cluster.
func (c *cluster) Uses() map[string]scenarios.Use { return scenarios.UsesOf(c.ledger.Snapshot()) }

// Capacities implements scenarios.Cluster.
func (c *cluster) Capacities() map[string]scenarios.Use {
	return scenarios.CapacitiesOf(c.ledger.Snapshot())
}

// candidates are the nodes that may take the pod, by name, as far as its devices do not matter: those
// of Basalt's agent that are neither cordoned nor excluded by the pod's selector.
func (c *cluster) candidates(p *v1.Pod) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.nodes)) {
		n := c.nodes[name]
		_, legacy, found, _ := wire.DecodeNode(n.Annotations)
		selected := true
		for k, v := range p.Spec.NodeSelector {
			selected = selected && n.Labels[k] == v
		}
		if selected && !n.Spec.Unschedulable && !(found && legacy) {
			names = append(names, name)
		}
	}
	return names
}
