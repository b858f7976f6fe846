package actions

import (
	"cmp"
	"slices"

	"volcano.sh/volcano/pkg/controllers/job/helpers"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// seated is a job whose reserved tasks were placed and not committed.
type seated struct {
	job       *api.JobInfo
	statement *framework.Statement
}

// seatReserved places pending tasks on the nodes where devices wait for them, before anybody else is
// placed: allocated where the devices are free, pipelined where they are not yet. So the other
// resources of the node are held too, the job counts as waiting, and nobody evicts for it again. Jobs
// that are complete are committed; the others are returned.
func seatReserved(ssn *framework.Session, devices Devices) (waiting []seated) {
	for _, job := range jobsWithReservations(ssn, devices) {
		statement := framework.NewStatement(ssn)
		for _, task := range reservedTasks(job, devices) {
			seat(ssn, statement, devices, task)
		}
		if len(statement.Operations()) > 0 {
			waiting = append(waiting, seated{job: job, statement: statement})
		}
	}
	return commitReady(ssn, waiting)
}

// commitReady commits the jobs that are ready and returns the others.
func commitReady(ssn *framework.Session, waiting []seated) (left []seated) {
	for _, s := range waiting {
		if ssn.JobReady(s.job) {
			s.statement.Commit()
		} else {
			left = append(left, s)
		}
	}
	return left
}

func jobsWithReservations(ssn *framework.Session, devices Devices) (jobs []*api.JobInfo) {
	for _, job := range ssn.Jobs {
		if len(reservedTasks(job, devices)) == 0 || job.IsPending() {
			continue
		}
		queue, found := ssn.Queues[job.Queue]
		if !found || ssn.Overused(queue) {
			continue
		}
		if vr := ssn.JobValid(job); vr == nil || vr.Pass {
			jobs = append(jobs, job)
		}
	}
	sortJobs(ssn, jobs)
	return jobs
}

// reservedTasks are the pending tasks of the job that devices wait for.
func reservedTasks(job *api.JobInfo, devices Devices) (tasks []*api.TaskInfo) {
	for _, task := range job.TaskStatusIndex[api.Pending] {
		if _, ok := devices.Reserved(task); ok && !task.SchGated {
			tasks = append(tasks, task)
		}
	}
	slices.SortFunc(tasks, func(a, b *api.TaskInfo) int { return cmp.Compare(a.UID, b.UID) })
	return tasks
}

// seat places one task on the node where devices wait for it. A node that can never serve the task any
// more ends the reservation; other obstacles may pass, and the reservation has a time limit of its own.
func seat(ssn *framework.Session, statement *framework.Statement, devices Devices, task *api.TaskInfo) {
	name, _ := devices.Reserved(task)
	node, found := ssn.Nodes[name]
	if !found {
		devices.Unreserve(task, "node is gone")
		return
	}
	if !ssn.Allocatable(ssn.Queues[ssn.Jobs[task.Job].Queue], task) || ssn.PrePredicateFn(task) != nil {
		return
	}
	if task.InitResreq.LessEqual(node.Idle, api.Zero) && ssn.PredicateForAllocateAction(task, node) == nil {
		if statement.Allocate(task, node) != nil {
			// Volcano logs what failed; its caller has to roll back.
			_ = statement.UnAllocate(task)
		}
		return
	}
	switch {
	case !willFit(ssn, devices, task, node):
		devices.Unreserve(task, "node can no longer serve the pod")
	case task.InitResreq.LessEqual(node.FutureIdle(), api.Zero):
		if !pipeline(statement, task, node, true) {
			devices.Unreserve(task, "devices cannot be held")
		}
	}
}

// willFit reports whether the node may still serve the task. What other plugins hold against it may
// leave with the pods that terminate there; what is missing of devices once they left does not come.
func willFit(ssn *framework.Session, devices Devices, task *api.TaskInfo, node *api.NodeInfo) bool {
	devices.LookAhead(true)
	defer devices.LookAhead(false)
	trial := devices.Try(task, node.Name, nil)
	return trial != nil && trial.Fits() && ssn.PredicateForPreemptAction(task, node) == nil
}

// pipeline puts a task on a node to come, and reports whether it worked. Volcano leaves it to the caller
// to roll back.
func pipeline(statement *framework.Statement, task *api.TaskInfo, node *api.NodeInfo, evicted bool) bool {
	if statement.Pipeline(task, node.Name, evicted) == nil {
		return true
	}
	_ = statement.UnPipeline(task)
	return false
}

// sortJobs orders jobs as the session does.
func sortJobs(ssn *framework.Session, jobs []*api.JobInfo) {
	slices.SortFunc(jobs, func(a, b *api.JobInfo) int { return cmp.Compare(a.UID, b.UID) })
	slices.SortStableFunc(jobs, func(a, b *api.JobInfo) int { return order(a, b, ssn.JobOrderFn) })
}

// sortTasks orders tasks as the session does.
func sortTasks(ssn *framework.Session, tasks []*api.TaskInfo) {
	slices.SortFunc(tasks, func(a, b *api.TaskInfo) int { return compareTasks(ssn, a, b) })
}

// compareTasks is the session's order of tasks, which ends in their UIDs.
func compareTasks(ssn *framework.Session, a, b *api.TaskInfo) int {
	if by := ssn.TaskCompareFns(a, b); by != 0 {
		return by
	}
	switch {
	case a.UID == b.UID:
		return 0
	case helpers.CompareTask(a, b):
		return -1
	}
	return 1
}

// order turns one of Volcano's less functions into a comparison.
func order(a, b any, less func(l, r any) bool) int {
	switch {
	case less(a, b):
		return -1
	case less(b, a):
		return 1
	}
	return 0
}
