package volcano

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Defaults of the Binder.
const (
	DefaultBindTimeout = 30 * time.Second
	DefaultBindWorkers = 32
)

// Binder sends Bindings. The pod's allocation travels in the Binding itself, so that the API server
// writes node name and cards in one transaction: a pod is bound with its cards or not at all.
//
// Volcano calls Bind from one goroutine per task; the Binder bounds how many of them talk to the API
// server at once.
type Binder struct {
	ledger  *ledger.Ledger
	places  *places
	client  kubernetes.Interface // nil: the one that Volcano passes
	asks    func(*v1.Pod) bool
	timeout time.Duration
	retry   retryTimes
	metrics bindMetrics
	log     klog.Logger
	ctx     context.Context // ends with the process; Volcano passes none

	slots chan struct{}
	tasks sync.WaitGroup // goroutines that the Binder started

	mu sync.Mutex
	// open holds the pods whose Binding was sent and whose outcome is not known. Guarded by mu.
	open map[string]bool
}

func newBinder(ctx context.Context, l *ledger.Ledger, o Options, asks func(*v1.Pod) bool) *Binder {
	if o.BindTimeout <= 0 {
		o.BindTimeout = DefaultBindTimeout
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.BindWorkers <= 0 {
		o.BindWorkers = DefaultBindWorkers
	}
	return &Binder{
		ledger:  l,
		places:  newPlaces(l, o.Clock),
		client:  o.Client,
		asks:    asks,
		timeout: o.BindTimeout,
		retry:   defaultRetryTimes,
		metrics: newBindMetrics(o.Metrics),
		log:     klog.FromContext(ctx).WithName("binder"),
		ctx:     ctx,
		slots:   make(chan struct{}, o.BindWorkers),
		open:    map[string]bool{},
	}
}

// Bind implements Volcano's cache.Binder. It returns the message of each task that is not bound.
func (b *Binder) Bind(volcanoClient kubernetes.Interface, tasks []*api.TaskInfo) map[api.TaskID]string {
	client := b.client
	if client == nil {
		client = volcanoClient
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	failed := map[api.TaskID]string{}
	for _, task := range tasks {
		b.slots <- struct{}{}
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-b.slots }()
			if err := b.bind(client, task); err != nil {
				b.log.Error(err, "Pod is not bound", "pod", podRef(task), "node", task.NodeName)
				mu.Lock()
				defer mu.Unlock()
				failed[task.UID] = plain(err.Error())
			}
		}()
	}
	all.Wait()
	return failed
}

func (b *Binder) bind(client kubernetes.Interface, task *api.TaskInfo) error {
	if !b.asks(task.Pod) {
		err := b.post(client, task, schedulerAnnotations(task))
		b.metrics.count(plainResult(err))
		return err
	}
	allocation, err := b.assumed(task)
	if err != nil {
		b.metrics.count(resultNoSlice)
		return err
	}
	encoded, err := wire.EncodeAllocation(allocation)
	if err != nil {
		b.ledger.Release(podUID(task.Pod))
		b.metrics.count(resultNoSlice)
		return fmt.Errorf("encode allocation: %w", err)
	}
	annotations := schedulerAnnotations(task)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[wire.AllocationKey] = encoded

	b.setOpen(podUID(task.Pod), true)
	err = b.post(client, task, annotations)
	if err == nil {
		// The watch event turns assumed into bound.
		b.setOpen(podUID(task.Pod), false)
		b.places.over(podUID(task.Pod))
		b.metrics.count(resultBound)
		return nil
	}
	return b.settle(client, binding{pod: task.Pod, node: task.NodeName, allocation: encoded}, err)
}

// assumed returns the slice that the session committed for the task.
func (b *Binder) assumed(task *api.TaskInfo) (wire.Allocation, error) {
	allocation, state, ok := b.ledger.Held(podUID(task.Pod))
	switch {
	case !ok:
		return wire.Allocation{}, fmt.Errorf("pod asks for devices and holds none: is plugin %s in the scheduler configuration?", PluginName)
	case state != ledger.Assumed && state != ledger.Bound:
		return wire.Allocation{}, fmt.Errorf("pod asks for devices and its slice is %s, want %s", state, ledger.Assumed)
	case allocation.Node != task.NodeName:
		return wire.Allocation{}, fmt.Errorf("pod holds devices on node %s and is to be bound to node %s", allocation.Node, task.NodeName)
	}
	return allocation, nil
}

func (b *Binder) post(client kubernetes.Interface, task *api.TaskInfo, annotations map[string]string) error {
	ctx, cancel := context.WithTimeout(b.ctx, b.timeout)
	defer cancel()
	pod := task.Pod
	return client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Annotations: annotations},
		Target:     v1.ObjectReference{Kind: "Node", Name: task.NodeName},
	}, metav1.CreateOptions{})
}

// undecided reports whether a Binding of the pod may still take effect.
func (b *Binder) undecided(uid string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open[uid]
}

func (b *Binder) setOpen(uid string, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if open {
		b.open[uid] = true
	} else {
		delete(b.open, uid)
	}
}

func (b *Binder) wait() { b.tasks.Wait() }
