package feed

import (
	"fmt"
	"reflect"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

func (f *Feed) podChanged(old, pod *v1.Pod) {
	if old != nil && old.UID != pod.UID {
		// The watch joined a deletion and a creation under one name into one update.
		f.forget(old)
	}
	if ContainersGone(pod) {
		f.forget(pod)
		return
	}
	if pod.Spec.NodeName == "" {
		return
	}
	allocation, source, found, err := wire.DecodePod(pod)
	if err != nil || !found {
		f.bypass(pod, err)
		// A pod that the ledger knows keeps what it has; one that it does not know stays unknown.
		allocation = wire.Allocation{}
	} else {
		f.clear(pod)
		allocation = f.pinned(old, pod, allocation)
	}
	parsed, errs := request.Parse(pod, f.requests)
	if len(errs) > 0 {
		// The allocation is what the pod has; what it asked for only explains it.
		f.log.V(2).Info("Placed pod has a malformed device request", "pod", klog.KObj(pod), "err", errs.ToAggregate())
		parsed = nil
	}
	f.ledger.Observe(ledger.PodState{
		UID:        string(pod.UID),
		Namespace:  pod.Namespace,
		Name:       pod.Name,
		Node:       pod.Spec.NodeName,
		Allocation: allocation,
		Request:    parsed,
		Releasing:  pod.DeletionTimestamp != nil,
	})
	f.log.V(4).Info("Pod observed", "pod", klog.KObj(pod), "node", pod.Spec.NodeName, "source", source,
		"releasing", pod.DeletionTimestamp != nil)
}

// pinned returns the first allocation under which a pod was seen bound. The node's agent acts on the
// first one and ignores later changes, so whoever rewrites it changes nothing but the annotation.
func (f *Feed) pinned(old, pod *v1.Pod, now wire.Allocation) wire.Allocation {
	first, state, known := f.ledger.Held(string(pod.UID))
	if !known || (state != ledger.Bound && state != ledger.Releasing) || first.Node != now.Node ||
		reflect.DeepEqual(first.Containers, now.Containers) {
		return now
	}
	if old != nil && old.Annotations[wire.AllocationKey] != pod.Annotations[wire.AllocationKey] {
		f.log.Info("Allocation of a bound pod was changed, the first one counts", "pod", klog.KObj(pod), "node", pod.Spec.NodeName)
	}
	return first
}

func (f *Feed) podDeleted(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		// The object may be stale, but its UID is that of the pod that is gone.
		obj = unknown.Obj
	}
	pod, ok := obj.(*v1.Pod)
	if !ok {
		f.log.Info("Deleted object is no pod, ignored", "type", fmt.Sprintf("%T", obj))
		return
	}
	f.forget(pod)
}

func (f *Feed) forget(pod *v1.Pod) {
	f.clear(pod)
	f.ledger.Forget(string(pod.UID))
}

// suspect is a bound pod that asks for devices and has no readable allocation.
type suspect struct {
	node string
	pod  klog.ObjectRef
}

// bypass notes a bound pod without a readable allocation if it asks for devices: on a node with
// registered cards, something else than a scheduler that knows the ledger bound it. (Elsewhere the
// same resource names may belong to another device plugin.)
func (f *Feed) bypass(pod *v1.Pod, cause error) {
	if cause == nil && !request.Asks(pod, f.requests) {
		return
	}
	s := suspect{node: pod.Spec.NodeName, pod: klog.KObj(pod)}
	f.mu.Lock()
	_, known := f.suspects[string(pod.UID)]
	f.suspects[string(pod.UID)] = s
	offers := f.offers[s.node]
	f.mu.Unlock()
	if known {
		return
	}
	if cause != nil {
		f.log.Error(cause, "Bound pod has an unreadable allocation, its devices are not counted", "pod", s.pod, "node", s.node)
	} else if offers {
		f.logBypass(s)
	}
}

func (f *Feed) logBypass(s suspect) {
	f.log.Info("Bound pod asks for devices and has no allocation, something else than Basalt's scheduler bound it",
		"pod", s.pod, "node", s.node)
}

func (f *Feed) clear(pod *v1.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.suspects, string(pod.UID))
}

// ContainersGone reports whether nothing of the pod can use a device any more. A pod that is being
// deleted keeps its devices for its grace period: its processes still hold device memory.
func ContainersGone(pod *v1.Pod) bool {
	if pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed {
		return true
	}
	if pod.DeletionTimestamp == nil || len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Terminated == nil {
			return false
		}
	}
	for _, s := range pod.Status.InitContainerStatuses {
		// A waiting init container of a pod whose app containers ended is one that never ran.
		if s.State.Running != nil {
			return false
		}
	}
	return true
}
