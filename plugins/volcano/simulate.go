package volcano

import (
	"context"
	"errors"
	"fmt"
	"maps"

	fwk "k8s.io/kube-scheduler/framework"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// Volcano's own dry run of a preemption takes tasks off a copy of a node and asks whether the preemptor
// fits. Which tasks are away is kept in the cycle state, of which each node gets a copy.

// awayKey is where the cycle state holds the tasks that are away.
const awayKey fwk.StateKey = PluginName + ".basalt.io/away"

// away is the UIDs of pods that are taken off in thought.
type away map[string]bool

// Clone implements fwk.StateData.
func (a away) Clone() fwk.StateData { return maps.Clone(a) }

func (p *plugin) registerSimulation(ssn *framework.Session) {
	ssn.AddSimulateRemoveTaskFn(PluginName, func(_ context.Context, state fwk.CycleState, _, task *api.TaskInfo, _ *api.NodeInfo) error {
		return change(state, func(a away) { a[podUID(task.Pod)] = true })
	})
	ssn.AddSimulateAddTaskFn(PluginName, func(_ context.Context, state fwk.CycleState, _, task *api.TaskInfo, _ *api.NodeInfo) error {
		return change(state, func(a away) { delete(a, podUID(task.Pod)) })
	})
	ssn.AddSimulatePredicateFn(PluginName, p.simulatePredicate)
}

// change edits the set in a state, which belongs to one node's dry run.
func change(state fwk.CycleState, edit func(away)) error {
	a, err := awayIn(state)
	if err != nil {
		return err
	}
	if a == nil {
		a = away{}
		state.Write(awayKey, a)
	}
	edit(a)
	return nil
}

func awayIn(state fwk.CycleState) (away, error) {
	data, err := state.Read(awayKey)
	if errors.Is(err, fwk.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state of dry run: %w", err)
	}
	a, ok := data.(away)
	if !ok {
		return nil, fmt.Errorf("state of dry run is a %T", data)
	}
	return a, nil
}

// simulatePredicate judges the devices of a node without the tasks that are away.
func (p *plugin) simulatePredicate(_ context.Context, state fwk.CycleState, task *api.TaskInfo, node *api.NodeInfo) error {
	r := p.adapter.requests.of(task.Pod)
	if r.pod == nil {
		return nil
	}
	gone, err := awayIn(state)
	if err != nil {
		return err
	}
	uids := make([]string, 0, len(gone))
	for uid := range gone {
		uids = append(uids, uid)
	}
	trial := p.adapter.ledger.Try(podUID(task.Pod), node.Name, p.siblings.apart(task, r.pod), uids)
	for i := range uids {
		trial.Remove(i)
	}
	if !trial.Fits() {
		return unfit(task, node, api.Unschedulable, "insufficient devices after evictions")
	}
	return nil
}
