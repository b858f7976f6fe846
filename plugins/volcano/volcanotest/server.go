package volcanotest

import (
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
)

// watchBacklog is how many events may wait in a watch before the next change.
const watchBacklog = 50

// defaultGrace is the API server's own termination grace period.
const defaultGrace int64 = 30

var (
	podResource  = v1.SchemeGroupVersion.WithResource("pods")
	nodeResource = v1.SchemeGroupVersion.WithResource("nodes")
)

// serve teaches the fake clientsets the API server's rules.
func (c *Cluster) serve() {
	c.Client.PrependReactor("create", "pods", c.bind)
	c.Client.PrependReactor("update", "pods", c.updateStatus)
	c.Client.PrependReactor("delete", "pods", c.terminate)
	c.Client.PrependWatchReactor("*", c.watcher(c.Client.Tracker()))
	c.VC.PrependReactor("update", "*", c.updateCustom)
	c.VC.PrependWatchReactor("*", c.watcher(c.VC.Tracker()))
}

// updateCustom stores an object of Volcano's. An update of the status leaves the rest as it is.
func (c *Cluster) updateCustom(action clienttesting.Action) (bool, runtime.Object, error) {
	gvr, o := action.GetResource(), action.(clienttesting.UpdateAction).GetObject().DeepCopyObject()
	if queue, ok := o.(*schedulingv1beta1.Queue); ok && action.GetSubresource() == "status" {
		found, err := c.VC.Tracker().Get(gvr, "", queue.Name)
		if err != nil {
			return true, nil, err
		}
		stored := found.(*schedulingv1beta1.Queue).DeepCopy()
		stored.Status = queue.Status
		o = stored
	}
	return true, o, c.store(c.VC.Tracker(), gvr, o, action.GetNamespace())
}

// store replaces an object. As on the API server, it gets a new version: Volcano takes no notice of
// queues and PodGroups whose version is the old one.
func (c *Cluster) store(tracker clienttesting.ObjectTracker, gvr schema.GroupVersionResource, o runtime.Object, namespace string) error {
	c.version(o)
	return c.change(gvr, func() error { return tracker.Update(gvr, o, namespace) })
}

// change makes one change at a time, once the watches can take its event: the fake's hold a hundred and
// break when one more comes.
func (c *Cluster) change(gvr schema.GroupVersionResource, make func() error) error {
	c.storing.Lock()
	defer c.storing.Unlock()
	c.mu.Lock()
	gates := slices.Clone(c.gates[gvr.Resource])
	c.mu.Unlock()
	for _, g := range gates {
		for len(g.source.ResultChan()) > watchBacklog {
			goruntime.Gosched()
		}
	}
	return make()
}

func (c *Cluster) storePod(pod *v1.Pod) error {
	return c.store(c.Client.Tracker(), podResource, pod, pod.Namespace)
}

func (c *Cluster) version(o runtime.Object) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetResourceVersion(strconv.FormatInt(c.revision.Add(1), 10))
	}
}

func (c *Cluster) watcher(tracker clienttesting.ObjectTracker) clienttesting.WatchReactionFunc {
	return func(action clienttesting.Action) (bool, watch.Interface, error) {
		source, err := tracker.Watch(action.GetResource(), action.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		g := newGate(source)
		c.mu.Lock()
		defer c.mu.Unlock()
		name := action.GetResource().Resource
		c.gates[name] = append(c.gates[name], g)
		return true, g, nil
	}
}

// watching reports whether the watches are open whose events tests wait for.
func (c *Cluster) watching() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{"pods", "nodes", "priorityclasses", "resourcequotas", "podgroups", "queues", "hypernodes"} {
		if len(c.gates[name]) == 0 {
			return false
		}
	}
	return true
}

// bind does what the API server does with a Binding: it is fenced by UID and by an empty nodeName,
// and its annotations reach the pod together with the node's name.
func (c *Cluster) bind(action clienttesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(clienttesting.CreateAction)
	if !ok || action.GetSubresource() != "binding" {
		return false, nil, nil
	}
	b := create.GetObject().(*v1.Binding)
	c.mu.Lock()
	refuse := c.refuseBind
	c.mu.Unlock()
	if refuse != nil {
		if err := refuse(b); err != nil {
			return true, nil, err
		}
	}
	found, err := c.Client.Tracker().Get(podResource, b.Namespace, b.Name)
	if err != nil {
		return true, nil, err
	}
	pod := found.(*v1.Pod).DeepCopy()
	if pod.UID != b.UID || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return true, nil, apierrors.NewConflict(v1.Resource("pods/binding"), b.Name,
			fmt.Errorf("uid or nodeName differs, or the pod is terminating"))
	}
	pod.Spec.NodeName = b.Target.Name
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	maps.Copy(pod.Annotations, b.Annotations)
	if err := c.storePod(pod); err != nil {
		return true, nil, err
	}
	c.record(b.DeepCopy())
	return true, b, nil
}

func (c *Cluster) record(b *v1.Binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bindings = append(c.bindings, b)
}

// updateStatus takes only the status of what is sent, as the API server does.
func (c *Cluster) updateStatus(action clienttesting.Action) (bool, runtime.Object, error) {
	if action.GetSubresource() != "status" {
		return false, nil, nil
	}
	sent := action.(clienttesting.UpdateAction).GetObject().(*v1.Pod)
	found, err := c.Client.Tracker().Get(podResource, sent.Namespace, sent.Name)
	if err != nil {
		return true, nil, err
	}
	pod := found.(*v1.Pod).DeepCopy()
	pod.Status = *sent.Status.DeepCopy()
	return true, pod, c.storePod(pod)
}

// terminate lets a bound pod live on with a deletion timestamp, until Finish says that its containers
// are gone. A pod without node is gone at once.
func (c *Cluster) terminate(action clienttesting.Action) (bool, runtime.Object, error) {
	del, ok := action.(clienttesting.DeleteAction)
	if !ok || action.GetSubresource() != "" {
		return false, nil, nil
	}
	found, err := c.Client.Tracker().Get(podResource, del.GetNamespace(), del.GetName())
	if err != nil {
		return true, nil, err
	}
	pod := found.(*v1.Pod).DeepCopy()
	c.mu.Lock()
	c.evictions = append(c.evictions, pod.Name)
	c.mu.Unlock()
	switch {
	case pod.DeletionTimestamp != nil:
		return true, nil, nil
	case pod.Spec.NodeName == "":
		return true, nil, c.Client.Tracker().Delete(podResource, pod.Namespace, pod.Name)
	}
	grace := defaultGrace
	if p := pod.Spec.TerminationGracePeriodSeconds; p != nil {
		grace = *p
	}
	pod.DeletionGracePeriodSeconds = &grace
	pod.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(time.Duration(grace) * time.Second).Truncate(time.Second)}
	return true, nil, c.storePod(pod)
}

// Finish removes pods whose containers are gone.
func (c *Cluster) Finish(names ...string) {
	c.tb.Helper()
	for _, name := range names {
		remove := func() error { return c.Client.Tracker().Delete(podResource, Namespace, name) }
		if err := c.change(podResource, remove); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// Delete asks the API server to delete pods, as a user would.
func (c *Cluster) Delete(names ...string) {
	c.tb.Helper()
	for _, name := range names {
		if err := c.Client.CoreV1().Pods(Namespace).Delete(c.ctx, name, metav1.DeleteOptions{}); err != nil {
			c.tb.Fatal(err)
		}
		c.mu.Lock()
		if i := slices.Index(c.evictions, name); i >= 0 {
			c.evictions = slices.Delete(c.evictions, i, i+1)
		}
		c.mu.Unlock()
	}
}

// ChangePod lets change edit a pod in the API, as a kubelet or a user would.
func (c *Cluster) ChangePod(name string, change func(*v1.Pod)) {
	c.tb.Helper()
	pod := c.Pod(name)
	change(pod)
	if err := c.storePod(pod); err != nil {
		c.tb.Fatal(err)
	}
}

// ChangeNode lets change edit a node in the API.
func (c *Cluster) ChangeNode(name string, change func(*v1.Node)) {
	c.tb.Helper()
	node, err := c.Client.CoreV1().Nodes().Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	node = node.DeepCopy()
	change(node)
	if err := c.store(c.Client.Tracker(), nodeResource, node, ""); err != nil {
		c.tb.Fatal(err)
	}
}

// Start lets the kubelets run all bound pods.
func (c *Cluster) Start() {
	c.tb.Helper()
	for _, pod := range c.pods() {
		if pod.Spec.NodeName != "" && pod.Status.Phase == v1.PodPending {
			c.ChangePod(pod.Name, func(p *v1.Pod) { p.Status.Phase = v1.PodRunning })
		}
	}
}

// RefuseBind lets the API server answer Bindings with refuse's error; nil accepts.
func (c *Cluster) RefuseBind(refuse func(*v1.Binding) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuseBind = refuse
}
