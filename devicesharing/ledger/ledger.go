package ledger

import (
	"errors"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// ErrNotHeld says that a pod has no cards that could be assumed.
var ErrNotHeld = errors.New("pod holds no devices")

// State is how far a pod has come.
type State string

// The states of a pod, in order.
const (
	// Held: taken by a running session; ends with it unless assumed.
	Held State = "held"
	// Assumed: handed to the binder, not yet confirmed by the API server.
	Assumed State = "assumed"
	// Bound: seen in the API with its node and allocation.
	Bound State = "bound"
	// Releasing: being deleted; keeps its cards until its containers are gone.
	Releasing State = "releasing"
)

// PodState is what the API server says of a bound pod.
type PodState struct {
	UID, Namespace, Name string
	Node                 string
	Allocation           wire.Allocation
	Request              *request.Pod
	Releasing            bool
}

// HoldOptions refine a hold.
type HoldOptions struct {
	Policy string
	// Future holds against what remains after evictions and releases.
	Future          bool
	Namespace, Name string
}

// Ledger is the state of all nodes and pods.
type Ledger struct{}

// New returns an empty ledger.
func New() *Ledger { return &Ledger{} }

// SetNode registers a node or changes its cards.
func (l *Ledger) SetNode(n device.Node) {}

// RemoveNode forgets the cards of a node.
func (l *Ledger) RemoveNode(name string) {}

// Observe records what the API server says of a bound pod.
func (l *Ledger) Observe(p PodState) {}

// Forget drops a pod in any state.
func (l *Ledger) Forget(uid string) {}

// Fits reports whether the request fits now.
func (l *Ledger) Fits(node string, r *request.Pod) fit.Verdict { return fit.Verdict{} }

// FitsFuture reports whether the request fits after evictions and releases.
func (l *Ledger) FitsFuture(node string, r *request.Pod) fit.Verdict { return fit.Verdict{} }

// Score returns how much the policy likes the node for the request, 0 to 100.
func (l *Ledger) Score(node string, r *request.Pod, policy string) int64 { return 0 }

// Hold takes cards for a pod.
func (l *Ledger) Hold(uid, node string, r *request.Pod, o HoldOptions) (wire.Allocation, fit.Verdict) {
	return wire.Allocation{}, fit.Verdict{}
}

// Held returns what a pod has.
func (l *Ledger) Held(uid string) (wire.Allocation, State, bool) {
	return wire.Allocation{}, "", false
}

// Release drops what a pod holds, unless it is bound.
func (l *Ledger) Release(uid string) {}

// Assume promotes a hold.
func (l *Ledger) Assume(uid string) (wire.Allocation, error) { return wire.Allocation{}, nil }

// Evicting moves a victim's capacity to the future book.
func (l *Ledger) Evicting(uid string) {}

// Restore undoes Evicting.
func (l *Ledger) Restore(uid string) {}

// EndSession drops holds that were never promoted.
func (l *Ledger) EndSession() {}

// Snapshot returns the whole state, sorted.
func (l *Ledger) Snapshot() Snapshot { return Snapshot{} }
