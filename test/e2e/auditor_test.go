package e2e

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// amount is a part of a card; the arithmetic here is the suite's own on purpose.
type amount struct {
	memory uint64
	cores  uint64
	slots  uint64
}

func (a amount) plus(b amount) amount {
	return amount{a.memory + b.memory, a.cores + b.cores, a.slots + b.slots}
}

func (a amount) max(b amount) amount {
	return amount{max(a.memory, b.memory), max(a.cores, b.cores), max(a.slots, b.slots)}
}

// auditor watches all pods for as long as the suite runs and adds up, at every change, what the pods
// whose containers may run have of each card. It trusts the API's pods and their annotations only,
// not the ledger: two schedulers' worth of mistakes would still be seen. A sum above a card's size is
// a violation, kept until somebody takes it.
type auditor struct {
	cancel context.CancelFunc

	mu         sync.Mutex
	pods       map[types.UID]map[string]amount // use by card; guarded by mu
	names      map[types.UID]string            // guarded by mu
	violations []string                        // guarded by mu
}

func startAuditor(client kubernetes.Interface) (*auditor, error) {
	ctx, cancel := context.WithCancel(context.Background())
	a := &auditor{cancel: cancel, pods: map[types.UID]map[string]amount{}, names: map[types.UID]string{}}
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { a.observe(obj.(*v1.Pod)) },
		UpdateFunc: func(_, obj any) { a.observe(obj.(*v1.Pod)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if pod, ok := obj.(*v1.Pod); ok {
				a.forget(pod.UID)
			}
		},
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		cancel()
		return nil, fmt.Errorf("watch pods: no first list")
	}
	return a, nil
}

func (a *auditor) stop() { a.cancel() }

// takeViolations returns what was seen since the last call.
func (a *auditor) takeViolations() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.violations
	a.violations = nil
	return out
}

func (a *auditor) observe(pod *v1.Pod) {
	if ended(pod) {
		a.forget(pod.UID)
		return
	}
	raw, ok := pod.Annotations[allocationKey]
	if !ok || pod.Spec.NodeName == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	allocation, err := wire.DecodeAllocation(raw)
	if err != nil {
		a.violations = append(a.violations, fmt.Sprintf("%s/%s: %v", pod.Namespace, pod.Name, err))
		return
	}
	if _, known := a.pods[pod.UID]; known {
		return // the first allocation counts; a later rewrite is the plugin's to ignore
	}
	a.pods[pod.UID], a.names[pod.UID] = peak(pod, allocation), pod.Namespace+"/"+pod.Name
	a.checkLocked(pod)
}

func (a *auditor) forget(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pods, uid)
	delete(a.names, uid)
}

// checkLocked compares the cards of a new pod with their size. Precondition: a.mu is held.
func (a *auditor) checkLocked(pod *v1.Pod) {
	for uuid := range a.pods[pod.UID] {
		var sum amount
		var who []string
		for uid, cards := range a.pods {
			if use, ok := cards[uuid]; ok {
				sum, who = sum.plus(use), append(who, a.names[uid])
			}
		}
		if sum.memory > cardMemory || sum.cores > 100 || sum.slots > cardSlots {
			a.violations = append(a.violations, fmt.Sprintf("%s: card %s carries %+v with pods %v",
				time.Now().Format(time.TimeOnly), uuid, sum, who))
		}
	}
}

// ended says that none of the pod's containers runs or will run: it is finished, or it is being
// deleted and each container that the kubelet knows of has ended.
func ended(pod *v1.Pod) bool {
	if pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed {
		return true
	}
	if pod.DeletionTimestamp == nil {
		return false
	}
	all := append(append([]v1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
	for _, s := range all {
		if s.State.Running != nil {
			return false
		}
	}
	return len(all) > 0 && pod.Status.Phase != v1.PodPending
}

// peak is the most that a pod takes of each card at one time: each ordinary init container beside the
// sidecars started before it, or all app containers beside all sidecars.
func peak(pod *v1.Pod, allocation wire.Allocation) map[string]amount {
	use := func(into map[string]amount, container string) {
		for _, s := range allocation.Containers[container] {
			into[s.UUID] = into[s.UUID].plus(amount{uint64(s.Memory), uint64(s.Cores), 1})
		}
	}
	highest, standing := map[string]amount{}, map[string]amount{}
	raise := func(now map[string]amount) {
		for uuid, n := range now {
			highest[uuid] = highest[uuid].max(n)
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			use(standing, c.Name)
			continue
		}
		now := map[string]amount{}
		for uuid, n := range standing {
			now[uuid] = n
		}
		use(now, c.Name)
		raise(now)
	}
	for _, c := range pod.Spec.Containers {
		use(standing, c.Name)
	}
	raise(standing)
	return highest
}
