package planning

import (
	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Mode says which jobs are planned.
type Mode string

// The modes.
const (
	// Auto plans jobs whose constraints the planner knows, or can have refused by predicates.
	Auto Mode = "auto"
	// Always plans jobs with soft constraints too, which then do not count, and jobs that ask for no
	// devices, so that they leave to the others the nodes that these can use.
	Always Mode = "always"
	// Off plans nothing: every task goes by predicates and scores.
	Off Mode = "off"
)

// Modes returns every mode, in a fixed order.
func Modes() []Mode { return []Mode{Auto, Always, Off} }

// Cards tells what is on the cards of a node, see ledger.View.
type Cards interface {
	View(node string, since uint64, dst *fit.Node) (generation uint64, changed bool)
}

// Options are what a planner needs. None may be nil.
type Options struct {
	Cards Cards
	// Request returns what a pod asks of shared cards, nil if nothing or nothing that can be read.
	Request func(*v1.Pod) *request.Pod
	// Refusal returns why no slices are handed out on a node, or "".
	Refusal func(node string) string
	// Reserve keeps the cards of a planned place that become free later, until Unreserve.
	Reserve   func(task *api.TaskInfo, node string, cards []fit.Chosen)
	Unreserve func(task *api.TaskInfo)
	// Steady returns what was told about a job not long ago, or makes the text where the kind differs.
	Steady func(job, kind string, text func() string) string
}

// Planner plans for one process.
type Planner struct {
	options    Options
	mode       Mode
	now        *mirror
	future     *mirror
	candidates candidates
	mix        mix
	open       *session
}

// New returns a planner that knows no cluster yet.
func New(o Options) *Planner {
	return &Planner{options: o, mix: mix{}}
}

// session is the planning of one run of the allocate action.
type session struct {
	ssn   *framework.Session
	plans map[api.JobID]*plan
	tiers map[*packing.Pool][]gang.Tier
	// reserved are the tasks that wait in places of their own.
	reserved []*api.TaskInfo
	// futureKnown says that the copy for the future is up to date in this session.
	futureKnown bool
}

// Begin starts the planning of an action: the copy of the cluster is brought up to date.
func (p *Planner) Begin(ssn *framework.Session, mode Mode) {
	p.open = nil
	if mode == Off {
		return
	}
	p.prepare()
	p.now.refresh(ssn.Nodes)
	p.candidates.refresh(ssn.Nodes)
	p.mix.observe(p.now, ssn.Jobs)
	p.mode = mode
	p.open = &session{ssn: ssn, plans: map[api.JobID]*plan{}, tiers: map[*packing.Pool][]gang.Tier{}}
}

// maxShapes bounds the shapes that a copy of the cluster remembers: each distinct request is one, and
// they are not forgotten one by one.
const maxShapes = 4096

// prepare makes the copies of the cluster, anew where they cannot go on.
func (p *Planner) prepare() {
	if p.now != nil && p.now.pool.Shapes() <= maxShapes {
		return
	}
	p.now = newMirror(p.options, fit.Now)
	p.future = newMirror(p.options, fit.Future)
	p.mix = mix{}
}

// End ends the planning: plans are not used any more. What waits in reserved places is left to the
// actions that follow, which may evict for it.
func (p *Planner) End() {
	if p.open == nil {
		return
	}
	for _, task := range p.open.reserved {
		p.options.Unreserve(task)
	}
	p.open = nil
}

// Touch says that what is free on a node has changed since Begin.
func (p *Planner) Touch(node string) {
	if p.open == nil {
		return
	}
	p.now.touch(node)
	if p.open.futureKnown {
		p.future.touch(node)
	}
}

// Rejection returns why a job finds no place for all that it needs, or "".
func (p *Planner) Rejection(job api.JobID) string {
	if p.open == nil || p.open.plans[job] == nil || p.open.plans[job].err == nil {
		return ""
	}
	return p.open.plans[job].err.Error()
}

// Cards returns the planned cards of a task, if it was planned to that node.
func (p *Planner) Cards(task *api.TaskInfo, node string) []fit.Chosen {
	if p.open == nil || p.open.plans[task.Job] == nil {
		return nil
	}
	of := p.open.plans[task.Job]
	at, planned := of.places[task.UID]
	if !planned || of.mirror.pool.Name(at.Node) != node {
		return nil
	}
	return of.mirror.cards(at)
}
