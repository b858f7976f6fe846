package volcanotest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	topologyv1alpha1 "volcano.sh/apis/pkg/apis/topology/v1alpha1"
	vcfake "volcano.sh/apis/pkg/client/clientset/versioned/fake"
	_ "volcano.sh/volcano/pkg/scheduler/actions" // The stock parts, as main has them.
	vccache "volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/metrics"
	_ "volcano.sh/volcano/pkg/scheduler/plugins"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/plugins/volcano"
)

// WaitLimit bounds every wait.
const WaitLimit = 20 * time.Second

// schedulerName is the scheduler that the built pods name.
const schedulerName = "volcano"

// eventsKept bounds how many events a test may cause before it reads them.
const eventsKept = 10000

// initMetrics makes Volcano's metrics, which its plugins use without asking whether they are there.
var initMetrics = sync.OnceFunc(metrics.InitKubeSchedulerRelatedMetrics)

// Cluster is a scheduler and its API server.
type Cluster struct {
	Client  *fake.Clientset
	VC      *vcfake.Clientset
	Cache   *vccache.SchedulerCache
	Adapter *volcano.Adapter

	tb     testing.TB
	ctx    context.Context
	events *record.FakeRecorder
	// scale: the API holds no nodes and pods, there is nothing to settle.
	scale    bool
	revision atomic.Int64 // of the API's last change

	// storing is held while an object is changed; mu may be taken under it.
	storing sync.Mutex

	mu        sync.Mutex
	bindings  []*v1.Binding // guarded by mu
	evictions []string      // guarded by mu
	// refuseBind, when set, is asked about each Binding first. Guarded by mu.
	refuseBind func(*v1.Binding) error
	// gates are the watches by resource. The fake clientset sends no event that is older than the
	// watch, so changes have to wait for it. Guarded by mu.
	gates map[string][]*gate
	// blind is set once events were held back: the cache need not agree with the API. Guarded by mu.
	blind bool
}

// New starts a cluster with the given objects: nodes, pods, PodGroups, queues, priority classes,
// HyperNodes. Queues root and default are there in any case.
func New(tb testing.TB, objects ...runtime.Object) *Cluster {
	tb.Helper()
	return NewWith(tb, volcano.Options{Requests: request.Defaults()}, objects...)
}

// NewWith is New with an adapter of the given options.
func NewWith(tb testing.TB, o volcano.Options, objects ...runtime.Object) *Cluster {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	adapter, err := volcano.New(ctx, ledger.New(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { cancel(); adapter.Wait() })
	adapter.Register()
	return start(ctx, tb, adapter, adapter.Binder(), objects)
}

// NewStock starts a cluster of Volcano as it is: what is registered under the names of plugins and
// actions stays, and Volcano's own Binder binds.
func NewStock(tb testing.TB, objects ...runtime.Object) *Cluster {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	return start(ctx, tb, nil, nil, objects)
}

func newCluster(ctx context.Context, tb testing.TB) *Cluster {
	initMetrics()
	return &Cluster{tb: tb, ctx: ctx, events: record.NewFakeRecorder(eventsKept), gates: map[string][]*gate{}}
}

func start(ctx context.Context, tb testing.TB, adapter *volcano.Adapter, binder vccache.Binder, objects []runtime.Object) *Cluster {
	tb.Helper()
	c := newCluster(ctx, tb)
	c.Adapter = adapter
	c.Cache = vccache.NewCustomMockSchedulerCache(schedulerName, binder, nil, nil, nil, c.events)
	c.Client = c.Cache.Client().(*fake.Clientset)
	c.VC = c.Cache.VCClient().(*vcfake.Clientset)
	c.serve()
	c.createQueues(objects)
	for _, o := range objects {
		c.Create(o)
	}
	c.Cache.Run(ctx.Done())
	c.Until("everything is watched", c.watching)
	return c
}

// createQueues makes the queues that Volcano makes at its start, unless the test brings its own.
func (c *Cluster) createQueues(objects []runtime.Object) {
	c.tb.Helper()
	own := map[string]bool{}
	for _, o := range objects {
		if q, ok := o.(*schedulingv1beta1.Queue); ok {
			own[q.Name] = true
		}
	}
	if !own[RootQueue] {
		c.Create(MakeQueue(RootQueue).Reclaimable(false).Obj())
	}
	if !own[DefaultQueue] {
		c.Create(MakeQueue(DefaultQueue).Obj())
	}
}

// Create puts objects into the API. A copy is stored.
func (c *Cluster) Create(objects ...runtime.Object) {
	c.tb.Helper()
	for _, o := range objects {
		o = o.DeepCopyObject()
		c.version(o)
		if err := c.create(o); err != nil {
			c.tb.Fatal(err)
		}
	}
}

func (c *Cluster) create(o runtime.Object) error {
	var err error
	switch o := o.(type) {
	case *v1.Node:
		_, err = c.Client.CoreV1().Nodes().Create(c.ctx, o, metav1.CreateOptions{})
	case *v1.Pod:
		_, err = c.Client.CoreV1().Pods(o.Namespace).Create(c.ctx, o, metav1.CreateOptions{})
	case *v1.ResourceQuota:
		_, err = c.Client.CoreV1().ResourceQuotas(o.Namespace).Create(c.ctx, o, metav1.CreateOptions{})
	case *schedulingv1.PriorityClass:
		_, err = c.Client.SchedulingV1().PriorityClasses().Create(c.ctx, o, metav1.CreateOptions{})
	case *schedulingv1beta1.PodGroup:
		_, err = c.VC.SchedulingV1beta1().PodGroups(o.Namespace).Create(c.ctx, o, metav1.CreateOptions{})
	case *schedulingv1beta1.Queue:
		_, err = c.VC.SchedulingV1beta1().Queues().Create(c.ctx, o, metav1.CreateOptions{})
	case *topologyv1alpha1.HyperNode:
		_, err = c.VC.TopologyV1alpha1().HyperNodes().Create(c.ctx, o, metav1.CreateOptions{})
	default:
		err = fmt.Errorf("no way to create a %T", o)
	}
	return err
}

// Until waits for a condition, and fails the test when it does not come true in time.
func (c *Cluster) Until(what string, done func() bool) {
	c.tb.Helper()
	c.within(WaitLimit, what, done)
}

func (c *Cluster) within(limit time.Duration, what string, done func() bool) {
	c.tb.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			c.tb.Fatalf("waited %s in vain until %s", limit, what)
		}
		<-tick.C
	}
}
