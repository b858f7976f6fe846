package volcano

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	topologyv1alpha1 "volcano.sh/apis/pkg/apis/topology/v1alpha1"

	"github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
	"github.com/basalt-gpu/basalt/test/scenarios"
)

// first is the first tier. Gangs are no shield there, neither against preemption, as in Volcano's own
// installation, nor against a queue that takes back what it lent: how much of a gang goes is decided by
// who takes it.
var first = []string{"name: priority", "name: gang\n    enablePreemptable: false\n    enableReclaimable: false"}

// configuration is the scheduler configuration of a row, with its actions, plugins and arguments.
func configuration(row *scenarios.Row) string {
	actions := row.Actions
	if len(actions) == 0 {
		actions = []string{"allocate"}
	}
	var arguments []string
	for _, key := range slices.Sorted(maps.Keys(row.Arguments)) {
		arguments = append(arguments, fmt.Sprintf("%s: %q", key, row.Arguments[key]))
	}
	last := []string{"name: predicates", "name: deviceshare\n    arguments: {" + strings.Join(arguments, ", ") + "}"}
	for _, name := range row.Plugins {
		last = append(last, "name: "+name)
	}
	return volcanotest.ConfigurationOf(strings.Join(actions, ", "), first, last)
}

// surroundings returns the row's queues, the quota of the namespace and the topology.
func surroundings(row *scenarios.Row) []runtime.Object {
	var all []runtime.Object
	for _, h := range row.HyperNodes {
		all = append(all, hyperNode(h))
	}
	if row.NamespaceQuota != nil {
		all = append(all, &v1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: scenarios.Namespace, Name: "quota", UID: "quota"},
			Spec:       v1.ResourceQuotaSpec{Hard: row.NamespaceQuota.DeepCopy()},
		})
	}
	for i := range row.Queues {
		q := &row.Queues[i]
		o := volcanotest.MakeQueue(q.Name).Weight(max(int(q.Weight), 1)).Parent(q.Parent).Reclaimable(!q.Locked).Obj()
		o.Spec.Capability, o.Spec.Deserved = q.Capability.DeepCopy(), q.Deserved.DeepCopy()
		o.Spec.Guarantee.Resource = q.Guarantee.DeepCopy()
		maps.Copy(o.Annotations, q.Annotations)
		all = append(all, o)
	}
	return all
}

// hyperNode returns a domain, with its members by name. Those of the first tier are nodes.
func hyperNode(h scenarios.HyperNode) *topologyv1alpha1.HyperNode {
	o := &topologyv1alpha1.HyperNode{
		ObjectMeta: metav1.ObjectMeta{Name: h.Name, UID: types.UID("hypernode-" + h.Name)},
		Spec:       topologyv1alpha1.HyperNodeSpec{Tier: h.Tier},
	}
	member := topologyv1alpha1.MemberTypeHyperNode
	if h.Tier == 1 {
		member = topologyv1alpha1.MemberTypeNode
	}
	for _, name := range h.Members {
		o.Spec.Members = append(o.Spec.Members, topologyv1alpha1.MemberSpec{
			Type:     member,
			Selector: topologyv1alpha1.MemberSelector{ExactMatch: &topologyv1alpha1.ExactMatch{Name: name}},
		})
	}
	return o
}

func className(priority int32) string { return fmt.Sprintf("priority-%d", priority) }

// podGroup returns the PodGroup that Volcano's controllers make of a group, ready to be scheduled.
func podGroup(g *scenarios.Group) *schedulingv1beta1.PodGroup {
	b := volcanotest.MakePodGroup(g.Name, g.Min).Queue(g.Queue)
	if g.Priority != 0 {
		b.PriorityClass(className(g.Priority))
	}
	o := b.Obj()
	o.Namespace, o.CreationTimestamp = scenarios.Namespace, metav1.NewTime(g.Created)
	for role, n := range g.MinByRole {
		if o.Spec.MinTaskMember == nil {
			o.Spec.MinTaskMember = map[string]int32{}
		}
		o.Spec.MinTaskMember[role] = int32(n)
	}
	return o
}

// member returns a pod of a group as Volcano's controllers make it.
func member(g *scenarios.Group, p *v1.Pod) *v1.Pod {
	o := p.DeepCopy()
	o.Annotations[schedulingv1beta1.KubeGroupNameAnnotationKey] = g.Name
	if g.Priority != 0 {
		o.Spec.PriorityClassName = className(g.Priority)
	}
	if g.Preemptable {
		o.Annotations[schedulingv1beta1.PodPreemptable] = "true"
		o.Labels = map[string]string{schedulingv1beta1.PodPreemptable: "true"}
	}
	return o
}

// objects returns what the API holds, for a scheduler that starts over it.
func (c *cluster) objects() []runtime.Object {
	c.Helper()
	var all []runtime.Object
	add := func(list runtime.Object, err error) {
		c.Helper()
		if err != nil {
			c.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			c.Fatal(err)
		}
		all = append(all, items...)
	}
	ctx, every := c.Context(), metav1.ListOptions{}
	add(c.vc.Client.CoreV1().Nodes().List(ctx, every))
	add(c.vc.Client.SchedulingV1().PriorityClasses().List(ctx, every))
	add(c.vc.Client.CoreV1().ResourceQuotas(scenarios.Namespace).List(ctx, every))
	add(c.vc.VC.SchedulingV1beta1().Queues().List(ctx, every))
	add(c.vc.VC.TopologyV1alpha1().HyperNodes().List(ctx, every))
	add(c.vc.VC.SchedulingV1beta1().PodGroups(scenarios.Namespace).List(ctx, every))
	add(c.vc.Client.CoreV1().Pods(scenarios.Namespace).List(ctx, every))
	return all
}
