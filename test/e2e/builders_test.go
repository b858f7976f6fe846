package e2e

import (
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	batch "volcano.sh/apis/pkg/apis/batch/v1alpha1"

	"github.com/basalt-gpu/basalt/test/cluster"
)

// slice is what a container asks: cards, and of each so much memory and compute.
type slice struct {
	cards  int
	memory uint64
	cores  uint32
}

func (s slice) limits() v1.ResourceList {
	out := v1.ResourceList{gpu: quantity(s.cards)}
	if s.memory > 0 {
		out[gpumem] = *resource.NewQuantity(int64(s.memory), resource.DecimalSI)
	}
	if s.cores > 0 {
		out[gpucores] = quantity(int(s.cores))
	}
	return out
}

func quantity(n int) resource.Quantity { return *resource.NewQuantity(int64(n), resource.DecimalSI) }

// podBuilder makes pods of the cudaprobe image for our scheduler.
type podBuilder struct{ pod v1.Pod }

func makePod(name string) *podBuilder {
	return &podBuilder{v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PodSpec{
			SchedulerName:                 schedulerName,
			RestartPolicy:                 v1.RestartPolicyNever,
			TerminationGracePeriodSeconds: ptr.To[int64](2),
			EnableServiceLinks:            ptr.To(false),
			// No spec is about pod networks, and a network for each of a thousand pods takes minutes.
			HostNetwork:                  true,
			AutomountServiceAccountToken: ptr.To(false),
		},
	}}
}

func container(name string, limits v1.ResourceList, command ...string) v1.Container {
	return v1.Container{
		Name: name, Image: cluster.CUDAProbeImage, ImagePullPolicy: v1.PullNever, Command: command,
		Resources: v1.ResourceRequirements{Limits: limits},
	}
}

// app adds a container that runs a cudaprobe script.
func (b *podBuilder) app(name string, s slice, script ...string) *podBuilder {
	return b.raw(container(name, s.limits(), append([]string{"cudaprobe"}, script...)...))
}

func (b *podBuilder) raw(c v1.Container) *podBuilder {
	b.pod.Spec.Containers = append(b.pod.Spec.Containers, c)
	return b
}

func (b *podBuilder) init(c v1.Container) *podBuilder {
	b.pod.Spec.InitContainers = append(b.pod.Spec.InitContainers, c)
	return b
}

func (b *podBuilder) sidecar(c v1.Container) *podBuilder {
	c.RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
	return b.init(c)
}

func (b *podBuilder) restart(p v1.RestartPolicy) *podBuilder {
	b.pod.Spec.RestartPolicy = p
	return b
}

func (b *podBuilder) grace(seconds int64) *podBuilder {
	b.pod.Spec.TerminationGracePeriodSeconds = &seconds
	return b
}

func (b *podBuilder) annotate(key, value string) *podBuilder {
	metav1.SetMetaDataAnnotation(&b.pod.ObjectMeta, key, value)
	return b
}

func (b *podBuilder) obj() *v1.Pod { return b.pod.DeepCopy() }

// reporting is a container that writes down once at each start what it sees of its slice, and then
// lives until it is told to end: the limits page as mounted, then cudaprobe's JSON.
func reporting(name string, s slice) v1.Container {
	return container(name, s.limits(), "sh", "-c", reportScript+"; exec cudaprobe info hold")
}

const reportScript = "echo limits=$(base64 -w0 " + limitsPath + ")"

// task is one role of a job.
type task struct {
	name     string
	replicas int
	pod      *v1.Pod
}

// makeJob makes a Volcano job that runs only as a whole, unless minAvailable says otherwise (0).
func makeJob(name string, minAvailable int, tasks ...task) *batch.Job {
	job := &batch.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       batch.JobSpec{SchedulerName: schedulerName, Queue: "default", MaxRetry: 1},
	}
	all := 0
	for _, t := range tasks {
		all += t.replicas
		job.Spec.Tasks = append(job.Spec.Tasks, batch.TaskSpec{
			Name: t.name, Replicas: int32(t.replicas),
			Template: v1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: t.pod.Annotations, Labels: t.pod.Labels},
				Spec:       t.pod.Spec,
			},
		})
	}
	if minAvailable == 0 {
		minAvailable = all
	}
	job.Spec.MinAvailable = int32(minAvailable)
	return job
}

func mib(n uint64) string { return strconv.FormatUint(n, 10) }
