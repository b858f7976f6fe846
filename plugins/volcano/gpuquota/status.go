package gpuquota

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// deviceName is where Volcano finds the use among a node's shared devices.
const deviceName = PluginName

// use tells Volcano what pods have, when it writes queue.status.allocated at the end of a session: it
// asks every kind of shared devices of a pod's node. All else that Volcano asks of devices is the
// deviceshare plugin's, and answered there.
type use struct {
	plugin  *plugin
	options request.Options
	// names holds the names under which a queue's status says it. Guarded by the session's goroutine.
	names  map[api.QueueID]*request.Names
	answer map[string]float64
}

var _ api.Devices = (*use)(nil)

// showUse puts the use where Volcano looks for it. The nodes are the session's own.
func (p *plugin) showUse() {
	u := &use{plugin: p, options: p.quota.adapter.Requests(), names: map[api.QueueID]*request.Names{}, answer: map[string]float64{}}
	for _, node := range p.ssn.Nodes {
		if node.Others == nil {
			node.Others = map[string]any{}
		}
		node.Others[deviceName] = u
	}
}

// HasDeviceRequest implements api.Devices.
func (u *use) HasDeviceRequest(pod *v1.Pod) bool { return request.Asks(pod, u.options) }

// AddQueueResource implements api.Devices: totals in thousandths, by resource name. The map is the
// same in every call; Volcano reads it at once.
func (u *use) AddQueueResource(pod *v1.Pod) map[string]float64 {
	clear(u.answer)
	charge, state, buffer := u.plugin.charged(pod, u.plugin.buffer)
	u.plugin.buffer = buffer
	if state == "" {
		charge = quota.Ask(u.plugin.quota.adapter.Request(pod), u.plugin.pool)
	}
	names := u.namesFor(pod)
	factor := uint64(max(u.options.MemoryFactor, 1))
	u.say(names.Memory, charge[quota.Memory]*1000/factor)
	u.say(names.Cores, charge[quota.Cores]*1000)
	u.say(quota.CardsName, charge[quota.Cards])
	return u.answer
}

func (u *use) say(name v1.ResourceName, milli uint64) {
	if name != "" && milli > 0 {
		u.answer[string(name)] = float64(milli)
	}
}

// namesFor returns the names in which a pod's queue, or the nearest parent that does, states limits,
// else those that the pod itself uses.
func (u *use) namesFor(pod *v1.Pod) *request.Names {
	if job := u.plugin.ssn.Jobs[jobOf(pod)]; job != nil {
		if _, known := u.names[job.Queue]; !known {
			u.names[job.Queue] = u.namesOf(job.Queue)
		}
		if n := u.names[job.Queue]; n != nil {
			return n
		}
	}
	for i := range u.options.Names {
		if n := &u.options.Names[i]; request.Asks(pod, request.Options{Names: []request.Names{*n}}) {
			return n
		}
	}
	return &u.options.Names[0]
}

func (u *use) namesOf(id api.QueueID) *request.Names {
	for name := string(id); name != ""; name = u.plugin.tree.Parent(name) {
		queue := u.plugin.ssn.Queues[api.QueueID(name)]
		if queue == nil {
			return nil
		}
		spec := queue.Queue.Spec
		for _, list := range []v1.ResourceList{spec.Capability, spec.Deserved, spec.Guarantee.Resource} {
			for i := range u.options.Names {
				n := &u.options.Names[i]
				if _, ok := list[n.Memory]; ok {
					return n
				}
				if _, ok := list[n.Cores]; ok {
					return n
				}
			}
		}
	}
	return nil
}

// jobOf is the job of a pod in a session.
func jobOf(pod *v1.Pod) api.JobID {
	return api.JobID(pod.Namespace + "/" + pod.Annotations[schedulingv1beta1.KubeGroupNameAnnotationKey])
}

// AddResource implements api.Devices.
func (*use) AddResource(*v1.Pod) {}

// SubResource implements api.Devices.
func (*use) SubResource(*v1.Pod) {}

// FilterNode implements api.Devices.
func (*use) FilterNode(*v1.Pod, string) (int, string, error) { return api.Success, "", nil }

// ScoreNode implements api.Devices.
func (*use) ScoreNode(*v1.Pod, string) float64 { return 0 }

// Allocate implements api.Devices.
func (*use) Allocate(kubernetes.Interface, *v1.Pod) error { return nil }

// Release implements api.Devices.
func (*use) Release(kubernetes.Interface, *v1.Pod) error { return nil }

// GetIgnoredDevices implements api.Devices.
func (*use) GetIgnoredDevices() []string { return nil }

// GetStatus implements api.Devices.
func (*use) GetStatus() string { return "" }
