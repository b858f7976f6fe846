// Package node writes this node's object: the annotations that register its cards, and the removal of
// resources that a former device plugin left in its status. It writes by patch and only what differs.
// It knows no pods. It locks only itself.
package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

const (
	// resync repairs what others changed on the node's object.
	resync = 30 * time.Second
	// retry is how soon a failed write is tried again.
	retry = time.Second
	// callTimeout bounds one call of the API server.
	callTimeout = 10 * time.Second
)

// Registrar keeps the node's object as it has to be.
type Registrar struct {
	client kubernetes.Interface
	name   string
	// stale are the resources that nobody may advertise here.
	stale []v1.ResourceName
	wake  chan struct{}
	ready atomic.Bool

	mu    sync.Mutex // guards cards
	cards []device.Card
}

// NewRegistrar returns a registrar for the named node. Zero quantities of the stale resources are
// removed from the node's status: the kubelet rejects pods that ask for a resource of which the node
// has none, though nothing here counts it.
func NewRegistrar(client kubernetes.Interface, name string, stale []string) *Registrar {
	r := &Registrar{client: client, name: name, wake: make(chan struct{}, 1)}
	for _, s := range stale {
		r.stale = append(r.stale, v1.ResourceName(s))
	}
	return r
}

// SetCards changes what is registered.
func (r *Registrar) SetCards(cards []device.Card) {
	r.mu.Lock()
	r.cards = append([]device.Card(nil), cards...)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Ready says whether the node's object was right at least once since the start.
func (r *Registrar) Ready() bool { return r.ready.Load() }

// Run reconciles until ctx ends.
func (r *Registrar) Run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for ctx.Err() == nil {
		pause := resync
		if err := r.Reconcile(ctx); err != nil {
			logger.Error(err, "Cannot register the node's cards, trying again")
			pause = retry
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// Reconcile compares the node's object with what it has to be and patches what differs.
func (r *Registrar) Reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	want, err := r.annotations()
	if err != nil {
		return err
	}
	node, err := r.client.CoreV1().Nodes().Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get node %s: %w", r.name, err)
	}
	// The status first: once the annotations are there, pods come.
	if err := r.removeStale(ctx, node); err != nil {
		return err
	}
	if err := r.annotate(ctx, node, want); err != nil {
		return err
	}
	r.ready.Store(true)
	return nil
}

func (r *Registrar) annotations() (map[string]string, error) {
	r.mu.Lock()
	cards := r.cards
	r.mu.Unlock()
	hami, err := wire.EncodeNodeHAMi(cards)
	if err != nil {
		return nil, fmt.Errorf("encode cards of node %s: %w", r.name, err)
	}
	volcano, err := wire.EncodeNodeVolcano(cards)
	if err != nil {
		return nil, fmt.Errorf("encode cards of node %s: %w", r.name, err)
	}
	return map[string]string{
		wire.HAMiNodeRegisterKey:    hami,
		wire.VolcanoNodeRegisterKey: volcano,
		wire.AgentKey:               wire.AgentVersion,
	}, nil
}

func (r *Registrar) annotate(ctx context.Context, node *v1.Node, want map[string]string) error {
	changed := map[string]string{}
	for k, v := range want {
		if have, ok := node.Annotations[k]; !ok || have != v {
			changed[k] = v
		}
	}
	if len(changed) == 0 {
		return nil
	}
	patch := map[string]any{"metadata": map[string]any{"annotations": changed}}
	if err := r.patch(ctx, patch); err != nil {
		return fmt.Errorf("annotate node %s: %w", r.name, err)
	}
	klog.FromContext(ctx).V(2).Info("Registered the node's cards", "annotations", len(changed))
	return nil
}

func (r *Registrar) removeStale(ctx context.Context, node *v1.Node) error {
	capacity, allocatable := r.staleIn(node.Status.Capacity), r.staleIn(node.Status.Allocatable)
	if len(capacity) == 0 && len(allocatable) == 0 {
		return nil
	}
	patch := map[string]any{"status": map[string]any{"capacity": capacity, "allocatable": allocatable}}
	if err := r.patch(ctx, patch, "status"); err != nil {
		return fmt.Errorf("remove stale resources of node %s: %w", r.name, err)
	}
	klog.FromContext(ctx).Info("Removed stale resources of a former device plugin", "capacity", len(capacity), "allocatable", len(allocatable))
	return nil
}

// staleIn returns a merge patch that removes the zero quantities. One above zero belongs to a plugin
// that runs now; removing it would only make the two write in turns.
func (r *Registrar) staleIn(list v1.ResourceList) map[string]any {
	out := map[string]any{}
	for _, name := range r.stale {
		if q, ok := list[name]; ok && q.IsZero() {
			out[string(name)] = nil
		}
	}
	return out
}

func (r *Registrar) patch(ctx context.Context, patch map[string]any, subresources ...string) error {
	data, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = r.client.CoreV1().Nodes().Patch(ctx, r.name, types.MergePatchType, data, metav1.PatchOptions{}, subresources...)
	return err
}
