// Package actions holds the scheduling actions of Volcano that Basalt wraps or replaces. They are
// registered under Volcano's own names. They own when things happen in a session; what devices
// mean is in the hooks they are given.
package actions

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/actions/allocate"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// Hooks are what the actions ask about devices.
type Hooks struct {
	// Asks reports whether a pod asks for devices.
	Asks func(*v1.Pod) bool
	// Explain runs when the action has placed what it could.
	Explain func(*framework.Session)
}

// Allocate is Volcano's allocate with private pods: the stock action writes the node's name into
// task.Pod, which is the informer's own object and shared with every reader of the cache, and leaves
// it there when the placement is discarded.
type Allocate struct {
	*allocate.Action
	hooks Hooks
}

// NewAllocate wraps the stock action.
func NewAllocate(h Hooks) *Allocate { return &Allocate{Action: allocate.New(), hooks: h} }

// Execute implements framework.Action.
func (a *Allocate) Execute(ssn *framework.Session) {
	shared := a.takeCopies(ssn)
	a.Action.Execute(ssn)
	a.hooks.Explain(ssn)
	putBack(ssn, shared)
}

// takeCopies gives every pending task that asks for devices a pod of its own and returns the shared
// ones by UID. The copies are shallow, but for the annotations, into which Volcano may write, too. A
// nominated node that the API holds is part of the copy.
func (a *Allocate) takeCopies(ssn *framework.Session) map[api.TaskID]*v1.Pod {
	shared := map[api.TaskID]*v1.Pod{}
	for _, job := range ssn.Jobs {
		for uid, task := range job.TaskStatusIndex[api.Pending] {
			if !a.hooks.Asks(task.Pod) {
				continue
			}
			private := *task.Pod
			private.Annotations = maps.Clone(task.Pod.Annotations)
			shared[uid], task.Pod = task.Pod, &private
		}
	}
	return shared
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
