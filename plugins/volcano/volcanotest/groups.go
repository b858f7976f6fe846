package volcanotest

import (
	v1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
)

// Queues that are always there.
const (
	RootQueue    = "root"
	DefaultQueue = "default"
)

// PodGroupBuilder builds a PodGroup.
type PodGroupBuilder struct{ group schedulingv1beta1.PodGroup }

// MakePodGroup starts a PodGroup in queue default that may be scheduled.
func MakePodGroup(name string, minMember int) *PodGroupBuilder {
	return &PodGroupBuilder{group: schedulingv1beta1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name, UID: types.UID("pg-" + name), Annotations: map[string]string{}, Labels: map[string]string{}},
		Spec:       schedulingv1beta1.PodGroupSpec{MinMember: int32(minMember), Queue: DefaultQueue},
		Status:     schedulingv1beta1.PodGroupStatus{Phase: schedulingv1beta1.PodGroupInqueue},
	}}
}

// MinMember sets how many pods must be placed.
func (b *PodGroupBuilder) MinMember(n int) *PodGroupBuilder {
	b.group.Spec.MinMember = int32(n)
	return b
}

// Queue sets the queue.
func (b *PodGroupBuilder) Queue(name string) *PodGroupBuilder {
	b.group.Spec.Queue = name
	return b
}

// PriorityClass sets the priority class, which has to be created.
func (b *PodGroupBuilder) PriorityClass(name string) *PodGroupBuilder {
	b.group.Spec.PriorityClassName = name
	return b
}

// MinResources sets what the group asks for before its pods are there.
func (b *PodGroupBuilder) MinResources(asks Asks) *PodGroupBuilder {
	list := resources(asks)
	b.group.Spec.MinResources = &list
	return b
}

// Phase sets the phase: Pending waits for the enqueue action.
func (b *PodGroupBuilder) Phase(p schedulingv1beta1.PodGroupPhase) *PodGroupBuilder {
	b.group.Status.Phase = p
	return b
}

// Annotation sets an annotation.
func (b *PodGroupBuilder) Annotation(key, value string) *PodGroupBuilder {
	b.group.Annotations[key] = value
	return b
}

// Spec lets change edit the group's spec, for what has no method of its own.
func (b *PodGroupBuilder) Spec(change func(*schedulingv1beta1.PodGroupSpec)) *PodGroupBuilder {
	change(&b.group.Spec)
	return b
}

// Obj returns the PodGroup.
func (b *PodGroupBuilder) Obj() *schedulingv1beta1.PodGroup { return b.group.DeepCopy() }

// QueueBuilder builds a queue.
type QueueBuilder struct{ queue schedulingv1beta1.Queue }

// MakeQueue starts an open queue of weight 1 whose pods may be reclaimed.
func MakeQueue(name string) *QueueBuilder {
	b := &QueueBuilder{queue: schedulingv1beta1.Queue{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Annotations: map[string]string{}},
		Spec:       schedulingv1beta1.QueueSpec{Weight: 1},
		Status:     schedulingv1beta1.QueueStatus{State: schedulingv1beta1.QueueStateOpen},
	}}
	return b.Reclaimable(true)
}

// Weight sets the weight.
func (b *QueueBuilder) Weight(w int) *QueueBuilder { b.queue.Spec.Weight = int32(w); return b }

// Parent sets the parent queue.
func (b *QueueBuilder) Parent(name string) *QueueBuilder { b.queue.Spec.Parent = name; return b }

// Capability sets the hard limit.
func (b *QueueBuilder) Capability(asks Asks) *QueueBuilder {
	b.queue.Spec.Capability = resources(asks)
	return b
}

// Deserved sets the share above which pods may be reclaimed.
func (b *QueueBuilder) Deserved(asks Asks) *QueueBuilder {
	b.queue.Spec.Deserved = resources(asks)
	return b
}

// Guarantee sets what is kept for the queue.
func (b *QueueBuilder) Guarantee(asks Asks) *QueueBuilder {
	b.queue.Spec.Guarantee.Resource = resources(asks)
	return b
}

// Reclaimable sets whether other queues may take back what this one borrowed.
func (b *QueueBuilder) Reclaimable(may bool) *QueueBuilder {
	b.queue.Spec.Reclaimable = &may
	return b
}

// Annotation sets an annotation.
func (b *QueueBuilder) Annotation(key, value string) *QueueBuilder {
	b.queue.Annotations[key] = value
	return b
}

// Obj returns the queue.
func (b *QueueBuilder) Obj() *schedulingv1beta1.Queue { return b.queue.DeepCopy() }

// MakePriorityClass makes a priority class.
func MakePriorityClass(name string, value int32) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Value: value}
}

func resources(asks Asks) v1.ResourceList {
	list := v1.ResourceList{}
	for name, quantity := range asks {
		list[name] = resource.MustParse(quantity)
	}
	return list
}
