package volcanotest

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	batchv1alpha1 "volcano.sh/apis/pkg/apis/batch/v1alpha1"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Namespace is where the built pods and PodGroups live.
const Namespace = "team-a"

// Asks is what a container asks for, by resource name.
type Asks map[v1.ResourceName]string

// Slice asks for one card, with that much memory in MiB and that share of its cores.
func Slice(memory, cores int) Asks {
	return Asks{ResourceGPU: "1", "nvidia.com/gpumem": fmt.Sprint(memory), "nvidia.com/gpucores": fmt.Sprint(cores)}
}

// PodBuilder builds a pod.
type PodBuilder struct{ pod v1.Pod }

// MakePod starts a pending pod of a group, with one container, main.
func MakePod(group, name string, asks Asks) *PodBuilder {
	b := &PodBuilder{pod: v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: Namespace, Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1", Labels: map[string]string{},
			Annotations: map[string]string{schedulingv1beta1.KubeGroupNameAnnotationKey: group, "team-a/colour": "green"},
		},
		Spec:   v1.PodSpec{SchedulerName: schedulerName},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}}
	return b.Container("main", asks)
}

// Container adds a container.
func (b *PodBuilder) Container(name string, asks Asks) *PodBuilder {
	b.pod.Spec.Containers = append(b.pod.Spec.Containers, container(name, asks))
	return b
}

// Init adds an init container.
func (b *PodBuilder) Init(name string, asks Asks) *PodBuilder {
	b.pod.Spec.InitContainers = append(b.pod.Spec.InitContainers, container(name, asks))
	return b
}

func container(name string, asks Asks) v1.Container {
	limits := resources(asks)
	return v1.Container{Name: name, Resources: v1.ResourceRequirements{Limits: limits, Requests: limits.DeepCopy()}}
}

// Annotation sets an annotation.
func (b *PodBuilder) Annotation(key, value string) *PodBuilder {
	b.pod.Annotations[key] = value
	return b
}

// Label sets a label.
func (b *PodBuilder) Label(key, value string) *PodBuilder {
	b.pod.Labels[key] = value
	return b
}

// Role makes the pod one of a task of a Volcano job; Volcano takes pods of a role for alike.
func (b *PodBuilder) Role(name string) *PodBuilder {
	return b.Annotation(batchv1alpha1.TaskSpecKey, name)
}

// Preemptable lets Volcano evict the pod for others.
func (b *PodBuilder) Preemptable() *PodBuilder {
	return b.Annotation(schedulingv1beta1.PodPreemptable, "true").Label(schedulingv1beta1.PodPreemptable, "true")
}

// Priority sets the pod's priority.
func (b *PodBuilder) Priority(class string, value int32) *PodBuilder {
	b.pod.Spec.PriorityClassName, b.pod.Spec.Priority = class, &value
	return b
}

// NodeSelector lets the pod go only to nodes with a label.
func (b *PodBuilder) NodeSelector(key, value string) *PodBuilder {
	b.pod.Spec.NodeSelector = map[string]string{key: value}
	return b
}

// Spec lets change edit the pod's spec, for what has no method of its own.
func (b *PodBuilder) Spec(change func(*v1.PodSpec)) *PodBuilder {
	change(&b.pod.Spec)
	return b
}

// Bound puts the pod on a node, running, with slices for its container main.
func (b *PodBuilder) Bound(node string, slices ...wire.Slice) *PodBuilder {
	b.pod.Spec.NodeName, b.pod.Status.Phase = node, v1.PodRunning
	if len(slices) == 0 {
		return b
	}
	text, err := wire.EncodeAllocation(wire.Allocation{Version: wire.AllocationVersion, Node: node,
		Containers: map[string][]wire.Slice{"main": slices}})
	if err != nil {
		panic(fmt.Sprintf("slices of pod %s: %v", b.pod.Name, err))
	}
	return b.Annotation(wire.AllocationKey, text)
}

// Terminating makes the pod one whose deletion was asked for and whose containers still run.
func (b *PodBuilder) Terminating(since metav1.Time) *PodBuilder {
	b.pod.DeletionTimestamp, b.pod.Finalizers = &since, []string{"test/keep"}
	return b
}

// Obj returns the pod.
func (b *PodBuilder) Obj() *v1.Pod { return b.pod.DeepCopy() }

// GangBuilder builds a PodGroup and its pods.
type GangBuilder struct {
	group *PodGroupBuilder
	pods  []*PodBuilder
	name  string
}

// MakeGang starts a gang of n pods, NAME-0 and so on, which must all be placed.
func MakeGang(name string, n int, asks Asks) *GangBuilder {
	g := &GangBuilder{group: MakePodGroup(name, n), name: name}
	return g.Add(n, asks)
}

// Add adds n pods.
func (g *GangBuilder) Add(n int, asks Asks) *GangBuilder {
	for range n {
		g.pods = append(g.pods, MakePod(g.name, fmt.Sprintf("%s-%d", g.name, len(g.pods)), asks))
	}
	return g
}

// MinMember sets how many pods must be placed; the others are elastic.
func (g *GangBuilder) MinMember(n int) *GangBuilder { g.group.MinMember(n); return g }

// Queue sets the queue.
func (g *GangBuilder) Queue(name string) *GangBuilder { g.group.Queue(name); return g }

// Priority sets the priority of the PodGroup and its pods. The class has to be created.
func (g *GangBuilder) Priority(class string, value int32) *GangBuilder {
	g.group.PriorityClass(class)
	return g.Each(func(_ int, p *PodBuilder) { p.Priority(class, value) })
}

// Group lets change edit the PodGroup.
func (g *GangBuilder) Group(change func(*PodGroupBuilder)) *GangBuilder { change(g.group); return g }

// Each lets change edit every pod.
func (g *GangBuilder) Each(change func(i int, p *PodBuilder)) *GangBuilder {
	for i, p := range g.pods {
		change(i, p)
	}
	return g
}

// Objects returns the PodGroup and its pods.
func (g *GangBuilder) Objects() []runtime.Object {
	out := []runtime.Object{g.group.Obj()}
	for _, p := range g.pods {
		out = append(out, p.Obj())
	}
	return out
}

// Objects joins objects and lists of them.
func Objects(parts ...any) []runtime.Object {
	var out []runtime.Object
	for _, p := range parts {
		switch p := p.(type) {
		case runtime.Object:
			out = append(out, p)
		case []runtime.Object:
			out = append(out, p...)
		default:
			panic(fmt.Sprintf("a %T is no object and no list of objects", p))
		}
	}
	return out
}
