package volcano

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	vcfake "volcano.sh/apis/pkg/client/clientset/versioned/fake"
	"volcano.sh/volcano/pkg/scheduler"
	_ "volcano.sh/volcano/pkg/scheduler/actions" // The stock parts, as main has them.
	"volcano.sh/volcano/pkg/scheduler/api"
	vccache "volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/conf"
	"volcano.sh/volcano/pkg/scheduler/framework"
	"volcano.sh/volcano/pkg/scheduler/metrics"
	_ "volcano.sh/volcano/pkg/scheduler/plugins"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

const (
	testNamespace = "team-a"
	testQueue     = "default"
	waitLimit     = 20 * time.Second
)

func TestMain(m *testing.M) {
	metrics.InitKubeSchedulerRelatedMetrics()
	m.Run()
}

// configuration lists the plugins in the order of a real configuration, with the arguments of ours.
func configuration(actionNames, arguments string) string {
	return fmt.Sprintf(`
actions: %q
tiers:
- plugins:
  - name: gang
- plugins:
  - name: predicates
  - name: deviceshare
    arguments: {%s}
`, actionNames, arguments)
}

// cluster is Volcano's real cache, session and actions over an API server that is a fake clientset
// with the API server's rules about Bindings.
type cluster struct {
	t       *testing.T
	client  *fake.Clientset
	vc      *vcfake.Clientset
	cache   *vccache.SchedulerCache
	adapter *Adapter
	events  *record.FakeRecorder

	mu       sync.Mutex
	bindings []*v1.Binding // guarded by mu
	// quiet keeps bound pods from the watch until it is cleared. Guarded by mu.
	quiet   bool
	delayed []*v1.Pod // guarded by mu
	// watched holds the resources whose watch is open. The fake clientset sends no event that is older
	// than the watch, so changes have to wait for it. Guarded by mu.
	watched map[string]bool
}

// newCluster starts with the given objects: nodes, pods and PodGroups.
func newCluster(t *testing.T, objects ...runtime.Object) *cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c := &cluster{t: t, events: record.NewFakeRecorder(10000), watched: map[string]bool{}}
	adapter, err := New(ctx, ledger.New(), Options{Requests: request.Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	c.adapter = adapter
	adapter.Register()
	c.cache = vccache.NewCustomMockSchedulerCache("volcano", adapter.binder, nil, nil, nil, c.events)
	c.client = c.cache.Client().(*fake.Clientset)
	c.vc = c.cache.VCClient().(*vcfake.Clientset)
	c.client.PrependReactor("create", "pods", c.bind)
	c.client.PrependReactor("update", "pods", c.updateStatus)
	c.client.PrependWatchReactor("*", c.watch)
	c.create(queue())
	for _, o := range objects {
		c.create(o)
	}
	c.cache.Run(ctx.Done())
	c.until("pods and nodes are watched", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.watched["pods"] && c.watched["nodes"]
	})
	return c
}

func (c *cluster) create(o runtime.Object) {
	c.t.Helper()
	var err error
	switch o := o.(type) {
	case *v1.Node:
		_, err = c.client.CoreV1().Nodes().Create(c.t.Context(), o, metav1.CreateOptions{})
	case *v1.Pod:
		_, err = c.client.CoreV1().Pods(o.Namespace).Create(c.t.Context(), o, metav1.CreateOptions{})
	case *schedulingv1beta1.PodGroup:
		_, err = c.vc.SchedulingV1beta1().PodGroups(o.Namespace).Create(c.t.Context(), o, metav1.CreateOptions{})
	case *schedulingv1beta1.Queue:
		_, err = c.vc.SchedulingV1beta1().Queues().Create(c.t.Context(), o, metav1.CreateOptions{})
	default:
		err = fmt.Errorf("no way to create a %T", o)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) watch(action clienttesting.Action) (bool, watch.Interface, error) {
	w, err := c.client.Tracker().Watch(action.GetResource(), action.GetNamespace())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched[action.GetResource().Resource] = true
	return true, w, err
}

// bind does what the API server does with a Binding: it is fenced by UID and by an empty nodeName,
// and its annotations reach the pod together with the node's name.
func (c *cluster) bind(action clienttesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(clienttesting.CreateAction)
	if !ok || action.GetSubresource() != "binding" {
		return false, nil, nil
	}
	b := create.GetObject().(*v1.Binding)
	pods := v1.SchemeGroupVersion.WithResource("pods")
	found, err := c.client.Tracker().Get(pods, b.Namespace, b.Name)
	if err != nil {
		return true, nil, err
	}
	pod := found.(*v1.Pod).DeepCopy()
	if pod.UID != b.UID || pod.Spec.NodeName != "" {
		return true, nil, apierrors.NewConflict(v1.Resource("pods/binding"), b.Name, fmt.Errorf("uid or nodeName differs"))
	}
	pod.Spec.NodeName = b.Target.Name
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	maps.Copy(pod.Annotations, b.Annotations)
	c.mu.Lock()
	c.bindings = append(c.bindings, b.DeepCopy())
	quiet := c.quiet
	if quiet {
		c.delayed = append(c.delayed, pod)
	}
	c.mu.Unlock()
	if quiet {
		return true, b, nil
	}
	return true, b, c.client.Tracker().Update(pods, pod, pod.Namespace)
}

// updateStatus takes only the status of what is sent, as the API server does.
func (c *cluster) updateStatus(action clienttesting.Action) (bool, runtime.Object, error) {
	if action.GetSubresource() != "status" {
		return false, nil, nil
	}
	sent := action.(clienttesting.UpdateAction).GetObject().(*v1.Pod)
	pods := v1.SchemeGroupVersion.WithResource("pods")
	found, err := c.client.Tracker().Get(pods, sent.Namespace, sent.Name)
	if err != nil {
		return true, nil, err
	}
	pod := found.(*v1.Pod).DeepCopy()
	pod.Status = *sent.Status.DeepCopy()
	return true, pod, c.client.Tracker().Update(pods, pod, pod.Namespace)
}

// deliver lets the watch see what was bound while it was quiet.
func (c *cluster) deliver() {
	c.t.Helper()
	c.mu.Lock()
	delayed := c.delayed
	c.delayed, c.quiet = nil, false
	c.mu.Unlock()
	for _, pod := range delayed {
		if err := c.client.Tracker().Update(v1.SchemeGroupVersion.WithResource("pods"), pod, pod.Namespace); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) setQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
}

func (c *cluster) bound() map[string]*v1.Binding {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]*v1.Binding{}
	for _, b := range c.bindings {
		out[b.Name] = b
	}
	return out
}

// open opens a session that sees the given number of pending or placed pods.
func (c *cluster) open(configText string, pods int) (*framework.Session, []framework.Action) {
	c.t.Helper()
	actionList, tiers, configurations, _, err := scheduler.UnmarshalSchedulerConf(configText)
	if err != nil {
		c.t.Fatal(err)
	}
	conf.EnabledActionMap = map[string]bool{}
	for _, a := range actionList {
		conf.EnabledActionMap[a.Name()] = true
	}
	nodes, err := c.client.CoreV1().Nodes().List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.until("the cache sees the cluster", func() bool {
		snapshot, n := c.cache.Snapshot(), 0
		for _, job := range snapshot.Jobs {
			for _, task := range job.Tasks {
				if !cmp.Equal(task.Pod.Status, c.pod(task.Name).Status) {
					return false
				}
				n++
			}
		}
		return n == pods && len(snapshot.Nodes) == len(nodes.Items)
	})
	return framework.OpenSession(c.cache, tiers, configurations), actionList
}

// session runs one whole session.
func (c *cluster) session(configText string, pods int) {
	c.t.Helper()
	ssn, actionList := c.open(configText, pods)
	for _, a := range actionList {
		a.Execute(ssn)
	}
	framework.CloseSession(ssn)
}

func (c *cluster) until(what string, done func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(waitLimit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited %s in vain until %s", waitLimit, what)
		}
		<-tick.C
	}
}

// states counts the ledger's pods by state.
func (c *cluster) states() map[ledger.State]int {
	out := map[ledger.State]int{}
	for _, p := range c.adapter.ledger.Snapshot().Pods {
		out[p.State]++
	}
	return out
}

// pod reads a pod from the API.
func (c *cluster) pod(name string) *v1.Pod {
	c.t.Helper()
	p, err := c.client.CoreV1().Pods(testNamespace).Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// scheduled is the message of a pod's PodScheduled condition.
func scheduled(p *v1.Pod) string {
	for _, condition := range p.Status.Conditions {
		if condition.Type == v1.PodScheduled {
			return condition.Message
		}
	}
	return ""
}

// task finds a task in a session by its pod's name.
func task(t *testing.T, ssn *framework.Session, name string) *api.TaskInfo {
	t.Helper()
	for _, job := range ssn.Jobs {
		for _, task := range job.Tasks {
			if task.Name == name {
				return task
			}
		}
	}
	t.Fatalf("session has no task %s", name)
	return nil
}

// cards makes n healthy cards of 80 GiB, of which each may be shared by ten containers.
func cards(node string, n int) []device.Card {
	out := make([]device.Card, n)
	for i := range out {
		out[i] = device.Card{
			UUID: fmt.Sprintf("GPU-%s-%d", node, i), Index: i, Vendor: device.VendorNVIDIA, Model: "NVIDIA-A100",
			Memory: 81920, Cores: 100, Slots: 10, Healthy: true, Mode: device.ModeHAMiCore,
		}
	}
	return out
}

// node makes a node on which Basalt's agent registered n cards.
func node(t *testing.T, name string, n int) *v1.Node {
	t.Helper()
	registered, err := wire.EncodeNodeHAMi(cards(name, n))
	if err != nil {
		t.Fatal(err)
	}
	resources := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("64"), v1.ResourceMemory: resource.MustParse("256Gi"), v1.ResourcePods: resource.MustParse("110"),
		"nvidia.com/gpu": *resource.NewQuantity(int64(10*n), resource.DecimalSI),
	}
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Annotations: map[string]string{
			wire.HAMiNodeRegisterKey: registered, wire.AgentKey: wire.AgentVersion,
		}},
		Status: v1.NodeStatus{
			Capacity: resources, Allocatable: resources,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}
}

// asked is a container's resources by name.
type asked map[v1.ResourceName]string

// makePod makes a pending pod of a group with one container.
func makePod(group, name string, w asked) *v1.Pod {
	limits := v1.ResourceList{}
	for k, v := range w {
		limits[k] = resource.MustParse(v)
	}
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: testNamespace, Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1",
			Annotations: map[string]string{schedulingv1beta1.KubeGroupNameAnnotationKey: group, "team-a/colour": "green"},
		},
		Spec: v1.PodSpec{
			SchedulerName: "volcano",
			Containers:    []v1.Container{{Name: "main", Resources: v1.ResourceRequirements{Limits: limits, Requests: limits.DeepCopy()}}},
		},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
}

// gang makes a PodGroup of n pods that must all be placed.
func gang(name string, n int, w asked) []runtime.Object {
	objects := []runtime.Object{podGroup(name, n)}
	for i := range n {
		objects = append(objects, makePod(name, fmt.Sprintf("%s-%d", name, i), w))
	}
	return objects
}

func podGroup(name string, minMember int) *schedulingv1beta1.PodGroup {
	return &schedulingv1beta1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, UID: types.UID("pg-" + name)},
		Spec:       schedulingv1beta1.PodGroupSpec{MinMember: int32(minMember), Queue: testQueue},
		Status:     schedulingv1beta1.PodGroupStatus{Phase: schedulingv1beta1.PodGroupInqueue},
	}
}

func queue() *schedulingv1beta1.Queue {
	return &schedulingv1beta1.Queue{
		ObjectMeta: metav1.ObjectMeta{Name: testQueue, UID: testQueue},
		Spec:       schedulingv1beta1.QueueSpec{Weight: 1},
		Status:     schedulingv1beta1.QueueStatus{State: schedulingv1beta1.QueueStateOpen},
	}
}
