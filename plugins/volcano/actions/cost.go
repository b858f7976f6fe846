package actions

import (
	"cmp"
	"math"

	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// cost orders ways to place a task, cheapest first: by the most important job that loses a pod, by the
// pods lost, by the pods evicted, by their priorities. A gang that is left with fewer pods than it needs
// is lost as a whole, whoever of it is still running; so taking the rest of it costs nothing more than
// the evictions.
type cost struct {
	// foreign nodes belong to another scheduler's shard.
	foreign   bool
	priority  int32
	lost      int
	evictions int
	sum       int64
	node      string
}

func (c cost) compare(o cost) int {
	return cmp.Or(compareBool(c.foreign, o.foreign), cmp.Compare(c.priority, o.priority), cmp.Compare(c.lost, o.lost),
		cmp.Compare(c.evictions, o.evictions), cmp.Compare(c.sum, o.sum), cmp.Compare(c.node, o.node))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// price is the cost of evicting the victims.
func price(ssn *framework.Session, victims []*api.TaskInfo) cost {
	c := cost{priority: math.MinInt32, evictions: len(victims), lost: len(victims)}
	perJob := make(map[api.JobID]int32, len(victims))
	for _, v := range victims {
		perJob[v.Job]++
		c.sum += int64(v.Priority)
		c.priority = max(c.priority, v.Priority)
	}
	for id, n := range perJob {
		job := ssn.Jobs[id]
		c.priority = max(c.priority, job.Priority)
		if spare(job) >= 0 && spare(job) < n {
			c.lost += int(job.ReadyTaskNum() - n)
		}
	}
	return c
}

// spare is how many pods a job can lose and go on; negative when it is broken already.
func spare(job *api.JobInfo) int32 { return job.ReadyTaskNum() - job.MinAvailable }
