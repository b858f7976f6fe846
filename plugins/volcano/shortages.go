package volcano

import (
	"cmp"
	"fmt"
	"sync"

	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
)

// shortage is how a node failed a request.
type shortage struct {
	node    string
	verdict fit.Verdict
}

// closer orders shortages by how little is missing. Nodes where waiting helps come first.
func (s shortage) closer(o shortage) bool {
	if s.verdict.Code != o.verdict.Code {
		return s.verdict.Code < o.verdict.Code
	}
	if s.verdict.Reason != o.verdict.Reason {
		return s.verdict.Reason < o.verdict.Reason
	}
	if a, b := missing(s.verdict), missing(o.verdict); a != b {
		return a < b
	}
	return s.node < o.node
}

func (s shortage) String() string {
	return plain(fmt.Sprintf("closest is node %s: %s", s.node, s.verdict))
}

func missing(v fit.Verdict) uint64 {
	free := uint64(0)
	if v.Capacity > v.Used {
		free = v.Capacity - v.Used
	}
	if v.Requested <= free {
		return 0
	}
	return v.Requested - free
}

// shortages keeps, for each kind of task, the node that came closest while the session tried. What
// is asked afterwards is too late: a gang that did not fit has given its slices back by then.
type shortages struct {
	mu   sync.Mutex
	best map[string]shortage // guarded by mu; by kindOf
}

func newShortages() *shortages { return &shortages{best: map[string]shortage{}} }

func (s *shortages) note(task *api.TaskInfo, node string, v fit.Verdict) {
	n, kind := shortage{node: node, verdict: v}, kindOf(task)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.best[kind]; !ok || n.closer(old) {
		s.best[kind] = n
	}
}

func (s *shortages) of(task *api.TaskInfo) (shortage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best, ok := s.best[kindOf(task)]
	return best, ok
}

// kindOf names tasks that Volcano takes for alike: it tries one of them and copies the result. Tasks
// without a role stand for themselves.
func kindOf(task *api.TaskInfo) string {
	if task.TaskRole == "" {
		return string(task.UID)
	}
	return string(task.Job) + "\x00" + task.TaskRole
}

// explain adds to the reason of each pod that was not placed which node came closest, what is short
// there and by how much.
func (p *plugin) explain(ssn *framework.Session) {
	for _, job := range ssn.Jobs {
		if _, invalid := p.invalid[job.UID]; !invalid {
			p.explainJob(ssn, job)
		}
	}
}

// explainJob tells every pod of a job what is short: all of them what the planner says of the gang, or
// those that fit nowhere their own shortage, and those that were placed and taken back with the gang the
// first of the others'.
func (p *plugin) explainJob(ssn *framework.Session, job *api.JobInfo) {
	if why := p.adapter.planner.Rejection(job.UID); why != "" {
		job.JobFitErrors = plain(why)
		for _, task := range pendingTasks(job) {
			markUnfit(job, task.UID, plain(why))
		}
		return
	}
	var undone, untried []*api.TaskInfo
	first, told := "", map[string]string{}
	for _, task := range sortedPending(job) {
		fe := job.NodesFitErrors[task.UID]
		switch {
		case p.adapter.requests.of(task.Pod).pod == nil:
		case fe != nil && p.adapter.isFinal(task.UID, fe):
			first = cmp.Or(first, fmt.Sprintf("pod %s is refused, %s", task.Name, fe.Error()))
		case fe != nil:
			best, ok := p.shortages.of(task)
			if !ok {
				best, ok = p.searchShortage(ssn, task)
			}
			if ok {
				text := p.adapter.texts.of(kindOf(task), string(best.verdict.Reason), best.String)
				annotateUnfit(fe, text)
				told[kindOf(task)] = text
				first = cmp.Or(first, fmt.Sprintf("pod %s does not fit, %s", task.Name, text))
			}
		case wasUndone(task):
			undone = append(undone, task)
		default:
			untried = append(untried, task)
		}
	}
	if first == "" {
		return
	}
	for _, task := range undone {
		annotateUndone(task, first)
	}
	// Without a reason of its own a pod is told the counts of its job, which change all the time.
	for _, task := range untried {
		if text, known := told[kindOf(task)]; known {
			markUnfit(job, task.UID, "not tried, one like it does not fit: "+text)
		}
	}
}

// searchShortage looks for the closest node of a task that Volcano's own arithmetic kept from every
// predicate: with more cards than a node has tokens, for example. If some node has the devices,
// devices are not what is missing.
func (p *plugin) searchShortage(ssn *framework.Session, task *api.TaskInfo) (shortage, bool) {
	request := p.adapter.requests.of(task.Pod).pod
	var best shortage
	for name := range ssn.Nodes {
		n := shortage{node: name, verdict: p.adapter.ledger.Fits(name, request)}
		if n.verdict.OK() {
			return shortage{}, false
		}
		if p.adapter.feed.Refusal(name) == "" && (best.node == "" || n.closer(best)) {
			best = n
		}
	}
	if best.node == "" {
		return shortage{}, false
	}
	p.shortages.note(task, best.node, best.verdict)
	return best, true
}
