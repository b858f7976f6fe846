package volcano

import (
	"errors"
	"fmt"

	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

func podRef(task *api.TaskInfo) klog.ObjectRef { return klog.KRef(task.Namespace, task.Name) }

// prePredicate stops tasks that no node may take now. It runs once per task, before any node.
func (p *plugin) prePredicate(task *api.TaskInfo) error {
	r := p.adapter.requests.of(task.Pod)
	switch {
	case !r.asks():
		return p.steer(task)
	case len(r.errs) > 0:
		return fmt.Errorf("invalid device request: %s", r.problem())
	case p.refusal != "":
		return fmt.Errorf("%s", p.refusal)
	case p.adapter.binder.undecided(podUID(task.Pod)):
		// The pod may be bound already, with the slice that it still holds.
		return fmt.Errorf("the outcome of an earlier binding of this pod is not known yet")
	}
	return p.steer(task)
}

// steer nominates the task to its planned node. The plan comes last: it asks the session's predicates,
// which have to be prepared for the task.
func (p *plugin) steer(task *api.TaskInfo) error {
	if err := p.adapter.planner.Steer(task); err != nil {
		return errors.New(plain(err.Error()))
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
	verdict := p.verdict(task, node, p.siblings.apart(task, r.pod))
	if verdict.OK() {
		return nil
	}
	if !p.lookAhead {
		p.shortages.note(task, node.Name, verdict)
	}
	code := api.Unschedulable
	if verdict.Code == fit.Never {
		code = api.UnschedulableAndUnresolvable
	}
	// The numbers differ from node to node and would make a list as long as the cluster; explain adds
	// those of the closest node.
	return unfit(task, node, code, plain(string(verdict.Reason)))
}

func (p *plugin) verdict(task *api.TaskInfo, node *api.NodeInfo, r *request.Pod) fit.Verdict {
	uid := podUID(task.Pod)
	if p.lookAhead {
		return p.adapter.ledger.FitsFutureFor(uid, node.Name, r)
	}
	now := p.adapter.ledger.FitsFor(uid, node.Name, r)
	if now.Code == fit.NotNow && !task.InitResreq.LessEqual(node.Idle, api.Zero) {
		// Volcano pipelines such a task: its choice between Allocate and Pipeline goes by scalars. A
		// task whose scalars are idle would be allocated, so there the slice has to be free now.
		if later := p.adapter.ledger.FitsFutureFor(uid, node.Name, r); later.OK() {
			return later
		}
	}
	return now
}

func unfit(task *api.TaskInfo, node *api.NodeInfo, code int, reason string) error {
	return api.NewFitErrWithStatus(task, node, &api.Status{Code: code, Reason: reason, Plugin: PluginName})
}

// nodeOrder scores a node, 0 to 100 times the weight. No two nodes have the same score: Volcano would
// choose one of them at random.
func (p *plugin) nodeOrder(task *api.TaskInfo, node *api.NodeInfo) (float64, error) {
	r := p.adapter.requests.of(task.Pod)
	if r.pod == nil || p.settings.weight == 0 {
		return 0, nil
	}
	points := p.adapter.ledger.Score(node.Name, p.siblings.apart(task, r.pod), r.pod.Policy.Node)
	return (float64(points) + p.ranks.of(node.Name)) * 100 / score.Max * float64(p.settings.weight), nil
}
