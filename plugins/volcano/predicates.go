package volcano

import (
	"fmt"

	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
)

func podRef(task *api.TaskInfo) klog.ObjectRef { return klog.KRef(task.Namespace, task.Name) }

// prePredicate stops tasks that no node may take now. It runs once per task, before any node.
func (p *plugin) prePredicate(task *api.TaskInfo) error {
	r := p.adapter.requests.of(task.Pod)
	switch {
	case !r.asks():
		return nil
	case len(r.errs) > 0:
		return fmt.Errorf("invalid device request: %s", r.problem())
	case p.refusal != "":
		return fmt.Errorf("%s", p.refusal)
	case p.adapter.binder.undecided(podUID(task.Pod)):
		// The pod may be bound already, with the slice that it still holds.
		return fmt.Errorf("the outcome of an earlier binding of this pod is not known yet")
	}
	return nil
}

// predicate asks the ledger about one node. It only reads, and runs in parallel.
func (p *plugin) predicate(task *api.TaskInfo, node *api.NodeInfo) error {
	r := p.adapter.requests.of(task.Pod)
	if !r.asks() {
		return nil
	}
	if len(r.errs) > 0 {
		return unfit(task, node, api.UnschedulableAndUnresolvable, "invalid device request: "+r.problem())
	}
	if p.refusal != "" {
		return unfit(task, node, api.UnschedulableAndUnresolvable, p.refusal)
	}
	if why := p.adapter.feed.Refusal(node.Name); why != "" {
		return unfit(task, node, api.UnschedulableAndUnresolvable, plain(why))
	}
	verdict := p.adapter.ledger.Fits(node.Name, r.pod)
	if verdict.OK() {
		return nil
	}
	if verdict.Code == fit.NotNow && !task.InitResreq.LessEqual(node.Idle, api.Zero) &&
		p.adapter.ledger.FitsFuture(node.Name, r.pod).OK() {
		// Volcano pipelines such a task: its choice between Allocate and Pipeline goes by scalars. A
		// task whose scalars are idle would be allocated, so there the slice has to be free now.
		return nil
	}
	p.shortages.note(task, node.Name, verdict)
	code := api.Unschedulable
	if verdict.Code == fit.Never {
		code = api.UnschedulableAndUnresolvable
	}
	// The numbers differ from node to node and would make a list as long as the cluster; explain adds
	// those of the closest node.
	return unfit(task, node, code, plain(string(verdict.Reason)))
}

func unfit(task *api.TaskInfo, node *api.NodeInfo, code int, reason string) error {
	return api.NewFitErrWithStatus(task, node, &api.Status{Code: code, Reason: reason, Plugin: PluginName})
}

func (p *plugin) nodeOrder(task *api.TaskInfo, node *api.NodeInfo) (float64, error) {
	r := p.adapter.requests.of(task.Pod)
	if r.pod == nil || p.settings.weight == 0 {
		return 0, nil
	}
	return float64(p.adapter.ledger.Score(node.Name, r.pod, p.settings.policy)) * float64(p.settings.weight), nil
}
