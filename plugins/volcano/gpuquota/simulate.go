package gpuquota

import (
	"context"

	fwk "k8s.io/kube-scheduler/framework"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
)

// stateKey is where a trial keeps its books in a task's cycle state.
const stateKey = PluginName

// trial is the books of one trial of Volcano's topology-aware preemption. Trials of one task run in
// parallel, each on a clone; the session's books are copied when a trial first changes something.
type trial struct {
	session books
	own     *books
}

// Clone implements fwk.StateData.
func (t *trial) Clone() fwk.StateData {
	c := &trial{session: t.session}
	if t.own != nil {
		own := t.own.clone()
		c.own = &own
	}
	return c
}

func (t *trial) books() books {
	if t.own != nil {
		return *t.own
	}
	return t.session
}

func (t *trial) writable() books {
	if t.own == nil {
		own := t.session.clone()
		t.own = &own
	}
	return *t.own
}

// prePredicate prepares trials for a task.
func (p *plugin) prePredicate(task *api.TaskInfo) error {
	if p.counted(task) {
		p.spaces.load(task.Namespace)
		p.ssn.GetCycleState(task.UID).Write(stateKey, &trial{session: p.books})
	}
	return nil
}

func trialOf(state fwk.CycleState) *trial {
	data, err := state.Read(stateKey)
	if err != nil {
		// The task asks for no devices: nobody's devices matter to it.
		return nil
	}
	t, _ := data.(*trial)
	return t
}

func (p *plugin) simulateRemove(_ context.Context, state fwk.CycleState, _, task *api.TaskInfo, _ *api.NodeInfo) error {
	if t := trialOf(state); t != nil && p.counted(task) {
		t.writable().remove(p, task, p.trialChange(task))
	}
	return nil
}

func (p *plugin) simulateAdd(_ context.Context, state fwk.CycleState, _, task *api.TaskInfo, _ *api.NodeInfo) error {
	if t := trialOf(state); t != nil && p.counted(task) {
		t.writable().add(p, task, p.trialChange(task))
	}
	return nil
}

// trialChange is what a running task counts. It runs in parallel.
func (p *plugin) trialChange(task *api.TaskInfo) change {
	charge, state, _ := p.charged(task.Pod, nil)
	if state == "" {
		charge = p.ask(task)
	}
	return change{charge: charge, spaces: p.spaces.of(task.Pod)}
}

func (p *plugin) simulateAllocatable(_ context.Context, state fwk.CycleState, _ *api.QueueInfo, task *api.TaskInfo) bool {
	t, ask := trialOf(state), p.ask(task)
	if t == nil || ask == (quota.Vector{}) {
		return true
	}
	return p.judge(t.books(), task, ask).OK()
}
