package scenarios

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Runner is a way to carry out rows.
type Runner interface {
	// Name is what a row's skip field calls the runner.
	Name() string
	// Start makes an empty cluster with the row's queues and configuration. The runner cleans up when the
	// test ends.
	Start(testing.TB, *Row) Cluster
}

// Cluster is a cluster with one scheduler. Its methods return when the scheduler knows what happened,
// unless the watch is delayed; they end the test on errors of their own making.
type Cluster interface {
	// SetNode adds a node or replaces the one of that name.
	SetNode(*v1.Node)
	RemoveNode(name string)
	// Submit creates groups and their pods, and pods that are bound already. The order of pods means
	// nothing.
	Submit(groups []*Group, pods []*v1.Pod)
	// ChangePod changes a pod in the API.
	ChangePod(name string, change func(*v1.Pod))
	RemovePod(name string)
	// DelayWatch keeps what is bound from now on from the scheduler, or delivers all that was kept.
	DelayWatch(delayed bool)
	// RefuseBindings replaces the set of pods whose Bindings are refused.
	RefuseBindings(names []string)
	Restart()
	Session()

	// Pods returns how every pod of the API fares, by name.
	Pods() map[string]Outcome
	// Evictions returns the pods whose deletion the scheduler asked for, sorted; twice if it asked twice.
	Evictions() []string
	// Uses returns what the scheduler takes for used, by card; cards without use may be left out.
	Uses() map[string]Use
	// Capacities returns the cards that are registered, as the scheduler knows them.
	Capacities() map[string]Use
}

// Outcome is how a pod fares.
type Outcome struct {
	// Node and Slices are what the API says: empty for a pod that is not bound.
	Node   string
	Slices map[string][]wire.Slice
	// Reason is what a pending pod says.
	Reason string
}

// Answer is what came of a row.
type Answer struct {
	Pods      map[string]Outcome
	Evictions []string
}

const (
	watchDelayed   = "delayed"
	watchDelivered = "delivered"
	nobody         = "none"
)

// drive is one run of one row.
type drive struct {
	testing.TB
	row     *Row
	cluster Cluster
	rand    *rand.Rand // nil: everything in the order of the row

	nodes  map[string]*v1.Node
	groups map[string]*Group
	pods   map[string]*v1.Pod
	// ended are the pods whose containers are gone.
	ended map[string]bool
	// created wait to be created in one moment.
	createdNodes  []*v1.Node
	createdGroups []*Group
	createdPods   []*v1.Pod
	submitted     int
	refusing      bool
}

// Run carries out a row and returns what came of it. A seed other than zero shuffles what
// has no order: nodes, cards of a registration, pods of one moment.
func Run(t testing.TB, r Runner, row *Row, seed int64) Answer {
	t.Helper()
	if why, skip := row.Skip[r.Name()]; skip {
		t.Skipf("runner %s cannot run this row: %s", r.Name(), why)
	}
	d := &drive{TB: t, row: row, cluster: r.Start(t, row), nodes: map[string]*v1.Node{}, groups: map[string]*Group{},
		pods: map[string]*v1.Pod{}, ended: map[string]bool{}}
	if seed != 0 {
		d.rand = rand.New(rand.NewSource(seed))
	}
	for i := range row.Nodes {
		d.createNode(&row.Nodes[i])
	}
	for i := range row.Steps {
		d.step(i, &row.Steps[i])
	}
	return Answer{Pods: d.cluster.Pods(), Evictions: d.cluster.Evictions()}
}

func (d *drive) createNode(n *Node) {
	d.Helper()
	o, err := n.object(d.rand)
	if err != nil {
		d.Fatal(err)
	}
	d.createdNodes = append(d.createdNodes, o)
}

func (d *drive) step(i int, s *Step) {
	d.Helper()
	at := fmt.Sprintf("step %d (%s)", i+1, s.set()[0])
	if s.Submit == nil && s.Found == nil && s.Node == nil {
		d.create()
	}
	switch {
	case s.checks():
		d.check(at, s)
	case s.Sessions > 0:
		for range s.Sessions {
			d.cluster.Session()
			d.audit(at)
		}
	default:
		d.act(s)
	}
}

// act carries out a step that changes the cluster.
func (d *drive) act(s *Step) {
	d.Helper()
	switch {
	case s.Submit != nil:
		d.submitted++
		d.submit(s.Submit.group(d.submitted))
	case s.Found != nil:
		pod, err := s.Found.object()
		if err != nil {
			d.Fatal(err)
		}
		d.pods[pod.Name] = pod
		d.createdPods = append(d.createdPods, pod)
	case s.Node != nil:
		d.createNode(s.Node)
	case s.RemoveNode != "":
		delete(d.nodes, s.RemoveNode)
		d.cluster.RemoveNode(s.RemoveNode)
	case s.Watch != "":
		d.cluster.DelayWatch(s.Watch == watchDelayed)
	case s.RefuseBindings != nil:
		d.refusing = true
		d.cluster.RefuseBindings(names(s.RefuseBindings))
	case s.Restart:
		d.cluster.Restart()
	default:
		d.changePods(s)
	}
}

// names returns a list, without the word for nobody.
func names(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == nobody })
}

func (d *drive) submit(g *Group) {
	d.groups[g.Name] = g
	d.createdGroups = append(d.createdGroups, g)
	for _, pod := range g.Pods {
		d.pods[pod.Name] = pod
	}
}

// create creates what was collected, in any order.
func (d *drive) create() {
	d.Helper()
	shuffle(d.rand, d.createdNodes)
	for _, n := range d.createdNodes {
		d.nodes[n.Name] = n
		d.cluster.SetNode(n)
	}
	for _, g := range d.createdGroups {
		shuffle(d.rand, g.Pods)
	}
	shuffle(d.rand, d.createdGroups)
	shuffle(d.rand, d.createdPods)
	if len(d.createdGroups)+len(d.createdPods) > 0 {
		d.cluster.Submit(d.createdGroups, d.createdPods)
	}
	d.createdNodes, d.createdGroups, d.createdPods = nil, nil, nil
}

func (d *drive) changePods(s *Step) {
	d.Helper()
	for _, name := range d.members(s.Run) {
		d.cluster.ChangePod(name, func(p *v1.Pod) { p.Status.Phase = v1.PodRunning })
	}
	for _, name := range d.members(s.Finish) {
		d.ended[name] = true
		d.cluster.ChangePod(name, func(p *v1.Pod) { p.Status.Phase = v1.PodSucceeded })
	}
	for _, name := range d.members(s.Terminate) {
		d.cluster.ChangePod(name, func(p *v1.Pod) {
			// The finalizer stands for the kubelet, which lets a pod go when its containers have ended.
			p.DeletionTimestamp, p.Finalizers = &metav1.Time{Time: epoch.Add(time.Hour)}, []string{"scenarios/containers"}
		})
	}
	for _, name := range d.members(s.Gone) {
		d.ended[name] = true
		d.cluster.RemovePod(name)
	}
}

// members returns the pods that are named, by themselves or by their job.
func (d *drive) members(list []string) []string {
	d.Helper()
	var out []string
	for _, name := range list {
		if g := d.groups[name]; g != nil {
			for _, p := range g.Pods {
				out = append(out, p.Name)
			}
			continue
		}
		if d.pods[name] == nil {
			d.Fatalf("row names %s, which is neither a pod nor a job", name)
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// SortedKeys returns the keys of a map in order.
func SortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// UsesOf returns what a ledger takes for used, by card.
func UsesOf(s ledger.Snapshot) map[string]Use {
	return byCard(s, func(c ledger.CardSnapshot) (ledger.Use, bool) { return c.Used, c.Used != ledger.Use{} })
}

// CapacitiesOf returns the cards that a ledger has registered.
func CapacitiesOf(s ledger.Snapshot) map[string]Use {
	return byCard(s, func(c ledger.CardSnapshot) (ledger.Use, bool) { return c.Capacity, !c.Unknown })
}

func byCard(s ledger.Snapshot, part func(ledger.CardSnapshot) (ledger.Use, bool)) map[string]Use {
	m := map[string]Use{}
	for _, n := range s.Nodes {
		for _, c := range n.Cards {
			if u, ok := part(c); ok {
				m[c.UUID] = Use{Shares: u.Slots, Memory: u.Memory, Cores: u.Cores}
			}
		}
	}
	return m
}
