package volcano

import (
	"fmt"

	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

// allocated books what Volcano placed, or lets a victim off. Volcano replays events on clones of
// tasks and repeats them, so everything goes by pod UID and twice is as good as once.
func (p *plugin) allocated(event *framework.Event) {
	task, a := event.Task, p.adapter
	uid := podUID(task.Pod)
	kind := allocateKind(task)
	a.planner.Touch(task.NodeName)
	if kind == eventRestore {
		a.ledger.Restore(uid)
		return
	}
	r := a.requests.of(task.Pod)
	if !r.asks() {
		return
	}
	if r.pod == nil || p.refusal != "" {
		event.Err = fmt.Errorf("pod %s/%s asks for devices and must not be placed", task.Namespace, task.Name)
		return
	}
	if why := a.feed.Refusal(task.NodeName); why != "" {
		event.Err = fmt.Errorf("hold devices on node %s: %s", task.NodeName, why)
		return
	}
	allocation, verdict := a.ledger.Hold(uid, task.NodeName, p.siblings.apart(task, r.pod), ledger.HoldOptions{
		Cards:     a.planner.Cards(task, task.NodeName),
		Future:    kind == eventHoldFuture,
		Namespace: task.Namespace,
		Name:      task.Name,
	})
	if !verdict.OK() {
		event.Err = fmt.Errorf("hold devices on node %s: %s", task.NodeName, verdict)
		return
	}
	p.siblings.took(task, allocation)
	a.log.V(4).Info("Slice held", "pod", podRef(task), "node", task.NodeName, "future", kind == eventHoldFuture)
}

// deallocated undoes a placement, or marks a victim's slice as about to become free.
func (p *plugin) deallocated(event *framework.Event) {
	uid := podUID(event.Task.Pod)
	p.adapter.planner.Touch(event.Task.NodeName)
	if deallocateKind(event.Task) == eventEvict {
		p.adapter.ledger.Evicting(uid)
		return
	}
	p.adapter.ledger.Release(uid)
	p.siblings.gave(event.Task)
}
