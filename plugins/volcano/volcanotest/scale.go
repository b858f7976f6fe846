package volcanotest

import (
	"context"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	vcfake "volcano.sh/apis/pkg/client/clientset/versioned/fake"
	"volcano.sh/volcano/pkg/scheduler/api"
	vccache "volcano.sh/volcano/pkg/scheduler/cache"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/plugins/volcano"
)

// scaleWaitLimit bounds how long a large cluster may take to reach the cache.
const scaleWaitLimit = 5 * time.Minute

// NewScale starts a large cluster for a benchmark. Nodes and pods are handed to the informers as they
// are, Bindings, patches and status updates cost nothing, and the watch stays silent: what is measured
// is the scheduler. Session, Open and Bound work as on a small cluster; what reads the API does not.
func NewScale(tb testing.TB, objects ...runtime.Object) *Cluster {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := newCluster(ctx, tb)
	adapter, err := volcano.New(ctx, ledger.New(), volcano.Options{
		Requests: request.Defaults(),
		Client:   &freeClient{Interface: fake.NewSimpleClientset(), cluster: c},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { cancel(); adapter.Wait() })
	adapter.Register()
	c.Adapter = adapter
	c.startScale(adapter.Binder(), objects)
	return c
}

// NewScaleStock is NewScale with Volcano as it is.
func NewScaleStock(tb testing.TB, objects ...runtime.Object) *Cluster {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	c := newCluster(ctx, tb)
	c.startScale(freeBinder{c}, objects)
	return c
}

func (c *Cluster) startScale(binder vccache.Binder, objects []runtime.Object) {
	c.tb.Helper()
	c.scale = true
	c.Cache = vccache.NewCustomMockSchedulerCache(schedulerName, binder, nil, freeStatus{}, nil, &record.FakeRecorder{})
	c.Client = c.Cache.Client().(*fake.Clientset)
	c.VC = c.Cache.VCClient().(*vcfake.Clientset)
	c.Client.PrependReactor("patch", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &v1.Pod{}, nil
	})
	nodes, pods, rest := split(objects)
	c.Client.PrependReactor("list", "nodes", listOnce(nodes))
	c.Client.PrependReactor("list", "pods", listOnce(pods))
	c.createQueues(rest)
	for _, o := range rest {
		c.Create(o)
	}
	wantNodes, wantPods := len(nodes.Items), len(pods.Items)
	c.Cache.Run(c.ctx.Done())
	c.within(scaleWaitLimit, "Volcano's cache holds all nodes and pods", func() bool {
		n, p := c.cached()
		return n == wantNodes && p == wantPods
	})
}

// split takes nodes and pods out of objects, as lists.
func split(objects []runtime.Object) (*v1.NodeList, *v1.PodList, []runtime.Object) {
	nodes, pods, rest := &v1.NodeList{}, &v1.PodList{}, []runtime.Object(nil)
	for _, o := range objects {
		switch o := o.(type) {
		case *v1.Node:
			nodes.Items = append(nodes.Items, *o)
		case *v1.Pod:
			pods.Items = append(pods.Items, *o)
		default:
			rest = append(rest, o)
		}
	}
	return nodes, pods, rest
}

// listOnce answers the informer's list and forgets it: the informer's store is then the only owner.
func listOnce(list runtime.Object) clienttesting.ReactionFunc {
	return func(clienttesting.Action) (bool, runtime.Object, error) {
		answer := list
		list = nil
		return answer != nil, answer, nil
	}
}

// cached counts the nodes and tasks in Volcano's cache.
func (c *Cluster) cached() (nodes, tasks int) {
	c.Cache.Lock()
	defer c.Cache.Unlock()
	for _, n := range c.Cache.Nodes {
		if n.Node != nil {
			nodes++
		}
	}
	for _, job := range c.Cache.Jobs {
		if job.PodGroup != nil {
			tasks += len(job.Tasks)
		}
	}
	return nodes, tasks
}

// freeBinder binds without an API server.
type freeBinder struct{ cluster *Cluster }

// Bind implements Volcano's cache.Binder.
func (f freeBinder) Bind(_ kubernetes.Interface, tasks []*api.TaskInfo) map[api.TaskID]string {
	for _, t := range tasks {
		f.cluster.record(&v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: t.Name, UID: t.Pod.UID},
			Target:     v1.ObjectReference{Kind: "Node", Name: t.NodeName},
		})
	}
	return nil
}

// freeClient accepts Bindings at no cost.
type freeClient struct {
	kubernetes.Interface
	cluster *Cluster
}

type freeCore struct {
	corev1.CoreV1Interface
	cluster *Cluster
}

type freePods struct {
	corev1.PodInterface
	cluster *Cluster
}

func (f *freeClient) CoreV1() corev1.CoreV1Interface {
	return freeCore{CoreV1Interface: f.Interface.CoreV1(), cluster: f.cluster}
}

func (f freeCore) Pods(namespace string) corev1.PodInterface {
	return freePods{PodInterface: f.CoreV1Interface.Pods(namespace), cluster: f.cluster}
}

func (f freePods) Bind(_ context.Context, b *v1.Binding, _ metav1.CreateOptions) error {
	f.cluster.record(b)
	return nil
}

// freeStatus takes status updates at no cost; those of shards, which the harness has not, are missing.
type freeStatus struct{ vccache.StatusUpdater }

// UpdatePodStatus implements Volcano's cache.StatusUpdater.
func (freeStatus) UpdatePodStatus(pod *v1.Pod) (*v1.Pod, error) { return pod, nil }

// UpdatePodGroup implements Volcano's cache.StatusUpdater.
func (freeStatus) UpdatePodGroup(pg *api.PodGroup) (*api.PodGroup, error) { return pg, nil }

// UpdateQueueStatus implements Volcano's cache.StatusUpdater.
func (freeStatus) UpdateQueueStatus(*api.QueueInfo) error { return nil }
