package volcano

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/internal/feed"
	"github.com/basalt-gpu/basalt/plugins/volcano/actions"
	"github.com/basalt-gpu/basalt/plugins/volcano/planning"
)

// PluginName is the name under which configurations list the plugin; it is the in-tree one's.
const PluginName = "deviceshare"

// syncTimeout bounds how long a session waits for the ledger's first fill. Sessions without a filled
// ledger schedule no devices.
const syncTimeout = 30 * time.Second

// Options are what an Adapter needs besides its ledger.
type Options struct {
	// Requests says which resource names ask for devices, and the defaults of a request.
	Requests request.Options
	// Client sends Bindings. Its requests should carry a time limit, so that the API server gives up
	// on a Binding not later than the Binder does. Nil: the client that Volcano passes to its Binder.
	Client kubernetes.Interface
	// BindTimeout bounds one Binding; BindWorkers how many are sent at once.
	BindTimeout time.Duration
	BindWorkers int
	// Recorder receives events about nodes. Nil drops them.
	Recorder record.EventRecorder
	// Metrics, when set, receives the adapter's metrics.
	Metrics prometheus.Registerer
	// Clock is the time by which messages are kept steady. Nil: the real one.
	Clock clock.PassiveClock
}

// Adapter is what outlives Volcano's sessions: the ledger and its feed, the Binder, and the table of
// parsed requests. A process has one.
type Adapter struct {
	ledger   *ledger.Ledger
	feed     *feed.Feed
	binder   *Binder
	requests *requestTable
	texts    *steadyTexts
	planner  *planning.Planner
	clock    clock.PassiveClock
	log      klog.Logger
	ctx      context.Context // ends with the process; sessions bring none of their own

	attachMu sync.Mutex
	attached informers.SharedInformerFactory // guarded by attachMu

	// noted keeps the arguments without effect that were logged already.
	noted sync.Map
	// session is the plugin of the open session, nil between sessions.
	session atomic.Pointer[plugin]
	// final keeps the reasons of tasks that need no node to explain them, by task UID, for a session.
	final sync.Map
	// recorder receives events about nodes and queues; nil drops them.
	recorder record.EventRecorder
	// switchedOff is set while the configuration turns device sharing off.
	switchedOff atomic.Bool
}

// New makes an adapter. Its goroutines end with ctx; Wait waits for them.
func New(ctx context.Context, l *ledger.Ledger, o Options) (*Adapter, error) {
	if errs := o.Requests.Validate(); len(errs) > 0 {
		return nil, fmt.Errorf("request options: %w", errs.ToAggregate())
	}
	if err := checkIgnored(o.Requests); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	a := &Adapter{
		ledger:   l,
		feed:     feed.New(ctx, l, feed.Options{Requests: o.Requests, Recorder: o.Recorder, Metrics: o.Metrics}),
		requests: newRequestTable(o.Requests),
		texts:    newSteadyTexts(o.Clock),
		clock:    o.Clock,
		recorder: o.Recorder,
		log:      klog.FromContext(ctx).WithName(PluginName),
		ctx:      ctx,
	}
	a.binder = newBinder(ctx, l, o, a.asks)
	a.planner = planning.New(planning.Options{
		Cards:     l,
		Request:   func(pod *v1.Pod) *request.Pod { return a.requests.of(pod).pod },
		Refusal:   a.feed.Refusal,
		Reserve:   a.reserve,
		Unreserve: func(task *api.TaskInfo) { a.ledger.Release(podUID(task.Pod)) },
		Steady:    a.texts.of,
	})
	registerHeldPods(o.Metrics, l)
	return a, nil
}

// Register puts the adapter in the place of Volcano's own parts. Call it after the in-tree actions
// and plugins registered themselves (their init functions), and before Volcano's cache is made.
func (a *Adapter) Register() {
	ignoreResources(quota.IgnoredNames(a.requests.options))
	framework.RegisterPluginBuilder(PluginName, a.Build)
	for _, action := range a.actions() {
		framework.RegisterAction(action)
	}
	cache.RegisterBindMethod(a.binder)
}

// actions are those that stand in for Volcano's.
func (a *Adapter) actions() []framework.Action {
	hooks := actions.Hooks{
		Asks:    a.plans,
		Begin:   a.beginAllocate,
		End:     a.endAllocate,
		Devices: devices{a},
	}
	return []framework.Action{actions.NewAllocate(hooks), actions.NewPreempt(hooks), actions.NewReclaim(hooks)}
}

// Build makes the plugin of one session.
func (a *Adapter) Build(args framework.Arguments) framework.Plugin { return newPlugin(a, args) }

// Ledger is the adapter's ledger.
func (a *Adapter) Ledger() *ledger.Ledger { return a.ledger }

// Binder sends the Bindings of what sessions commit.
func (a *Adapter) Binder() *Binder { return a.binder }

// Requests says which resource names ask for devices, and the defaults of a request.
func (a *Adapter) Requests() request.Options { return a.requests.options }

// Fed reports whether every object of the first lists has reached the ledger. Before the first session
// it is false.
func (a *Adapter) Fed() bool { return a.feed.HasSynced() }

// Wait blocks until the goroutines that the adapter started have ended. Their context has to end
// first.
func (a *Adapter) Wait() { a.binder.wait() }

// asks says whether the Binder must see cards with a pod. Where device sharing is switched off, the
// same resource names belong to other device plugins.
func (a *Adapter) asks(pod *v1.Pod) bool {
	return !a.switchedOff.Load() && request.Asks(pod, a.requests.options)
}

// ready attaches the feed to the session's informers once and waits for the ledger's first fill. It
// returns why devices cannot be scheduled yet, or "".
func (a *Adapter) ready(factory informers.SharedInformerFactory) string {
	a.attachMu.Lock()
	defer a.attachMu.Unlock()
	if a.attached == nil {
		if err := a.feed.Attach(factory); err != nil {
			a.log.Error(err, "Ledger cannot be fed, no devices are scheduled")
			return fmt.Sprintf("the ledger of devices cannot be fed: %v", err)
		}
		a.attached = factory
	}
	if a.feed.HasSynced() {
		return ""
	}
	ctx, cancel := context.WithTimeout(a.ctx, syncTimeout)
	defer cancel()
	if !a.feed.WaitForSync(ctx) {
		return "the ledger of devices is not filled yet"
	}
	a.log.Info("Ledger filled from nodes and bound pods")
	return ""
}

// note logs each argument without effect once per process.
func (a *Adapter) note(notes []string) {
	for _, n := range notes {
		if _, known := a.noted.LoadOrStore(n, true); !known {
			a.log.Info("Plugin argument has no effect", "argument", n)
		}
	}
}

// complain logs a setting that is refused, once per process and text.
func (a *Adapter) complain(message, where string, err error) {
	if _, known := a.noted.LoadOrStore(where+": "+err.Error(), true); !known {
		a.log.Error(err, message, "object", where)
	}
}

// plans says whether a pod may be planned.
func (a *Adapter) plans(pod *v1.Pod) bool {
	p := a.session.Load()
	return p != nil && p.settings.gangPlan == planning.Always || request.Asks(pod, a.requests.options)
}

// beginAllocate starts the planning of gangs.
func (a *Adapter) beginAllocate(ssn *framework.Session) {
	if p := a.session.Load(); p != nil && p.refusal == "" {
		a.planner.Begin(ssn, p.settings.gangPlan)
	}
}

// endAllocate completes the reasons of tasks that the action could not place, and drops the plans.
func (a *Adapter) endAllocate(ssn *framework.Session) {
	if p := a.session.Load(); p != nil {
		p.explain(ssn)
	}
	a.planner.End()
}

// reserve holds what a planned task waits for until the session ends.
func (a *Adapter) reserve(task *api.TaskInfo, node string, cards []fit.Chosen) {
	r := a.requests.of(task.Pod).pod
	_, verdict := a.ledger.Hold(podUID(task.Pod), node, r, ledger.HoldOptions{
		Cards: cards, Future: true, Namespace: task.Namespace, Name: task.Name,
	})
	if !verdict.OK() {
		a.log.V(4).Info("Planned place was taken", "pod", podRef(task), "node", node, "why", verdict.String())
	}
}

// checkIgnored refuses names that would take a counted resource out of Volcano's arithmetic: in one
// place Volcano looks for ignored names by substring.
func checkIgnored(o request.Options) error {
	for _, ignored := range quota.IgnoredNames(o) {
		for _, counted := range o.CountNames() {
			if strings.Contains(string(counted), ignored) {
				return fmt.Errorf("resource name %q is part of the counted name %q: Volcano would ignore both", ignored, counted)
			}
		}
	}
	return nil
}
