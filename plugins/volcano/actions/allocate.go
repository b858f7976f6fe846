package actions

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/actions/allocate"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// Allocate is Volcano's allocate with private pods: the stock action writes the node's name into
// task.Pod, which is the informer's own object and shared with every reader of the cache, and leaves
// it there when the placement is discarded. Tasks with reservations are placed before it.
type Allocate struct {
	*allocate.Action
	hooks Hooks
}

// NewAllocate wraps the stock action.
func NewAllocate(h Hooks) *Allocate { return &Allocate{Action: allocate.New(), hooks: h} }

// Execute implements framework.Action.
func (a *Allocate) Execute(ssn *framework.Session) {
	shared := a.takeCopies(ssn)
	waiting := seatReserved(ssn, a.hooks.devices())
	a.hooks.Begin(ssn)
	a.Action.Execute(ssn)
	commitReady(ssn, waiting)
	a.hooks.End(ssn)
	putBack(ssn, shared)
}

// takeCopies gives the pending tasks of every job that asks for devices a pod of their own and returns
// the shared ones by UID: the members of a gang that ask for none are planned with the others. The
// copies are shallow, but for the annotations, into which Volcano may write, too. A nominated node that
// the API holds is part of the copy.
func (a *Allocate) takeCopies(ssn *framework.Session) map[api.TaskID]*v1.Pod {
	shared := map[api.TaskID]*v1.Pod{}
	for _, job := range ssn.Jobs {
		if !a.asks(job) {
			continue
		}
		for uid, task := range job.TaskStatusIndex[api.Pending] {
			private := *task.Pod
			private.Annotations = maps.Clone(task.Pod.Annotations)
			shared[uid], task.Pod = task.Pod, &private
		}
	}
	return shared
}

// asks reports whether some pending task of the job asks for devices.
func (a *Allocate) asks(job *api.JobInfo) bool {
	for _, task := range job.TaskStatusIndex[api.Pending] {
		if a.hooks.Asks(task.Pod) {
			return true
		}
	}
	return false
}

// putBack returns the shared pods. It goes by UID because Volcano may have replaced a task by a
// clone. Tasks that were handed to the cache keep their copy: the bind goroutine reads it already.
func putBack(ssn *framework.Session, shared map[api.TaskID]*v1.Pod) {
	for _, job := range ssn.Jobs {
		for uid, task := range job.Tasks {
			if pod, ok := shared[uid]; ok && task.Status != api.Binding {
				task.Pod = pod
			}
		}
	}
}
