package agent

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/deviceplugin/pods"
	frozen "github.com/basalt-gpu/basalt/deviceplugin/record"
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

const (
	// podTimeout bounds the wait for an API server that does not answer.
	podTimeout = 10 * time.Second
	// roomTimeout bounds the wait for pods that are gone for the scheduler, but whose end the kubelet or
	// the informer has not shown here yet.
	roomTimeout = 8 * time.Second
)

// pinned returns the pod's frozen record, and makes it from the pod's annotation on first use.
// Precondition: the caller has the pod's turn.
func (a *Agent) pinned(ctx context.Context, uid string) (frozen.Record, error) {
	if rec, ok := a.Records.Get(uid); ok {
		return rec, nil
	}
	podCtx, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	pod, err := a.Pods.Get(podCtx, uid)
	if errors.Is(err, pods.ErrNotFound) {
		return frozen.Record{}, errGone
	}
	if err != nil {
		return frozen.Record{}, fmt.Errorf("look up pod %s: %w", uid, err)
	}
	if ended(pod) {
		return frozen.Record{}, errGone
	}
	rec, err := a.freeze(pod)
	if err == nil {
		rec, err = a.pinWhenRoom(ctx, rec)
	}
	if err != nil {
		a.refused(pod, err)
		return frozen.Record{}, err
	}
	return rec, nil
}

func (a *Agent) pinWhenRoom(ctx context.Context, rec frozen.Record) (frozen.Record, error) {
	deadline := a.Clock.Now().Add(roomTimeout)
	for {
		pinned, err := a.Records.Pin(rec, a.capacity(), a.live)
		if !errors.Is(err, frozen.ErrDoesNotFit) || a.Clock.Now().After(deadline) {
			return pinned, err
		}
		select {
		case <-ctx.Done():
			return frozen.Record{}, err
		case <-a.Clock.After(pollInterval):
		}
	}
}

// freeze checks the allocation of a pod against what the pod asks, which nobody can change after its
// creation, and returns the record to pin.
func (a *Agent) freeze(pod *v1.Pod) (frozen.Record, error) {
	who := fmt.Sprintf("pod %s/%s", pod.Namespace, pod.Name)
	asked, errs := request.Parse(pod, a.Request)
	if len(errs) > 0 {
		return frozen.Record{}, fmt.Errorf("%s asks for devices in a way that cannot be served: %w", who, errs.ToAggregate())
	}
	alloc, source, found, err := wire.DecodePod(pod)
	switch {
	case err != nil:
		return frozen.Record{}, fmt.Errorf("%s: read allocation: %w", who, err)
	case !found:
		return frozen.Record{}, fmt.Errorf("%s has no allocation (annotation %s): it was bound by scheduler %q; pods that ask for shared devices have to be scheduled by Basalt: %s",
			who, wire.AllocationKey, pod.Spec.SchedulerName, a.wayOut(pod))
	case alloc.Node != a.NodeName:
		return frozen.Record{}, fmt.Errorf("%s: allocation is for node %q, this is node %q", who, alloc.Node, a.NodeName)
	case asked == nil:
		return frozen.Record{}, fmt.Errorf("%s has an allocation, but asks for no devices", who)
	}
	if errs := alloc.Validate(); len(errs) > 0 {
		return frozen.Record{}, fmt.Errorf("%s: allocation: %w", who, errs.ToAggregate())
	}
	if err := agrees(alloc, asked, a.Backend.Cards()); err != nil {
		return frozen.Record{}, fmt.Errorf("%s: allocation does not agree with its resources: %w", who, err)
	}
	return frozen.Record{
		Version:    frozen.Version,
		PodUID:     string(pod.UID),
		Namespace:  pod.Namespace,
		Name:       pod.Name,
		Source:     source,
		Allocation: alloc,
		Peak:       frozen.Peaks(alloc, asked),
	}, nil
}

// wayOut says what the owner of a pod without an allocation can do.
func (a *Agent) wayOut(pod *v1.Pod) string {
	if pod.Spec.SchedulerName == a.SchedulerName {
		return "have the administrator check that this scheduler is basalt-scheduler with the plugin deviceshare on"
	}
	return fmt.Sprintf("set spec.schedulerName to %q and create the pod again", a.SchedulerName)
}

// agrees compares every container's slices with what it asks.
func agrees(alloc wire.Allocation, asked *request.Pod, cards []device.Card) error {
	byUUID := map[string]device.Card{}
	for _, c := range cards {
		byUUID[c.UUID] = c
	}
	var errs []error
	known := map[string]bool{}
	for i := range asked.Containers {
		c := &asked.Containers[i]
		known[c.Name] = true
		slices := alloc.Containers[c.Name]
		if len(slices) != c.Count {
			errs = append(errs, fmt.Errorf("container %s asks for %d cards and was allocated %d", c.Name, c.Count, len(slices)))
			continue
		}
		for _, s := range slices {
			errs = append(errs, agreesOn(c, s, byUUID))
		}
	}
	names := make([]string, 0, len(alloc.Containers))
	for name := range alloc.Containers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !known[name] && len(alloc.Containers[name]) > 0 {
			errs = append(errs, fmt.Errorf("container %s was allocated %d cards and asks for none", name, len(alloc.Containers[name])))
		}
	}
	return errors.Join(errs...)
}

func agreesOn(c *request.Container, s wire.Slice, cards map[string]device.Card) error {
	card, ok := cards[s.UUID]
	switch {
	case !ok:
		return fmt.Errorf("container %s was allocated card %s, which is not on this node", c.Name, s.UUID)
	case s.Memory != c.MemoryOn(card.Memory):
		return fmt.Errorf("container %s asks for %d MiB of card %s and was allocated %d MiB", c.Name, c.MemoryOn(card.Memory), s.UUID, s.Memory)
	case s.Cores != c.Cores:
		return fmt.Errorf("container %s asks for %d %% of the cores of card %s and was allocated %d %%", c.Name, c.Cores, s.UUID, s.Cores)
	}
	return nil
}

func ended(pod *v1.Pod) bool { return pods.Ended(pod) }
