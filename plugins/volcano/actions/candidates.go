package actions

import (
	"cmp"
	"slices"

	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// ranks order jobs by who loses pods first, as Volcano orders victims. They are computed once for each
// queue that evicts: comparing jobs asks every plugin.
type ranks struct {
	ssn     *framework.Session
	byQueue map[api.QueueID]map[api.JobID]int
}

func newRanks(ssn *framework.Session) *ranks {
	return &ranks{ssn: ssn, byQueue: map[api.QueueID]map[api.JobID]int{}}
}

func (r *ranks) of(queue api.QueueID) map[api.JobID]int {
	if known := r.byQueue[queue]; known != nil {
		return known
	}
	var jobs []*api.JobInfo
	for _, job := range r.ssn.Jobs {
		if len(job.TaskStatusIndex[api.Running])+len(job.TaskStatusIndex[api.Bound]) > 0 {
			jobs = append(jobs, job)
		}
	}
	slices.SortFunc(jobs, func(a, b *api.JobInfo) int { return cmp.Compare(a.UID, b.UID) })
	slices.SortStableFunc(jobs, func(a, b *api.JobInfo) int { return r.compare(a, b, queue) })
	known := make(map[api.JobID]int, len(jobs))
	for i, job := range jobs {
		known[job.UID] = i
	}
	r.byQueue[queue] = known
	return known
}

func (r *ranks) compare(a, b *api.JobInfo, queue api.QueueID) int {
	qa, qb := r.ssn.Queues[a.Queue], r.ssn.Queues[b.Queue]
	if a.Queue == b.Queue || qa == nil || qb == nil {
		return order(b, a, r.ssn.JobOrderFn)
	}
	first := func(l, r1 any) bool { return r.ssn.VictimQueueOrderFn(l, r1, r.ssn.Queues[queue]) }
	return order(qa, qb, first)
}

// candidate is a task that may be evicted.
type candidate struct {
	task *api.TaskInfo
	rank int
	// class is 0 for the rest of a broken gang, 1 for what a job can spare, 2 for what breaks one.
	class    int
	priority int32
}

// candidates returns the tasks on the node that may be asked to go for the preemptor, cheapest first.
func (c *contest) candidates(preemptor *api.TaskInfo, node *api.NodeInfo) []*api.TaskInfo {
	var found []candidate
	for _, task := range node.Tasks {
		if c.rules.candidate(preemptor, task) {
			job := c.ssn.Jobs[task.Job]
			found = append(found, candidate{task: task, rank: c.rank[task.Job], priority: job.Priority})
		}
	}
	if len(found) == 0 {
		return nil
	}
	c.arrange(found)
	tasks := make([]*api.TaskInfo, len(found))
	for i := range found {
		tasks[i] = found[i].task
	}
	return tasks
}

// arrange puts candidates in order, cheapest first: priority, then what breaks no gang, then Volcano's own
// order of victims.
func (c *contest) arrange(found []candidate) {
	slices.SortFunc(found, func(a, b candidate) int {
		if a.rank != b.rank || a.task.Job != b.task.Job {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.task.Job, b.task.Job))
		}
		return compareTasks(c.ssn, b.task, a.task)
	})
	left := int32(0)
	for i := range found {
		if i == 0 || found[i].task.Job != found[i-1].task.Job {
			left = spare(c.ssn.Jobs[found[i].task.Job])
		}
		found[i].class = class(left)
		if left >= 0 {
			left = max(left-1, 0)
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.class, b.class))
	})
}

func class(spare int32) int {
	switch {
	case spare < 0:
		return 0
	case spare > 0:
		return 1
	}
	return 2
}

// together returns the candidates that the plugins let go at once, in order.
func (c *contest) together(preemptor *api.TaskInfo, candidates []*api.TaskInfo) []*api.TaskInfo {
	if len(candidates) == 0 {
		return nil
	}
	allowed := c.rules.allowed(preemptor, candidates)
	if len(allowed) == len(candidates) {
		return candidates
	}
	ok := make(map[api.TaskID]bool, len(allowed))
	for _, task := range allowed {
		ok[task.UID] = true
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(t *api.TaskInfo) bool { return !ok[t.UID] })
}

// apart returns the candidates that the plugins let go alone. Of a gang that can spare one pod they let
// go the first, and which one frees the right card they do not know.
func (c *contest) apart(preemptor *api.TaskInfo, candidates []*api.TaskInfo) []*api.TaskInfo {
	return slices.DeleteFunc(slices.Clone(candidates), func(t *api.TaskInfo) bool {
		return len(c.rules.allowed(preemptor, []*api.TaskInfo{t})) == 0
	})
}
