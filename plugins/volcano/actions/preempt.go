package actions

import (
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// Preempt takes the place of Volcano's preempt. The stock action looks for victims until the scalars of
// the node suffice, which says nothing about cards, and forgets in the next session for whom it evicted.
type Preempt struct{ hooks Hooks }

// NewPreempt makes the action.
func NewPreempt(h Hooks) *Preempt { return &Preempt{hooks: h} }

// Name implements framework.Action.
func (*Preempt) Name() string { return "preempt" }

// Initialize implements framework.Action.
func (*Preempt) Initialize() {}

// UnInitialize implements framework.Action.
func (*Preempt) UnInitialize() {}

// Execute implements framework.Action.
func (p *Preempt) Execute(ssn *framework.Session) {
	devices := p.hooks.devices()
	devices.LookAhead(true)
	defer devices.LookAhead(false)
	all := newRanks(ssn)
	jobs := starving(ssn, devices, func(job *api.JobInfo) bool { return !job.ContainsNetworkTopology() })
	for _, job := range jobs {
		if ssn.JobStarving(job) {
			newContest(ssn, devices, betweenJobs(ssn), job, all).run()
		}
	}
	for _, job := range jobs {
		for _, task := range contenders(ssn, job) {
			c := newContest(ssn, devices, withinJob(ssn), job, all)
			if !c.place(task) {
				break
			}
			c.commit()
		}
	}
}

// starving returns the jobs that need more than they have, in order. Jobs whose devices are on their way
// wait for them.
func starving(ssn *framework.Session, devices Devices, may func(*api.JobInfo) bool) (jobs []*api.JobInfo) {
	for _, job := range ssn.Jobs {
		if job.IsPending() || ssn.Queues[job.Queue] == nil || !ssn.JobStarving(job) || !may(job) ||
			len(reservedTasks(job, devices)) > 0 {
			continue
		}
		if vr := ssn.JobValid(job); vr == nil || vr.Pass {
			jobs = append(jobs, job)
		}
	}
	sortJobs(ssn, jobs)
	return jobs
}
