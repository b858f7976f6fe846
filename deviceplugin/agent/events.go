package agent

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Reasons of events; users match on them.
const (
	reasonRefused   = "DeviceSliceRefused"
	reasonDrift     = "DeviceAllocationChanged"
	reasonSick      = "DeviceUnhealthy"
	reasonRecovered = "DeviceHealthy"
)

// refused tells the pod's owner why its container does not start, once for each reason: the kubelet
// tries again for as long as the pod exists.
func (a *Agent) refused(pod *v1.Pod, err error) {
	message := err.Error()
	a.mu.Lock()
	repeated := a.told[string(pod.UID)] == message
	a.told[string(pod.UID)] = message
	a.mu.Unlock()
	if !repeated {
		a.Events.Event(pod, v1.EventTypeWarning, reasonRefused, message)
	}
}

// PodChanged compares the allocation of a pod with its frozen record. What was pinned counts; the
// owner is told once that a change is ignored.
func (a *Agent) PodChanged(pod *v1.Pod) {
	rec, ok := a.Records.Get(string(pod.UID))
	if !ok || rec.DriftReported {
		return
	}
	now, _, found, err := wire.DecodePod(pod)
	if err == nil && found && sameAllocation(now, rec.Allocation) {
		return
	}
	first, err := a.Records.MarkDriftReported(rec.PodUID)
	if first {
		a.Events.Eventf(pod, v1.EventTypeWarning, reasonDrift,
			"the allocation of the pod (annotation %s) was changed after its first container start: the change is ignored, the pod keeps what it was given", wire.AllocationKey)
	}
	if err != nil {
		klog.Background().Error(err, "Cannot note that an ignored change was reported", "pod", klog.KObj(pod))
	}
}

func sameAllocation(a, b wire.Allocation) bool {
	return a.Node == b.Node && maps.EqualFunc(a.Containers, b.Containers, slices.Equal)
}
