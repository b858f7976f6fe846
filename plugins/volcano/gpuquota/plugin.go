package gpuquota

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/quota"
)

// rootQueue is the queue that Volcano puts above all others.
const rootQueue = "root"

// plugin is one session.
type plugin struct {
	quota *Quota
	ssn   *framework.Session
	tree  *quota.Tree
	pool  *quota.Pool
	books books
	// jobs is what the placed pods of each job are charged.
	jobs map[api.JobID]quota.Vector
	// changed holds the tasks that an event of this session placed or took away, by UID. A task that is
	// not in it is charged exactly if it was placed when the session opened.
	changed map[api.TaskID]change
	spaces  *namespaces
	queued  *queued
	least   map[api.QueueID]quota.Vector
	nodes   nodePools
	buffer  []fit.Placed
}

// books is what is used, of queues and of namespaces.
type books struct {
	queues quota.Sums
	spaces map[spaceKey]quota.Vector
}

func (b books) clone() books {
	return books{queues: b.queues.Clone(), spaces: maps.Clone(b.spaces)}
}

// change is what an event did to a task last.
type change struct {
	charge  quota.Vector
	charged bool
	spaces  []spaceKey
}

// Name implements framework.Plugin.
func (p *plugin) Name() string { return PluginName }

// OnSessionOpen implements framework.Plugin.
func (p *plugin) OnSessionOpen(ssn *framework.Session) {
	a := p.quota.adapter
	if a.SwitchedOff() || a.Ready(ssn.InformerFactory()) != "" {
		// Nothing with devices is placed in this session.
		return
	}
	p.ssn = ssn
	p.pool = &quota.Pool{}
	a.Ledger().EachCard(func(_ string, c fit.Card) { p.pool.Add(c) })
	p.tree = p.buildTree()
	p.books = books{queues: p.tree.NewSums(), spaces: map[spaceKey]quota.Vector{}}
	p.jobs, p.changed = map[api.JobID]quota.Vector{}, map[api.TaskID]change{}
	p.least = map[api.QueueID]quota.Vector{}
	p.spaces = newNamespaces(p)
	p.chargeRunning()

	ssn.AddAllocatableFn(PluginName, p.allocatable)
	ssn.AddJobEnqueueableFn(PluginName, p.enqueueable)
	ssn.AddOverusedFn(PluginName, p.overused)
	ssn.AddPreemptiveFn(PluginName, p.preemptive)
	ssn.AddReclaimableFn(PluginName, p.reclaimable)
	ssn.AddQueueOrderFn(PluginName, p.queueOrder)
	ssn.AddPrePredicateFn(PluginName, p.prePredicate)
	if !p.pool.Uniform() {
		ssn.AddPredicateFn(PluginName, p.predicate)
	}
	ssn.AddSimulateAddTaskFn(PluginName, p.simulateAdd)
	ssn.AddSimulateRemoveTaskFn(PluginName, p.simulateRemove)
	ssn.AddSimulateAllocatableFn(PluginName, p.simulateAllocatable)
	ssn.AddEventHandler(&framework.EventHandler{AllocateFunc: p.allocated, DeallocateFunc: p.deallocated})
}

// OnSessionClose implements framework.Plugin.
func (p *plugin) OnSessionClose(*framework.Session) {
	if p.ssn != nil {
		p.showUse()
	}
}

// buildTree reads the limits of all queues.
func (p *plugin) buildTree() *quota.Tree {
	queues := make([]quota.Queue, 0, len(p.ssn.Queues))
	for _, q := range p.ssn.Queues {
		spec := q.Queue.Spec
		limits, errs := quota.ParseLimits(quota.Spec{
			Capability: spec.Capability, Deserved: spec.Deserved, Guarantee: spec.Guarantee.Resource,
		}, p.quota.adapter.Requests())
		one := quota.Queue{Name: q.Name, Parent: p.parentOf(q), Limits: limits}
		if len(errs) > 0 {
			one.Problem = errs.ToAggregate().Error()
		}
		queues = append(queues, one)
		p.warnEmptyDeserved(q)
	}
	tree := quota.NewTree(queues, p.pool.Total())
	for name, problem := range tree.Problems() {
		p.quota.warnQueue(name, p.ssn.Queues[api.QueueID(name)].Queue.UID, problem)
	}
	return tree
}

// parentOf returns the parent of a queue. Without one it hangs below the root, where there is a root.
func (p *plugin) parentOf(q *api.QueueInfo) string {
	parent := q.Queue.Spec.Parent
	if parent == "" {
		parent = rootQueue
	}
	if _, ok := p.ssn.Queues[rootQueue]; parent == rootQueue && (!ok || q.Name == rootQueue) {
		return ""
	}
	return parent
}

// configured reports whether the configuration lists a plugin.
func (p *plugin) configured(name string) bool {
	for _, tier := range p.ssn.Tiers {
		for _, option := range tier.Plugins {
			if option.Name == name {
				return true
			}
		}
	}
	return false
}

// emptyDeserved is what queues are told whose deserved part Volcano does not see.
const emptyDeserved = "spec.deserved names only resources that Volcano leaves to gpuquota, so to plugin capacity the queue deserves nothing: " +
	"any pod of it may be evicted for pods without devices, and it cannot reclaim; add the count of devices or cpu to spec.deserved"

// warnEmptyDeserved tells of queues that deserve something, but nothing that Volcano's own plugins see.
// What the root deserves is written by Volcano, and judged by nobody.
func (p *plugin) warnEmptyDeserved(q *api.QueueInfo) {
	if q.Name == rootQueue || !p.configured("capacity") {
		return
	}
	ignored := quota.IgnoredNames(p.quota.adapter.Requests())
	ours := false
	for name, quantity := range q.Queue.Spec.Deserved {
		if quantity.IsZero() {
			continue
		}
		if !slices.Contains(ignored, string(name)) {
			return
		}
		ours = true
	}
	if ours {
		p.quota.warnQueue(q.Name, q.Queue.UID, emptyDeserved)
	}
}

// chargeRunning charges what is placed already.
func (p *plugin) chargeRunning() {
	for _, job := range p.ssn.Jobs {
		var sum quota.Vector
		for status, tasks := range job.TaskStatusIndex {
			if !api.AllocatedStatus(status) {
				continue
			}
			for _, task := range tasks {
				if p.counted(task) {
					sum = sum.Add(p.charge(task))
				}
			}
		}
		if !sum.IsZero() {
			p.tree.Add(p.books.queues, string(job.Queue), sum)
			p.jobs[job.UID] = sum
		}
	}
}

// counted is a quick look whether a task may ask for devices: whoever does names a count.
func (p *plugin) counted(task *api.TaskInfo) bool {
	for _, n := range p.quota.adapter.Requests().Names {
		if task.Resreq.ScalarResources[n.Count] > 0 {
			return true
		}
	}
	return false
}

// ask is what a task is charged before it is placed.
func (p *plugin) ask(task *api.TaskInfo) quota.Vector {
	if !p.counted(task) {
		return quota.Vector{}
	}
	return quota.Ask(p.quota.adapter.Request(task.Pod), p.pool)
}

// charge is what a placed task is charged: what the ledger says that it has, and where the ledger
// knows of nothing, what it asks. Precondition: called from the session's goroutine.
func (p *plugin) charge(task *api.TaskInfo) quota.Vector {
	v, state, buffer := p.charged(task.Pod, p.buffer)
	p.buffer = buffer
	if state == "" {
		return p.ask(task)
	}
	return v
}

// charged is what the ledger says that a pod has. It works in the buffer and returns it.
func (p *plugin) charged(pod *v1.Pod, buffer []fit.Placed) (quota.Vector, ledger.State, []fit.Placed) {
	placed, state := p.quota.adapter.Ledger().Slices(string(pod.UID), buffer[:0])
	return quota.Charge(placed, p.pool), state, placed
}

// queueOf is the queue of a task.
func (p *plugin) queueOf(task *api.TaskInfo) string {
	if job := p.ssn.Jobs[task.Job]; job != nil {
		return string(job.Queue)
	}
	return ""
}
