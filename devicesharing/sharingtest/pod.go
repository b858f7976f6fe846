package sharingtest

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodBuilder builds a pod.
type PodBuilder struct {
	pod     v1.Pod
	current *v1.Container
}

// MakePod starts a pod in namespace default whose UID is its name.
func MakePod(name string) *PodBuilder {
	return &PodBuilder{pod: v1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: metav1.NamespaceDefault, Name: name, UID: types.UID(name),
	}}}
}

// Container adds an app container; what follows applies to it.
func (b *PodBuilder) Container(name string) *PodBuilder {
	b.pod.Spec.Containers = append(b.pod.Spec.Containers, v1.Container{Name: name})
	b.current = &b.pod.Spec.Containers[len(b.pod.Spec.Containers)-1]
	return b
}

// Init adds an init container; what follows applies to it.
func (b *PodBuilder) Init(name string) *PodBuilder {
	b.pod.Spec.InitContainers = append(b.pod.Spec.InitContainers, v1.Container{Name: name})
	b.current = &b.pod.Spec.InitContainers[len(b.pod.Spec.InitContainers)-1]
	return b
}

// Sidecar adds a native sidecar; what follows applies to it.
func (b *PodBuilder) Sidecar(name string) *PodBuilder {
	b.Init(name)
	always := v1.ContainerRestartPolicyAlways
	b.current.RestartPolicy = &always
	return b
}

// Limit sets a limit of the current container.
func (b *PodBuilder) Limit(name v1.ResourceName, quantity string) *PodBuilder {
	return b.set(&b.current.Resources.Limits, name, quantity)
}

// Request sets a request of the current container.
func (b *PodBuilder) Request(name v1.ResourceName, quantity string) *PodBuilder {
	return b.set(&b.current.Resources.Requests, name, quantity)
}

func (b *PodBuilder) set(list *v1.ResourceList, name v1.ResourceName, quantity string) *PodBuilder {
	if *list == nil {
		*list = v1.ResourceList{}
	}
	(*list)[name] = resource.MustParse(quantity)
	return b
}

// Share asks count cards with memory MiB and cores of each, in HAMi's names.
func (b *PodBuilder) Share(count, memory, cores string) *PodBuilder {
	return b.Limit("nvidia.com/gpu", count).Limit("nvidia.com/gpumem", memory).Limit("nvidia.com/gpucores", cores)
}

// Annotation sets an annotation.
func (b *PodBuilder) Annotation(key, value string) *PodBuilder {
	if b.pod.Annotations == nil {
		b.pod.Annotations = map[string]string{}
	}
	b.pod.Annotations[key] = value
	return b
}

// Node binds the pod.
func (b *PodBuilder) Node(name string) *PodBuilder {
	b.pod.Spec.NodeName = name
	return b
}

// Obj returns the pod.
func (b *PodBuilder) Obj() *v1.Pod {
	return b.pod.DeepCopy()
}
