package actions

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
	"volcano.sh/volcano/pkg/scheduler/metrics"
)

// contest is one job's attempt to get its tasks placed at the cost of others. Each placement is a
// statement of its own, so that one can be taken back and another tried; all of them are committed, or
// none.
type contest struct {
	ssn     *framework.Session
	devices Devices
	rules   rules
	job     *api.JobInfo
	queue   *api.QueueInfo
	rank    map[api.JobID]int

	kinds  []*kind
	placed []placement
	// epoch counts placements; the maps say in which one a node or a job changed last.
	epoch       int
	nodeChanged map[string]int
	jobChanged  map[api.JobID]int
}

// placement is one task on its node and who has to go for it.
type placement struct {
	statement *framework.Statement
	task      *api.TaskInfo
	node      *api.NodeInfo
	victims   []*api.TaskInfo
}

func newContest(ssn *framework.Session, d Devices, r rules, job *api.JobInfo, all *ranks) *contest {
	return &contest{ssn: ssn, devices: d, rules: r, job: job, queue: ssn.Queues[job.Queue], rank: all.of(job.Queue),
		nodeChanged: map[string]int{}, jobChanged: map[api.JobID]int{}}
}

// contenders are the tasks of a job that may evict, in order.
func contenders(ssn *framework.Session, job *api.JobInfo) (tasks []*api.TaskInfo) {
	for _, task := range job.TaskStatusIndex[api.Pending] {
		if !task.SchGated && mayEvict(task.Pod) {
			tasks = append(tasks, task)
		}
	}
	sortTasks(ssn, tasks)
	return tasks
}

// run places tasks of the job until it has what it starves for, and commits all or nothing.
func (c *contest) run() {
	for _, task := range contenders(c.ssn, c.job) {
		if !c.ssn.JobStarving(c.job) && c.ssn.JobPipelined(c.job) {
			break
		}
		c.place(task)
	}
	if c.ssn.JobPipelined(c.job) {
		c.commit()
	} else {
		c.discard()
	}
}

// place puts one task on the node where it costs least, and reports whether it found one.
func (c *contest) place(task *api.TaskInfo) bool {
	if !c.rules.entitled(c.queue, task) {
		return false
	}
	k := c.kindOf(task)
	for o := c.best(k, task); o != nil; o = c.best(k, task) {
		if p, ok := c.take(task, o); ok {
			c.settle(p)
			return true
		}
		o.closed = true
	}
	return false
}

// take carries an offer out in the session. Where it does not work out, nothing of it remains.
func (c *contest) take(task *api.TaskInfo, o *offer) (placement, bool) {
	victims, ok := c.enough(task, o)
	if !ok {
		return placement{}, false
	}
	metrics.UpdatePreemptionVictimsCount(len(victims))
	metrics.RegisterPreemptionAttempts()
	statement, ok := c.evict(victims)
	if ok && c.ssn.Allocatable(c.queue, task) && c.accepted(task, o.node) && pipeline(statement, task, o.node, len(victims) > 0) {
		return placement{statement: statement, task: task, node: o.node, victims: victims}, true
	}
	statement.Discard()
	return placement{}, false
}

// enough returns the victims of an offer, with those that the queue has to lose besides before it may have
// the task. Only the session's own state tells, so victims go for a moment.
func (c *contest) enough(task *api.TaskInfo, o *offer) ([]*api.TaskInfo, bool) {
	victims := o.victims
	if c.affordable(task, victims) {
		return victims, true
	}
	for _, more := range o.rest {
		victims = append(slices.Clone(victims), more)
		if c.affordable(task, victims) {
			return c.spared(task, victims, len(o.victims)), true
		}
	}
	return nil, false
}

// spared takes back victims from a place on, as far as the rest suffices.
func (c *contest) spared(task *api.TaskInfo, victims []*api.TaskInfo, from int) []*api.TaskInfo {
	for i := len(victims) - 1; i >= from; i-- {
		if fewer := slices.Delete(slices.Clone(victims), i, i+1); c.affordable(task, fewer) {
			victims = fewer
		}
	}
	return victims
}

// affordable reports whether the queue may have the task once the victims are gone.
func (c *contest) affordable(task *api.TaskInfo, victims []*api.TaskInfo) bool {
	if c.ssn.Allocatable(c.queue, task) {
		return true
	}
	statement, ok := c.evict(victims)
	defer statement.Discard()
	return ok && c.ssn.Allocatable(c.queue, task)
}

func (c *contest) evict(victims []*api.TaskInfo) (*framework.Statement, bool) {
	statement := framework.NewStatement(c.ssn)
	for _, v := range victims {
		if err := statement.Evict(v.Clone(), c.rules.reason); err != nil {
			klog.Background().Error(err, "Victim cannot be evicted", "pod", klog.KRef(v.Namespace, v.Name))
			return statement, false
		}
	}
	return statement, true
}

// accepted asks the predicates once more, now that the victims are gone from the session: what is still
// in the way then would make the evictions useless.
func (c *contest) accepted(task *api.TaskInfo, node *api.NodeInfo) bool {
	return c.ssn.PrePredicateFn(task) == nil && c.ssn.PredicateForAllocateAction(task, node) == nil &&
		task.InitResreq.LessEqual(node.FutureIdle(), api.Zero)
}

// settle notes what a placement changed: its node, the jobs that lost pods and, for a gang that it broke,
// all nodes of the gang, where its pods are cheap from now on.
func (c *contest) settle(p placement) {
	c.epoch++
	c.placed = append(c.placed, p)
	c.nodeChanged[p.node.Name] = c.epoch
	for _, v := range p.victims {
		c.jobChanged[v.Job] = c.epoch
		if job := c.ssn.Jobs[v.Job]; spare(job) < 0 {
			for _, task := range job.Tasks {
				c.nodeChanged[task.NodeName] = c.epoch
			}
		}
	}
}

// commit evicts and leaves reservations. A task whose victims could not be evicted gets none.
func (c *contest) commit() {
	var tasks []*api.TaskInfo
	var leaving []*v1.Pod
	for _, p := range c.placed {
		p.statement.Commit()
	}
	for _, p := range c.placed {
		if c.gone(p.victims) {
			tasks = append(tasks, p.task)
			leaving = append(leaving, terminating(p.node)...)
		}
	}
	if len(tasks) > 0 {
		c.devices.Reserve(tasks, leaving)
	}
	c.placed = nil
}

// gone reports whether all victims are on their way out: Volcano lets those off whose eviction fails.
func (c *contest) gone(victims []*api.TaskInfo) bool {
	for _, v := range victims {
		if task := c.ssn.Jobs[v.Job].Tasks[v.UID]; task == nil || task.Status != api.Releasing {
			return false
		}
	}
	return true
}

func terminating(node *api.NodeInfo) (pods []*v1.Pod) {
	for _, task := range node.Tasks {
		if task.Status == api.Releasing {
			pods = append(pods, task.Pod)
		}
	}
	return pods
}

func (c *contest) discard() {
	for _, p := range slices.Backward(c.placed) {
		p.statement.Discard()
	}
	c.placed = nil
}
