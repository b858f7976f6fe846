package volcano

import (
	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// DefaultWeight is the weight of a node's score where the arguments name none.
const DefaultWeight = defaultWeight

// Allocated repeats an event to the plugin of the open session.
func (a *Adapter) Allocated(e *framework.Event) { a.session.Load().allocated(e) }

// RequestOf returns what the open session takes a pod to ask.
func RequestOf(a *Adapter, pod *v1.Pod) *request.Pod { return a.requests.of(pod).pod }

// NodeOrder returns the points that the plugin of the open session gives to a node.
func NodeOrder(a *Adapter, task *api.TaskInfo, node *api.NodeInfo) (float64, error) {
	return a.session.Load().nodeOrder(task, node)
}
