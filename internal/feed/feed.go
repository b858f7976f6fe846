package feed

import (
	"context"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Options are the parts of the world that a feed needs besides its ledger.
type Options struct {
	// Requests says which resource names ask for devices.
	Requests request.Options
	// Recorder receives events about nodes whose registration cannot be read. Nil drops them.
	Recorder record.EventRecorder
	// Metrics, when set, receives the feed's metrics.
	Metrics prometheus.Registerer
}

// Feed passes what informers report on to one ledger.
type Feed struct {
	ledger   *ledger.Ledger
	requests request.Options
	recorder record.EventRecorder
	log      klog.Logger

	mu sync.RWMutex
	// refusals says, by node name, why pods that ask for devices must not go there. Guarded by mu.
	refusals map[string]string
	// offers holds the nodes that registered at least one card. Guarded by mu.
	offers map[string]bool
	// suspects holds bound pods that ask for devices and have no readable allocation, by UID. They
	// count as bypassing the ledger where their node offers cards. Guarded by mu.
	suspects map[string]suspect
	// registrations tell whether the first lists have been passed on. Guarded by mu.
	registrations []cache.ResourceEventHandlerRegistration
}

// New makes a feed for l. Nothing is watched before Attach.
func New(ctx context.Context, l *ledger.Ledger, o Options) *Feed {
	f := &Feed{
		ledger:   l,
		requests: o.Requests,
		recorder: o.Recorder,
		log:      klog.FromContext(ctx).WithName("feed"),
		refusals: map[string]string{},
		offers:   map[string]bool{},
		suspects: map[string]suspect{},
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "basalt",
			Subsystem: "scheduler",
			Name:      "bypassed_pods",
			Help:      "Pods that are bound to a node with shared devices, ask for devices and carry no readable allocation.",
		}, f.bypassedCount))
	}
	return f
}

// Attach adds the feed's handlers to the pod and node informers of factory. It works on a factory
// that runs already, and on one that is started later.
func (f *Feed) Attach(factory informers.SharedInformerFactory) error {
	nodes, err := factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { f.nodeChanged(nil, obj.(*v1.Node)) },
		UpdateFunc: func(old, obj any) { f.nodeChanged(old.(*v1.Node), obj.(*v1.Node)) },
		DeleteFunc: f.nodeDeleted,
	})
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	pods, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { f.podChanged(nil, obj.(*v1.Pod)) },
		UpdateFunc: func(old, obj any) { f.podChanged(old.(*v1.Pod), obj.(*v1.Pod)) },
		DeleteFunc: f.podDeleted,
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.registrations = append(f.registrations, nodes, pods)
	return nil
}

// HasSynced reports whether every object of the first lists has reached the ledger. It is false
// before Attach: an unfed ledger looks like an empty cluster and must not be scheduled against.
func (f *Feed) HasSynced() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, r := range f.registrations {
		if !r.HasSynced() {
			return false
		}
	}
	return len(f.registrations) > 0
}

// WaitForSync blocks until HasSynced, or until ctx ends, and reports which of the two it was.
func (f *Feed) WaitForSync(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), f.HasSynced)
}

// Refusal returns why pods that ask for devices must not go to node, or "".
func (f *Feed) Refusal(node string) string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.refusals[node]
}

func (f *Feed) bypassedCount() float64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := 0
	for _, s := range f.suspects {
		if f.offers[s.node] {
			n++
		}
	}
	return float64(n)
}
