package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"k8s.io/klog/v2"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/basalt-gpu/basalt/deviceplugin/cdi"
	"github.com/basalt-gpu/basalt/deviceplugin/kubelet"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/hamicore"
)

const (
	// preStartTimeout stays below the 30 s after which the kubelet gives the call up.
	preStartTimeout = 20 * time.Second
	// holderTimeout bounds the wait for a checkpoint that shows the holder.
	holderTimeout = 3 * time.Second
	pollInterval  = 100 * time.Millisecond
)

// errGone: the container belongs to a pod that is gone; its entry in the checkpoint is a leftover.
var errGone = errors.New("pod is gone")

// PreStart makes ready every container that holds one of the tokens. More than one does where a pod's
// init and app containers share tokens: each gets its own slice under its own name, because the call
// does not say which of them is about to start.
func (a *Agent) PreStart(ctx context.Context, resource string, ids []string) (err error) {
	logger := klog.FromContext(ctx).WithValues("resource", resource)
	began := a.Clock.Now()
	defer func() { a.Metrics.preStart(a.Clock.Since(began), err) }()
	ctx, cancel := context.WithTimeout(ctx, preStartTimeout)
	defer cancel()

	deadline := began.Add(holderTimeout)
	for {
		holders, err := a.findHolders(resource, ids)
		if err != nil {
			return err
		}
		ready, err := a.prepareAll(ctx, holders)
		if err != nil {
			logger.Info("Refused to start a container", "tokens", len(ids), "reason", err.Error())
			return err
		}
		if ready > 0 {
			return nil
		}
		if a.Clock.Now().After(deadline) {
			return fmt.Errorf("no container of a pod that exists holds exactly the %d tokens of %s in the kubelet's checkpoint", len(ids), resource)
		}
		// The kubelet may have written an older state over a newer one; a new list makes it write again.
		a.tokens.Announce()
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the kubelet's checkpoint: %w", ctx.Err())
		case <-a.Clock.After(pollInterval):
		}
	}
}

// findHolders returns the containers that share a token with ids, or none unless one of them holds
// exactly ids: without it the checkpoint does not show yet who is about to start.
func (a *Agent) findHolders(resource string, ids []string) ([]kubelet.Holder, error) {
	all, err := a.Holders.Holders()
	if err != nil {
		return nil, err
	}
	asked := make(map[string]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	sorted := slices.Clone(ids)
	sort.Strings(sorted)
	var out []kubelet.Holder
	exact := false
	for _, h := range all {
		if h.Resource != resource || !h.HoldsAny(asked) {
			continue
		}
		exact = exact || slices.Equal(h.IDs, sorted)
		out = append(out, h)
	}
	if !exact {
		return nil, nil
	}
	return out, nil
}

// prepareAll returns how many containers were made ready. Leftovers of pods that are gone are passed
// over; any other trouble refuses the start.
func (a *Agent) prepareAll(ctx context.Context, holders []kubelet.Holder) (int, error) {
	ready := 0
	var refusals []error
	for _, h := range holders {
		switch err := a.prepare(ctx, h); {
		case err == nil:
			ready++
		case !errors.Is(err, errGone):
			refusals = append(refusals, err)
		}
	}
	return ready, errors.Join(refusals...)
}

func (a *Agent) prepare(ctx context.Context, h kubelet.Holder) error {
	name, err := cdiName(h)
	if err != nil {
		return err
	}
	done, err := a.turns.take(ctx, h.PodUID)
	if err != nil {
		return err
	}
	defer done()
	rec, err := a.pinned(ctx, h.PodUID)
	if err != nil {
		return err
	}
	given := rec.Allocation.Containers[h.Container]
	if len(given) != len(h.IDs) {
		return fmt.Errorf("container %s of pod %s/%s holds %d tokens of %s, but was allocated %d slices",
			h.Container, rec.Namespace, rec.Name, len(h.IDs), h.Resource, len(given))
	}
	if a.Witness.Ask(ctx, rec.Namespace, rec.Name, h) == kubelet.Disagrees {
		a.tokens.Announce()
		return fmt.Errorf("the kubelet's checkpoint and its pod-resources API disagree about the tokens of container %s of pod %s/%s",
			h.Container, rec.Namespace, rec.Name)
	}
	if err := a.inject(h, name, given); err != nil {
		return fmt.Errorf("prepare container %s of pod %s/%s: %w", h.Container, rec.Namespace, rec.Name, err)
	}
	klog.FromContext(ctx).V(2).Info("Container is ready to start", "pod", klog.KRef(rec.Namespace, rec.Name),
		"podUID", h.PodUID, "container", h.Container, "cdiDevice", name, "slices", len(given))
	return nil
}

// cdiName returns our name in the response that the kubelet stored for the container.
func cdiName(h kubelet.Holder) (string, error) {
	for _, q := range h.CDINames {
		if name, ok := cdi.ParseQualified(q); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("the kubelet stored no device of kind %s for container %s of pod %s: another plugin answered for %s; delete the pod, so that it is allocated again",
		cdi.Kind, h.Container, h.PodUID, h.Resource)
}

// inject writes the container's files and, last, the spec that makes them visible to the runtime.
func (a *Agent) inject(h kubelet.Holder, name string, given []wire.Slice) error {
	uuids := make([]string, len(given))
	limits := hamicore.Limits{PodUID: h.PodUID, Container: h.Container}
	for i, s := range given {
		uuids[i] = s.UUID
		limits.Devices = append(limits.Devices, hamicore.DeviceLimit{
			UUID:          s.UUID,
			LimitBytes:    s.Memory.Bytes(),
			ContextBytes:  a.ContextMemory.Bytes(),
			PhysicalBytes: a.Backend.PhysicalMemory(s.UUID).Bytes(),
			CorePercent:   uint32(s.Cores),
		})
	}
	files, err := a.Files.Prepare(h.PodUID, h.Container, limits)
	if err != nil {
		return err
	}
	edits, err := a.Backend.Edits(uuids)
	if err != nil {
		return err
	}
	edits.Env = append(edits.Env, informativeEnv(given)...)
	edits.Mounts = append(edits.Mounts,
		bind(a.Library, hamicore.ContainerDir+"/"+hamicore.LibraryName, "ro"),
		bind(a.Preload, hamicore.PreloadPath, "ro"),
		bind(files.Limits, hamicore.ContainerDir+"/"+hamicore.LimitsName, "ro"),
		bind(files.Region, hamicore.ContainerDir+"/"+hamicore.RegionName, "rw"),
	)
	return a.Specs.Write(name, cdi.Owner{PodUID: h.PodUID, Container: h.Container}, edits)
}

// informativeEnv are the variables by which programs written for HAMi learn their slice. They decide
// nothing: the limiter reads the limits page only.
func informativeEnv(given []wire.Slice) []string {
	env := make([]string, 0, len(given)+1)
	for i, s := range given {
		env = append(env, fmt.Sprintf("CUDA_DEVICE_MEMORY_LIMIT_%d=%dm", i, s.Memory))
	}
	if len(given) > 0 {
		env = append(env, fmt.Sprintf("CUDA_DEVICE_SM_LIMIT=%d", given[0].Cores))
	}
	return env
}

func bind(source, target, mode string) *specs.Mount {
	return &specs.Mount{HostPath: source, ContainerPath: target, Options: []string{mode, "nosuid", "nodev", "rbind", "rprivate"}}
}
