package volcano

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

// reasonInvalidRequest is the reason of a job that is not valid because of its device requests.
const reasonInvalidRequest = "InvalidDeviceRequest"

// plugin is one session's view. Its fields are set before the session's actions run and then only
// read, but for the shortages.
type plugin struct {
	adapter  *Adapter
	settings settings
	// refusal says why no pod that asks for devices is scheduled in this session, or "".
	refusal string
	// jobs are the session's.
	jobs map[api.JobID]*api.JobInfo
	// invalid holds, by job, why it is not valid.
	invalid   map[api.JobID]string
	shortages *shortages
	ranks     *nodeRanks
	// lookAhead makes predicates judge by what evictions leave. It changes between predicates only.
	lookAhead bool
	siblings  *siblings
}

func newPlugin(a *Adapter, args framework.Arguments) *plugin {
	p := &plugin{adapter: a, invalid: map[api.JobID]string{}, shortages: newShortages()}
	s, errs := parseSettings(args)
	p.settings = s
	if len(errs) > 0 {
		// At the start main refuses such a configuration; here it came with a reload.
		p.refusal = plain(fmt.Sprintf("the configuration of plugin %s is refused: %v", PluginName, errs.ToAggregate()))
		a.log.Error(errs.ToAggregate(), "Plugin configuration is refused, no devices are scheduled until it is corrected")
	}
	a.note(s.notes)
	return p
}

// Name implements framework.Plugin.
func (p *plugin) Name() string { return PluginName }

// OnSessionOpen implements framework.Plugin.
func (p *plugin) OnSessionOpen(ssn *framework.Session) {
	a := p.adapter
	off := !p.settings.enabled && p.refusal == ""
	a.switchedOff.Store(off)
	if off {
		return
	}
	if why := a.ready(ssn.InformerFactory()); p.refusal == "" {
		p.refusal = why
	}
	p.ranks = newNodeRanks(ssn)
	p.siblings = newSiblings(a.ledger, ssn.Jobs)
	a.requests.turn(p.defaultPolicies(ssn))
	a.texts.turn()
	p.jobs = ssn.Jobs
	a.final.Clear()
	a.session.Store(p)
	for _, ended := range a.ledger.Expire(a.clock.Now().Unix()) {
		a.log.Info("Reservation ended, its time is over", "pod", klog.KRef(ended.Namespace, ended.Name), "node", ended.Node)
	}
	for _, job := range ssn.Jobs {
		p.remark(job)
		a.binder.places.review(job)
		p.reclaim(job)
		p.judge(job)
	}

	ssn.AddJobValidFn(PluginName, p.jobValid)
	ssn.AddPrePredicateFn(PluginName, p.prePredicate)
	ssn.AddPredicateFn(PluginName, p.predicate)
	ssn.AddNodeOrderFn(PluginName, p.nodeOrder)
	p.registerSimulation(ssn)
	ssn.AddEventHandler(&framework.EventHandler{AllocateFunc: p.allocated, DeallocateFunc: p.deallocated})
}

// OnSessionClose implements framework.Plugin: what was not committed is given back.
func (p *plugin) OnSessionClose(*framework.Session) {
	if p.adapter.session.CompareAndSwap(p, nil) {
		p.adapter.ledger.EndSession()
	}
}

// SetupBindContextExtension implements framework.BindContextHandler. Volcano calls it once for each
// task that it commits, right before the task goes to the bind queue.
func (p *plugin) SetupBindContextExtension(_ *cycleState, bc *cache.BindContext) {
	task := bindTask(bc)
	if p.adapter.session.Load() != p || !p.adapter.requests.of(task.Pod).asks() {
		return
	}
	if _, err := p.adapter.ledger.Assume(podUID(task.Pod)); err != nil {
		// The Binder finds no assumed slice and refuses, which is the only way out from here.
		p.adapter.log.Error(err, "Committed pod has no slice to assume", "pod", podRef(task), "node", task.NodeName)
		return
	}
	job := p.jobs[task.Job]
	p.adapter.binder.places.committed(podUID(task.Pod), job != nil && len(job.Tasks) > 1)
}

// reclaim gives back slices of pods whose commit ended before it reached the Binder: Volcano runs the
// other plugins' PreBind first, and where one fails it only makes the task pending again.
func (p *plugin) reclaim(job *api.JobInfo) {
	for _, task := range pendingTasks(job) {
		uid := podUID(task.Pod)
		if _, state, ok := p.adapter.ledger.Held(uid); ok && state == ledger.Assumed && !p.adapter.binder.undecided(uid) {
			p.adapter.binder.places.over(uid)
			p.adapter.ledger.Release(uid)
			p.adapter.log.Info("Slice released, its pod was not sent to be bound", "pod", podRef(task))
		}
	}
}

// remark keeps victims counted as leaving while Volcano's cache says so: their deletion may take longer
// to come through the watch than a mark lasts.
func (p *plugin) remark(job *api.JobInfo) {
	for _, task := range job.TaskStatusIndex[api.Releasing] {
		p.adapter.ledger.Evicting(podUID(task.Pod))
	}
}

// judge decides whether a job's pending pods may be scheduled, and tells each pod why not. Precondition:
// called from the session's goroutine.
func (p *plugin) judge(job *api.JobInfo) {
	var broken, refused []*api.TaskInfo
	for _, task := range pendingTasks(job) {
		switch r := p.adapter.requests.of(task.Pod); {
		case len(r.errs) > 0:
			broken = append(broken, task)
		case r.asks() && p.refusal != "":
			refused = append(refused, task)
		}
	}
	var message string
	switch {
	case len(broken) > 0:
		message = p.judgeBroken(job, broken)
	case len(refused) > 0:
		message = p.refusal
		for _, task := range refused {
			markUnfit(job, task.UID, message)
		}
	default:
		return
	}
	p.invalid[job.UID] = message
	job.JobFitErrors = message
}

func (p *plugin) judgeBroken(job *api.JobInfo, broken []*api.TaskInfo) string {
	slices.SortFunc(broken, byName)
	for _, task := range broken {
		markUnfit(job, task.UID, "invalid device request: "+p.adapter.requests.of(task.Pod).problem())
	}
	first := broken[0]
	text := []string{fmt.Sprintf("pod %s has an invalid device request: %s", first.Name, p.adapter.requests.of(first.Pod).problem())}
	if len(broken) > 1 {
		text = append(text, fmt.Sprintf("%d more pods of the group have invalid device requests", len(broken)-1))
	}
	return strings.Join(text, "; ")
}

func (p *plugin) jobValid(obj any) *api.ValidateResult {
	job, ok := obj.(*api.JobInfo)
	if !ok {
		return &api.ValidateResult{Message: fmt.Sprintf("object of type %T is no job", obj)}
	}
	if message, bad := p.invalid[job.UID]; bad {
		return &api.ValidateResult{Reason: reasonInvalidRequest, Message: message}
	}
	return nil
}
