package scenarios

import (
	"fmt"
	"maps"
	"math/rand"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Who may have registered the cards of a node.
const (
	RegisteredByAgent   = "agent"
	RegisteredByHAMi    = "hami"
	RegisteredByVolcano = "volcano"
	RegisteredByNobody  = "none"
)

// Namespace is where all pods are; DefaultQueue is the queue of work that names none.
const (
	Namespace    = "team-a"
	DefaultQueue = "default"
)

// RoleKey is the annotation that Volcano's controller puts on the pods of a role.
const RoleKey = "volcano.sh/task-spec"

const (
	defaultModel  = "NVIDIA-A100-SXM4-80GB"
	defaultMemory = 81920
	defaultShares = 10
)

// epoch is when the first work is submitted; each later submission is one second younger.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Group is work as a scheduler sees it.
type Group struct {
	Name     string
	Queue    string
	Priority int32
	// Min is how many pods must be placed together, MinByRole how many of each role with a bound.
	Min         int
	MinByRole   map[string]int
	Preemptable bool
	Created     time.Time
	Pods        []*v1.Pod
}

func (n *Node) uuids() []string {
	names := make([]string, n.Cards)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", n.Name, i)
	}
	return names
}

// cards returns the cards of the node, in the order of their index.
func (n *Node) cards() []device.Card {
	cards := make([]device.Card, 0, n.Cards)
	for i, uuid := range n.uuids() {
		c := device.Card{
			UUID: uuid, Index: i, Vendor: device.VendorNVIDIA, Model: defaultModel, Memory: defaultMemory,
			Cores: device.WholeCard, Slots: defaultShares, Healthy: true, Mode: device.ModeHAMiCore,
		}
		n.Card.change(&c)
		if but, ok := n.But[uuid]; ok {
			but.change(&c)
		}
		cards = append(cards, c)
	}
	return cards
}

// change makes a card differ in what is set.
func (d Card) change(c *device.Card) {
	replace(&c.UUID, d.UUID)
	replace(&c.Model, d.Model)
	replace(&c.Memory, d.Memory)
	replace(&c.Cores, d.Cores)
	replace(&c.Slots, d.Shares)
	replace(&c.NUMA, d.NUMA)
	replace(&c.Mode, d.Mode)
	c.Healthy = c.Healthy && !d.Sick
}

func replace[T comparable](to *T, with T) {
	var zero T
	if with != zero {
		*to = with
	}
}

// object returns the node as the API server has it. The order in which cards are registered means
// nothing where the form has an index, so r shuffles it.
func (n *Node) object(r *rand.Rand) (*v1.Node, error) {
	cards := n.cards()
	tokens := int64(0)
	for _, c := range cards {
		tokens += int64(c.Slots)
	}
	replace(&tokens, deref(n.Tokens, 0))
	resources := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse(orElse(n.CPU, "64")), v1.ResourceMemory: resource.MustParse("256Gi"),
		v1.ResourcePods: resource.MustParse("110"),
	}
	for _, name := range request.Defaults().CountNames() {
		resources[name] = *resource.NewQuantity(tokens, resource.DecimalSI)
	}
	annotations, err := n.registration(cards, r)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	maps.Copy(annotations, n.Annotations)
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: types.UID(n.Name), Annotations: annotations, Labels: maps.Clone(n.Labels)},
		Spec:       v1.NodeSpec{Unschedulable: n.Cordoned},
		Status: v1.NodeStatus{
			Capacity: resources, Allocatable: resources,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}, nil
}

func (n *Node) registration(cards []device.Card, r *rand.Rand) (map[string]string, error) {
	annotations := map[string]string{}
	switch n.Register {
	case RegisteredByNobody:
		return annotations, nil
	case RegisteredByVolcano:
		text, err := wire.EncodeNodeVolcano(cards)
		annotations[wire.VolcanoNodeRegisterKey] = text
		return annotations, err
	case RegisteredByHAMi:
	default:
		annotations[wire.AgentKey] = wire.AgentVersion
	}
	shuffle(r, cards)
	text, err := wire.EncodeNodeHAMi(cards)
	annotations[wire.HAMiNodeRegisterKey] = text
	return annotations, err
}

func shuffle[T any](r *rand.Rand, all []T) {
	if r != nil {
		r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	}
}

func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// group returns the work as a scheduler sees it; it is the n-th that is submitted.
func (w *Work) group(n int) *Group {
	g := &Group{
		Name: w.Pod + w.Job, Queue: orElse(w.Queue, DefaultQueue), Priority: w.Priority, Preemptable: w.Preemptable,
		MinByRole: map[string]int{}, Created: epoch.Add(time.Duration(n) * time.Second),
	}
	switch {
	case w.Pod != "":
		g.add(w.Pod, "", &w.Template)
	case len(w.Roles) == 0:
		for i := range max(w.Replicas, 1) {
			g.add(fmt.Sprintf("%s-%d", w.Job, i), "", &w.Template)
		}
	}
	for _, role := range w.Roles {
		if role.Min != nil {
			g.MinByRole[role.Name] = *role.Min
		}
		for i := range role.Replicas {
			g.add(fmt.Sprintf("%s-%s-%d", w.Job, role.Name, i), role.Name, &role.Pod)
		}
	}
	g.Min = deref(w.Min, len(g.Pods))
	return g
}

func (g *Group) add(name, role string, p *Pod) {
	pod := p.object(name)
	pod.CreationTimestamp = metav1.NewTime(g.Created)
	pod.Spec.Priority = &g.Priority
	if role != "" {
		pod.Annotations[RoleKey] = role
	}
	g.Pods = append(g.Pods, pod)
}

// object returns a pending pod.
func (p *Pod) object(name string) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: Namespace, Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1", Annotations: map[string]string{},
		},
		Spec: v1.PodSpec{
			SchedulerName:  "volcano",
			NodeSelector:   maps.Clone(p.NodeSelector),
			Affinity:       affinity(p.Prefers),
			InitContainers: containers(p.InitContainers),
			Containers:     containers(p.Containers),
		},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	maps.Copy(pod.Annotations, p.Annotations)
	if len(p.Containers) == 0 {
		pod.Spec.Containers = containers([]Container{{Name: "main", Limits: p.Limits}})
	}
	return pod
}

// affinity returns the wish for a node with all of the labels, as strong as such a wish can be.
func affinity(labels map[string]string) *v1.Affinity {
	if len(labels) == 0 {
		return nil
	}
	var terms []v1.NodeSelectorRequirement
	for _, key := range SortedKeys(labels) {
		terms = append(terms, v1.NodeSelectorRequirement{Key: key, Operator: v1.NodeSelectorOpIn, Values: []string{labels[key]}})
	}
	return &v1.Affinity{NodeAffinity: &v1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []v1.PreferredSchedulingTerm{
		{Weight: 100, Preference: v1.NodeSelectorTerm{MatchExpressions: terms}},
	}}}
}

// containers returns the containers as the API server stores them: limits are requests too, unless
// others are given.
func containers(all []Container) []v1.Container {
	var out []v1.Container
	for _, c := range all {
		requests := c.Limits.DeepCopy()
		if c.Requests != nil {
			requests = c.Requests.DeepCopy()
		}
		o := v1.Container{Name: c.Name, Resources: v1.ResourceRequirements{Limits: c.Limits.DeepCopy(), Requests: requests}}
		if c.Sidecar {
			always := v1.ContainerRestartPolicyAlways
			o.RestartPolicy = &always
		}
		out = append(out, o)
	}
	return out
}

// object returns the pod that is bound already.
func (f *Found) object() (*v1.Pod, error) {
	pod := f.Template.object(f.Pod)
	pod.CreationTimestamp = metav1.NewTime(epoch)
	pod.Spec.NodeName = f.Node
	pod.Status.Phase = v1.PodRunning
	pod.Spec.SchedulerName = "another-scheduler"
	if len(f.Cards) == 0 {
		return pod, nil
	}
	a := wire.Allocation{Version: wire.AllocationVersion, Node: f.Node, Containers: map[string][]wire.Slice{}}
	for _, uuid := range SortedKeys(f.Cards) {
		u := f.Cards[uuid]
		a.Containers["main"] = append(a.Containers["main"], wire.Slice{UUID: uuid, Memory: u.Memory, Cores: u.Cores})
	}
	text, err := wire.EncodeAllocation(a)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", f.Pod, err)
	}
	pod.Annotations[wire.AllocationKey] = text
	return pod, nil
}
