package actions

import (
	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// rules tell apart for whom who may be evicted.
type rules struct {
	// reason is shown on evicted pods.
	reason string
	// entitled reports whether a queue may evict for a task at all.
	entitled func(queue *api.QueueInfo, task *api.TaskInfo) bool
	// candidate reports whether a task on a node may be asked to go for the preemptor.
	candidate func(preemptor, task *api.TaskInfo) bool
	// allowed returns those of the candidates that the session's plugins let go.
	allowed func(preemptor *api.TaskInfo, candidates []*api.TaskInfo) []*api.TaskInfo
	// workers is how many nodes are searched at once. Volcano's own dry run asks who may be preempted in
	// parallel; who may be reclaimed it asks from one goroutine only, and plugins may rely on it.
	workers int
}

// betweenJobs lets jobs evict others of their queue.
func betweenJobs(ssn *framework.Session) rules {
	return rules{
		reason:   "preempt",
		entitled: func(*api.QueueInfo, *api.TaskInfo) bool { return true },
		candidate: func(preemptor, task *api.TaskInfo) bool {
			job, found := ssn.Jobs[task.Job]
			return found && preemptable(preemptor, task) && task.Job != preemptor.Job &&
				job.Queue == ssn.Jobs[preemptor.Job].Queue
		},
		allowed: ssn.Preemptable,
		workers: nodeWorkers,
	}
}

// withinJob lets tasks evict lesser ones of their own job.
func withinJob(ssn *framework.Session) rules {
	r := betweenJobs(ssn)
	r.candidate = func(preemptor, task *api.TaskInfo) bool {
		return task.Job == preemptor.Job && preemptable(preemptor, task)
	}
	return r
}

func preemptable(preemptor, task *api.TaskInfo) bool {
	return api.PreemptableStatus(task.Status) && task.Preemptable && (task.BestEffort || !preemptor.BestEffort)
}

// betweenQueues lets queues take back what others borrowed.
func betweenQueues(ssn *framework.Session) rules {
	return rules{
		reason:   "reclaim",
		entitled: ssn.Preemptive,
		candidate: func(preemptor, task *api.TaskInfo) bool {
			job, found := ssn.Jobs[task.Job]
			if !found || task.Status != api.Running || !task.Preemptable || job.Queue == ssn.Jobs[preemptor.Job].Queue {
				return false
			}
			queue, found := ssn.Queues[job.Queue]
			return found && queue.Reclaimable()
		},
		allowed: ssn.Reclaimable,
		workers: 1,
	}
}

// mayEvict reports whether the pod may have others evicted for it.
func mayEvict(pod *v1.Pod) bool {
	return pod.Spec.PreemptionPolicy == nil || *pod.Spec.PreemptionPolicy != v1.PreemptNever
}
