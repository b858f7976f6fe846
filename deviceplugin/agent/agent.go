package agent

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/basalt-gpu/basalt/deviceplugin/cdi"
	"github.com/basalt-gpu/basalt/deviceplugin/kubelet"
	"github.com/basalt-gpu/basalt/deviceplugin/node"
	frozen "github.com/basalt-gpu/basalt/deviceplugin/record"
	"github.com/basalt-gpu/basalt/deviceplugin/slicefiles"
	"github.com/basalt-gpu/basalt/deviceplugin/token"
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Backend is what a vendor brings.
type Backend interface {
	// Cards returns the cards of the node as they may be sold.
	Cards() []device.Card
	// PhysicalMemory returns what a card has before any scaling.
	PhysicalMemory(uuid string) device.MiB
	// Edits returns what a container needs to use the cards.
	Edits(uuids []string) (specs.ContainerEdits, error)
}

// HealthWatcher is a backend that can tell when a card goes bad and comes back.
type HealthWatcher interface {
	WatchHealth(ctx context.Context, report func(uuid string, healthy bool, reason string))
}

// Holders tells which containers hold tokens.
type Holders interface {
	Holders() ([]kubelet.Holder, error)
}

// Witness is asked for a second opinion on a holder.
type Witness interface {
	Ask(ctx context.Context, namespace, name string, h kubelet.Holder) kubelet.Witness
}

// Pods finds the pods of this node.
type Pods interface {
	Get(ctx context.Context, uid string) (*v1.Pod, error)
	Cached(uid string) (*v1.Pod, bool)
	List(ctx context.Context) (map[string]*v1.Pod, error)
	Synced() bool
}

// Options are the parts that an agent works with.
type Options struct {
	NodeName   string
	KubeletDir string
	// SchedulerName is named to users whose pod came without an allocation.
	SchedulerName string
	Request       request.Options
	// ContextMemory is what one context costs on these cards. The limiter corrects it by the driver's
	// own number; it is what a first context is charged before the driver is asked.
	ContextMemory device.MiB
	// Library and Preload are the limiter's files on the host.
	Library string
	Preload string

	Backend   Backend
	Holders   Holders
	Witness   Witness
	Pods      Pods
	Records   *frozen.Store
	Specs     *cdi.Store
	Files     *slicefiles.Dir
	Registrar *node.Registrar
	Events    record.EventRecorder
	Metrics   *Metrics
	Clock     clock.Clock
}

// Agent serves the containers of one node.
type Agent struct {
	Options
	tokens *token.Inventory
	turns  turns

	mu       sync.Mutex // guards what follows
	health   map[string]string
	told     map[string]string    // last event by pod UID
	absentAt map[string]time.Time // since when a pod is gone from the API
}

// New returns an agent whose cards are all healthy.
func New(o Options) *Agent {
	a := &Agent{
		Options:  o,
		turns:    turns{taken: map[string]chan struct{}{}},
		health:   map[string]string{},
		told:     map[string]string{},
		absentAt: map[string]time.Time{},
	}
	a.tokens = token.New(o.Clock, a.heldTokens)
	a.publish()
	return a
}

// Tokens is what the endpoints advertise.
func (a *Agent) Tokens() *token.Inventory { return a.tokens }

// Run follows health and removes what is left behind until ctx ends.
func (a *Agent) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if w, ok := a.Backend.(HealthWatcher); ok {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w.WatchHealth(ctx, func(uuid string, healthy bool, reason string) {
				a.cardChanged(ctx, uuid, healthy, reason)
			})
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		a.cleanUpEvery(ctx)
	}()
	wg.Wait()
}

// Allocate answers with a name that was never used. It refuses nothing: an error here fails the pod
// for good, and who asks is known only once the kubelet has written its checkpoint.
func (a *Agent) Allocate(resource string, ids []string) string {
	a.tokens.Given(resource, ids)
	a.Metrics.allocations.Inc()
	return cdi.Qualified(cdi.NewName())
}

func (a *Agent) heldTokens(resource string) (map[string]bool, error) {
	holders, err := a.Holders.Holders()
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for _, h := range holders {
		if h.Resource != resource {
			continue
		}
		for _, id := range h.IDs {
			held[id] = true
		}
	}
	return held, nil
}

// cards returns the cards with their health.
func (a *Agent) cards() []device.Card {
	cards := a.Backend.Cards()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range cards {
		cards[i].Healthy = a.health[cards[i].UUID] == ""
	}
	return cards
}

func (a *Agent) capacity() map[string]device.Amount {
	out := map[string]device.Amount{}
	for _, c := range a.Backend.Cards() {
		out[c.UUID] = device.Amount{Memory: c.Memory, Cores: c.Cores, Slots: c.Slots}
	}
	return out
}

// onNode says whether the kubelet still keeps the pod: its directory goes after its containers.
func (a *Agent) onNode(uid string) bool {
	_, err := os.Stat(filepath.Join(a.KubeletDir, "pods", uid))
	return err == nil
}

// live says whether the pod may still have containers. In doubt it has.
func (a *Agent) live(uid string) bool {
	if pod, ok := a.Pods.Cached(uid); ok {
		return !ended(pod)
	}
	return !a.Pods.Synced() || a.onNode(uid)
}
