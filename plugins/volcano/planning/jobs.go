package planning

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// role is the tasks of a job that are alike.
type role struct {
	name   string
	shape  packing.ShapeID
	sample *v1.Pod
	single bool
}

// plannable reports whether a job is the planner's business. Pods that must not share cards with each
// other are not: what one of them takes changes what the next one asks.
func (p *Planner) plannable(job *api.JobInfo) bool {
	asks := p.mode == Always
	for _, task := range job.TaskStatusIndex[api.Pending] {
		r := p.options.Request(task.Pod)
		if p.mode == Auto && soft(task.Pod) || r != nil && r.Policy.Apart {
			return false
		}
		asks = asks || r != nil
	}
	return asks
}

// gang translates the pending tasks of a job. Tasks of no role, and tasks of one role that ask for
// different things, are roles of their own.
func (p *Planner) gang(job *api.JobInfo, m *mirror) (gang.Gang, []role, error) {
	g := gang.Gang{
		Hard:  job.ContainsHardTopology() || job.ContainsSubJobPolicy(),
		Tiers: p.open.topology(m.pool),
	}
	var roles []role
	index := map[roleKey]int{}
	for _, task := range p.ordered(job) {
		nodes, err := p.candidates.of(task.Pod, m.pool)
		if err != nil {
			return gang.Gang{}, nil, err
		}
		key := roleKey{name: task.TaskRole, shape: m.shape(task), nodes: nodes}
		at, known := index[key]
		if !known {
			at = len(roles)
			index[key] = at
			roles = append(roles, role{name: task.TaskRole, shape: key.shape, sample: task.Pod, single: single(task.Pod)})
			g.Roles = append(g.Roles, gang.Role{Name: cmp.Or(task.TaskRole, task.Name), Shape: key.shape, Nodes: nodes})
		}
		g.Roles[at].Members = append(g.Roles[at].Members, string(task.UID))
	}
	demand(&g, roles, job)
	return g, roles, nil
}

func nominated(task *api.TaskInfo) bool { return task.Pod.Status.NominatedNodeName != "" }

type roleKey struct {
	name  string
	shape packing.ShapeID
	nodes *packing.Set
}

// ordered returns the tasks that the action will try, in its order, but for those that have a node
// nominated in the API: what they wait for is theirs.
func (p *Planner) ordered(job *api.JobInfo) []*api.TaskInfo {
	var tasks []*api.TaskInfo
	for _, task := range job.TaskStatusIndex[api.Pending] {
		if !task.SchGated && !task.Resreq.IsEmpty() && !nominated(task) {
			tasks = append(tasks, task)
		}
	}
	slices.SortFunc(tasks, func(a, b *api.TaskInfo) int {
		switch {
		case p.open.ssn.TaskOrderFn(a, b):
			return -1
		case p.open.ssn.TaskOrderFn(b, a):
			return 1
		}
		return byName(a, b)
	})
	return tasks
}

// demand fills in what the job still needs, beside what has a place.
func demand(g *gang.Gang, roles []role, job *api.JobInfo) {
	has := map[string]int32{}
	for _, task := range job.TaskStatusIndex[api.Pending] {
		if nominated(task) {
			has[task.TaskRole]++
			g.MinAvailable--
		}
	}
	g.MinAvailable += int(job.MinAvailable - job.ReadyTaskNum() - job.WaitingTaskNum() - job.PendingBestEffortTaskNum())
	if job.MinAvailable < job.TaskMinAvailableTotal {
		return // Volcano then counts over all roles only.
	}
	for status, tasks := range job.TaskStatusIndex {
		if api.AllocatedStatus(status) || status == api.Succeeded || status == api.Pipelined {
			for _, task := range tasks {
				has[task.TaskRole]++
			}
		}
	}
	minimums := 0
	for i, r := range roles {
		// Where tasks of one role differ, the first kind of them carries the role's minimum.
		if slices.IndexFunc(roles, func(o role) bool { return o.name == r.name }) == i {
			g.Roles[i].Min = int(max(0, job.TaskMinAvailable[r.name]-has[r.name]))
			minimums += g.Roles[i].Min
		}
	}
	// A role that has more than its minimum does not make up for another.
	g.MinAvailable = max(g.MinAvailable, minimums)
}
