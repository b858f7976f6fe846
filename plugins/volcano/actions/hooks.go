// Package actions holds the scheduling actions of Volcano that Basalt wraps or replaces: allocate,
// preempt and reclaim. They are registered under Volcano's own names. The package owns when things
// happen in a session, who is evicted for whom and what an eviction costs; what devices mean is in the
// hooks it is given. It refuses to know cards, requests and the ledger.
//
// Actions run one after the other in the session's goroutine; nothing here locks.
package actions

import (
	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// Hooks are what the actions ask about devices.
type Hooks struct {
	// Asks reports whether a pod asks for devices.
	Asks func(*v1.Pod) bool
	// Begin runs after reserved tasks have been placed and before the stock action, End when it has placed
	// what it could. Between them nodes may be nominated on the private pods of pending tasks.
	Begin, End func(*framework.Session)
	// Devices are asked for reservations and for what evictions would free. Nil knows of none.
	Devices Devices
}

// Devices is what evicting and waiting need to know.
type Devices interface {
	// Try judges a node for a task without some of the candidates; nil if the task asks for no devices.
	Try(task *api.TaskInfo, node string, candidates []*api.TaskInfo) Trial
	// Alike reports whether two tasks ask for the same devices.
	Alike(a, b *api.TaskInfo) bool
	// LookAhead makes predicates judge by what evictions leave, or by the present again.
	LookAhead(on bool)
	// Reserved returns the node on which devices wait for a task.
	Reserved(task *api.TaskInfo) (node string, ok bool)
	// Reserve makes the devices that tasks were pipelined onto wait for them, as long as the pods that
	// leave may need.
	Reserve(tasks []*api.TaskInfo, leaving []*v1.Pod)
	// Unreserve ends a reservation that cannot be met.
	Unreserve(task *api.TaskInfo, why string)
}

// Trial is one node on which candidates are taken away in thought.
type Trial interface {
	Fits() bool
	// Remove and Restore take candidate i away and put it back.
	Remove(i int)
	Restore(i int)
	// Seeds returns sets of candidates to start a search from.
	Seeds() [][]int
}

// none are devices where there are none.
type none struct{}

func (none) Try(*api.TaskInfo, string, []*api.TaskInfo) Trial { return nil }
func (none) Alike(*api.TaskInfo, *api.TaskInfo) bool          { return true }
func (none) LookAhead(bool)                                   {}
func (none) Reserved(*api.TaskInfo) (string, bool)            { return "", false }
func (none) Reserve([]*api.TaskInfo, []*v1.Pod)               {}
func (none) Unreserve(*api.TaskInfo, string)                  {}

func (h Hooks) devices() Devices {
	if h.Devices == nil {
		return none{}
	}
	return h.Devices
}
