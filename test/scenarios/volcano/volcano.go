package volcano

import (
	"errors"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/plugins/volcano/gpuquota"
	"github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
	"github.com/basalt-gpu/basalt/test/scenarios"
)

// Runner runs rows in Volcano sessions. Volcano keeps its plugins in globals, so rows run one by one.
type Runner struct{}

// Name implements scenarios.Runner.
func (Runner) Name() string { return "volcano" }

// Start implements scenarios.Runner.
func (Runner) Start(t testing.TB, row *scenarios.Row) scenarios.Cluster {
	return &cluster{TB: t, configuration: configuration(row), vc: start(t, surroundings(row))}
}

// start starts a scheduler over the objects of an API server.
func start(t testing.TB, objects []runtime.Object) *volcanotest.Cluster {
	t.Helper()
	vc := volcanotest.New(t, objects...)
	gpuquota.New(vc.Adapter).Register()
	return vc
}

// cluster is an API server and the scheduler that runs now.
type cluster struct {
	testing.TB
	configuration string
	vc            *volcanotest.Cluster
	refused       []string
	// evicted are the evictions by schedulers that ran before.
	evicted []string
}

// SetNode implements scenarios.Cluster.
func (c *cluster) SetNode(n *v1.Node) {
	c.Helper()
	_, err := c.vc.Client.CoreV1().Nodes().Get(c.Context(), n.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		c.vc.Create(n)
	case err != nil:
		c.Fatal(err)
	default:
		c.vc.ChangeNode(n.Name, func(old *v1.Node) { n.DeepCopyInto(old) })
	}
}

// RemoveNode implements scenarios.Cluster.
func (c *cluster) RemoveNode(name string) {
	c.Helper()
	if err := c.vc.Client.CoreV1().Nodes().Delete(c.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
}

// Submit implements scenarios.Cluster.
func (c *cluster) Submit(groups []*scenarios.Group, pods []*v1.Pod) {
	c.Helper()
	for _, g := range groups {
		c.createClass(g.Priority)
		c.vc.Create(podGroup(g))
		for _, p := range g.Pods {
			c.vc.Create(member(g, p))
		}
	}
	for _, p := range pods {
		c.vc.Create(p)
	}
}

func (c *cluster) createClass(value int32) {
	c.Helper()
	if value == 0 {
		return
	}
	_, err := c.vc.Client.SchedulingV1().PriorityClasses().Get(c.Context(), className(value), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.vc.Create(volcanotest.MakePriorityClass(className(value), value))
	}
}

// ChangePod implements scenarios.Cluster.
func (c *cluster) ChangePod(name string, change func(*v1.Pod)) { c.vc.ChangePod(name, change) }

// RemovePod implements scenarios.Cluster.
func (c *cluster) RemovePod(name string) { c.vc.Finish(name) }

// DelayWatch implements scenarios.Cluster.
func (c *cluster) DelayWatch(delayed bool) {
	if delayed {
		c.vc.HoldBound()
		return
	}
	c.vc.Deliver()
}

// RefuseBindings implements scenarios.Cluster.
func (c *cluster) RefuseBindings(names []string) {
	c.refused = names
	c.vc.RefuseBind(func(b *v1.Binding) error {
		if slices.Contains(names, b.Name) {
			return apierrors.NewForbidden(v1.Resource("pods/binding"), b.Name, errors.New("refused by the row"))
		}
		return nil
	})
}

// Restart implements scenarios.Cluster.
func (c *cluster) Restart() {
	c.Helper()
	c.evicted = c.Evictions()
	c.vc = start(c.TB, c.objects())
	c.RefuseBindings(c.refused)
}

// Session implements scenarios.Cluster. It ends when the Bindings that it caused have: what is assumed
// is bound in the API, whether the watch says so or not.
func (c *cluster) Session() {
	c.Helper()
	c.vc.Session(c.configuration)
	c.vc.Until("bindings have ended", func() bool {
		for _, p := range c.vc.Adapter.Ledger().Snapshot().Pods {
			if p.State == ledger.Assumed && c.vc.Pod(p.Name).Spec.NodeName == "" {
				return false
			}
		}
		return true
	})
	c.vc.Settle()
}

// Pods implements scenarios.Cluster.
func (c *cluster) Pods() map[string]scenarios.Outcome {
	c.Helper()
	c.vc.Settle()
	list, err := c.vc.Client.CoreV1().Pods(scenarios.Namespace).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	out := map[string]scenarios.Outcome{}
	for i := range list.Items {
		p := &list.Items[i]
		o := scenarios.Outcome{Node: p.Spec.NodeName}
		if o.Node == "" {
			o.Reason = c.vc.Reason(p.Name)
		}
		if allocation, _, found, err := wire.DecodePod(p); found && err == nil {
			o.Slices = allocation.Containers
		}
		out[p.Name] = o
	}
	return out
}

// Evictions implements scenarios.Cluster.
func (c *cluster) Evictions() []string {
	return slices.Sorted(slices.Values(slices.Concat(c.evicted, c.vc.Evictions())))
}

// Uses implements scenarios.Cluster.
func (c *cluster) Uses() map[string]scenarios.Use {
	c.Helper()
	c.vc.Settle()
	return scenarios.UsesOf(c.vc.Adapter.Ledger().Snapshot())
}

// Capacities implements scenarios.Cluster.
func (c *cluster) Capacities() map[string]scenarios.Use {
	return scenarios.CapacitiesOf(c.vc.Adapter.Ledger().Snapshot())
}
