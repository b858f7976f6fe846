package planning

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
)

// plan is the plan of one job.
type plan struct {
	job    *api.JobInfo
	mirror *mirror // on which it was planned
	roles  []role
	result gang.Result
	places map[api.TaskID]gang.Member
	// accepted are the nodes that the predicates accepted for a role.
	accepted map[gang.Ban]bool
	// refused says why the predicates refused a role on a node.
	refused map[gang.Ban]string
	// err says why the job finds no place.
	err error
}

func newPlan(job *api.JobInfo, m *mirror) *plan {
	return &plan{job: job, mirror: m, accepted: map[gang.Ban]bool{}, refused: map[gang.Ban]string{}}
}

// Steer plans the job of a task, if it is not planned yet, and nominates the task to its planned node.
// The error says why the job finds no place. The pod of the task must be the session's own.
func (p *Planner) Steer(task *api.TaskInfo) error {
	if p.open == nil {
		return nil
	}
	job := p.open.ssn.Jobs[task.Job]
	if job == nil {
		return nil
	}
	at, planned := p.open.plans[job.UID]
	if !planned {
		at = p.plan(job)
		p.open.plans[job.UID] = at
	}
	if at.err != nil {
		return at.err
	}
	return p.nominate(at, task)
}

// plan plans a job. A job that is not the planner's business gets an empty plan.
func (p *Planner) plan(job *api.JobInfo) *plan {
	at := newPlan(job, p.now)
	if !p.plannable(job) {
		return at
	}
	g, roles, err := p.gang(job, p.now)
	if err != nil {
		at.err = err
		return at
	}
	at.roles = roles
	p.adopt(at, gang.Plan(p.now.current(), g))
	return at
}

// adopt makes a result the plan of its job.
func (p *Planner) adopt(at *plan, r gang.Result) {
	at.result = r
	at.places = make(map[api.TaskID]gang.Member, len(r.Members))
	for _, m := range r.Members {
		at.places[api.TaskID(m.UID)] = m
	}
	if r.Reject != nil {
		at.err = p.reject(at)
	}
}

// reject returns what a job without a place is told. What has a place once all that is leaving has left
// is planned there: else smaller jobs would take it, again and again.
func (p *Planner) reject(at *plan) error {
	r := at.result.Reject
	kind := fmt.Sprint(r.Code, r.Role, r.Needed)
	text := p.options.Steady(string(at.job.UID), kind, func() string {
		return gang.Explain(at.mirror.pool, at.result, p.why(at)).String()
	})
	if r.Code == fit.NotNow && at.mirror == p.now {
		if later, found := p.planLater(at.job); found {
			return p.await(at, later, text)
		}
	}
	return errors.New(text)
}

// why says why a node is closed to a role.
func (p *Planner) why(at *plan) gang.Why {
	return func(role, node int) string {
		if reason := at.refused[gang.Ban{Role: role, Node: node}]; reason != "" {
			return reason
		}
		pod, name := at.roles[role].sample, at.mirror.pool.Name(node)
		if refusal := p.options.Refusal(name); refusal != "" && p.options.Request(pod) != nil {
			return refusal
		}
		return p.candidates.why(pod, name)
	}
}

// planLater plans a job on what will be free.
func (p *Planner) planLater(job *api.JobInfo) (*plan, bool) {
	if !p.open.futureKnown {
		p.future.refresh(p.open.ssn.Nodes)
		p.open.futureKnown = true
	}
	later := newPlan(job, p.future)
	g, roles, err := p.gang(job, p.future)
	if err != nil {
		return nil, false
	}
	later.roles = roles
	r := gang.Plan(p.future.current(), g)
	if r.Reject != nil || r.Skip != "" {
		return nil, false
	}
	p.adopt(later, r)
	return later, true
}

// await makes a job wait where it is planned: by the plan, whose tasks Volcano pipelines, or, where
// Volcano would not, by reservations for this action.
func (p *Planner) await(at, later *plan, text string) error {
	required := later.result.Members[:later.result.Required]
	if !slices.ContainsFunc(required, func(m gang.Member) bool { return p.allocates(later, m) }) {
		*at = *later
		return nil
	}
	for _, m := range required {
		task := at.job.Tasks[api.TaskID(m.UID)]
		if p.options.Request(task.Pod) != nil {
			node := p.future.pool.Name(m.Node)
			p.options.Reserve(task, node, p.future.cards(m))
			p.open.reserved = append(p.open.reserved, task)
			p.Touch(node)
		}
	}
	return errors.New("waits for what is being released: " + text)
}

// allocates reports whether Volcano would allocate a task although its cards are not free yet: its
// choice between Allocate and Pipeline goes by scalars.
func (p *Planner) allocates(later *plan, m gang.Member) bool {
	task := later.job.Tasks[api.TaskID(m.UID)]
	name := p.future.pool.Name(m.Node)
	node := p.open.ssn.Nodes[name]
	i, known := p.now.current().Index(name)
	if node == nil || !known {
		return true
	}
	return task.InitResreq.LessEqual(node.Idle, api.Zero) && !p.now.pool.Fits(i, p.now.shape(task)).OK()
}

// nominate sends a task to its planned node, after the session's predicates accepted it. What they
// refuse is planned anew, a few times; then the task is left to the scores.
func (p *Planner) nominate(at *plan, task *api.TaskInfo) error {
	for {
		place, planned := at.places[task.UID]
		if !planned {
			return nil
		}
		ban := gang.Ban{Role: place.Role, Node: place.Node}
		switch {
		case p.taken(at, place) && at.result.Repairs >= gang.MaxRepairs:
			delete(at.places, task.UID)
		case p.taken(at, place):
			p.repair(at)
		case p.accepts(at, task, ban):
			task.Pod.Status.NominatedNodeName = at.mirror.pool.Name(place.Node)
			return nil
		default:
			p.repair(at, ban)
		}
		if at.err != nil {
			return at.err
		}
	}
}

// taken reports whether somebody else took a planned place meanwhile.
func (p *Planner) taken(at *plan, place gang.Member) bool {
	return !at.mirror.current().Fits(place.Node, at.roles[place.Role].shape).OK()
}

// accepts asks the session's predicates about a planned node: once for each role and node, unless what
// one task takes there changes the answer for the next.
func (p *Planner) accepts(at *plan, task *api.TaskInfo, where gang.Ban) bool {
	if at.accepted[where] {
		return true
	}
	node := p.open.ssn.Nodes[at.mirror.pool.Name(where.Node)]
	if node == nil {
		return false
	}
	free := node.Idle
	if at.mirror == p.future {
		free = node.FutureIdle()
	}
	if !task.InitResreq.LessEqual(free, api.Zero) {
		return false
	}
	if err := p.open.ssn.PredicateForAllocateAction(task, node); err != nil {
		klog.V(4).InfoS("Planned node is refused", "pod", klog.KRef(task.Namespace, task.Name), "node", node.Name, "why", err)
		at.refused[where] = reasonOf(err)
		return false
	}
	at.accepted[where] = !at.roles[where.Role].single
	return true
}

func reasonOf(err error) string {
	var fit *api.FitError
	if errors.As(err, &fit) {
		return strings.Join(fit.Reasons(), ", ")
	}
	return err.Error()
}

// repair plans what is not placed yet around the nodes that refused it.
func (p *Planner) repair(at *plan, bans ...gang.Ban) {
	placed := func(uid string) bool {
		task := at.job.Tasks[api.TaskID(uid)]
		return task == nil || task.Status != api.Pending
	}
	p.adopt(at, at.result.Repair(at.mirror.current(), placed, bans...))
}
