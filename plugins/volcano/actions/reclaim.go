package actions

import (
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
	"volcano.sh/volcano/pkg/scheduler/util"
)

// Reclaim takes the place of Volcano's reclaim, for the same reasons as Preempt.
type Reclaim struct{ hooks Hooks }

// NewReclaim makes the action.
func NewReclaim(h Hooks) *Reclaim { return &Reclaim{hooks: h} }

// Name implements framework.Action.
func (*Reclaim) Name() string { return "reclaim" }

// Initialize implements framework.Action.
func (*Reclaim) Initialize() {}

// UnInitialize implements framework.Action.
func (*Reclaim) UnInitialize() {}

// Execute implements framework.Action.
func (r *Reclaim) Execute(ssn *framework.Session) {
	devices := r.hooks.devices()
	devices.LookAhead(true)
	defer devices.LookAhead(false)
	jobs := map[api.QueueID][]*api.JobInfo{}
	for _, job := range starving(ssn, devices, func(*api.JobInfo) bool { return true }) {
		jobs[job.Queue] = append(jobs[job.Queue], job)
	}
	queues := util.NewPriorityQueue(ssn.QueueOrderFn)
	for id := range jobs {
		queues.Push(ssn.Queues[id])
	}
	all := newRanks(ssn)
	for !queues.Empty() {
		// A queue goes back after each job: what the job got changes its place.
		queue := queues.Pop().(*api.QueueInfo)
		if len(jobs[queue.UID]) == 0 || ssn.Overused(queue) {
			continue
		}
		job := jobs[queue.UID][0]
		jobs[queue.UID] = jobs[queue.UID][1:]
		newContest(ssn, devices, betweenQueues(ssn), job, all).run()
		queues.Push(queue)
	}
}
