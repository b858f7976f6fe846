package agent

import (
	"context"
	"errors"
	"time"

	"k8s.io/klog/v2"
)

const (
	cleanUpInterval = 10 * time.Second
	// absentLimit is how long a pod directory that the kubelet cannot remove (a stuck volume) may keep
	// the record of a pod that the API server no longer has.
	absentLimit = 10 * time.Minute
	// strayAge protects a spec that was written after the checkpoint was read.
	strayAge = 5 * time.Minute
)

func (a *Agent) cleanUpEvery(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.Clock.After(cleanUpInterval):
		}
		if err := a.CleanUp(ctx); err != nil {
			logger.Error(err, "Cannot remove all that pods left behind, trying again")
		}
		// While a card is sick, tokens that become free have to be withdrawn.
		if a.tokens.AnySick() {
			a.tokens.Announce()
		}
	}
}

// CleanUp removes records, files and specs of pods that are gone or have ended. It removes nothing
// while it cannot know: before the informer has synced, or when the API server does not answer.
func (a *Agent) CleanUp(ctx context.Context) error {
	if !a.Pods.Synced() {
		return nil
	}
	known, err := a.known()
	if err != nil {
		return err
	}
	gone, err := a.gone(ctx, known)
	if err != nil {
		return err
	}
	var errs []error
	for _, uid := range gone {
		if err := a.forget(ctx, uid, known[uid]); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, a.removeStrays())
	a.Metrics.pods(len(a.Records.UIDs()))
	return errors.Join(errs...)
}

// known returns the pods of which something is on disk, each with its spec names.
func (a *Agent) known() (map[string][]string, error) {
	known := map[string][]string{}
	for _, uid := range a.Records.UIDs() {
		known[uid] = nil
	}
	withFiles, err := a.Files.Pods()
	if err != nil {
		return nil, err
	}
	for _, uid := range withFiles {
		known[uid] = nil
	}
	specs, err := a.Specs.List()
	if err != nil {
		return nil, err
	}
	for _, s := range specs {
		if s.Owner.PodUID != "" {
			known[s.Owner.PodUID] = append(known[s.Owner.PodUID], s.Name)
		}
	}
	return known, nil
}

func (a *Agent) gone(ctx context.Context, known map[string][]string) ([]string, error) {
	var gone, missing []string
	for uid := range known {
		switch pod, ok := a.Pods.Cached(uid); {
		case !ok:
			missing = append(missing, uid)
		case ended(pod):
			gone = append(gone, uid)
		}
	}
	if len(missing) == 0 {
		return gone, nil
	}
	// The informer may lag behind what the kubelet already starts: the API server itself decides.
	there, err := a.Pods.List(ctx)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, uid := range missing {
		if _, ok := there[uid]; ok {
			delete(a.absentAt, uid)
			continue
		}
		since, seen := a.absentAt[uid]
		if !seen {
			since, a.absentAt[uid] = now, now
		}
		// Force-deleted pods leave the API before their containers end.
		if !a.onNode(uid) || now.Sub(since) > absentLimit {
			gone = append(gone, uid)
		}
	}
	return gone, nil
}

func (a *Agent) forget(ctx context.Context, uid string, specNames []string) error {
	done, err := a.turns.take(ctx, uid)
	if err != nil {
		return err
	}
	defer done()
	var errs []error
	for _, name := range specNames {
		errs = append(errs, a.Specs.Remove(name))
	}
	errs = append(errs, a.Files.Remove(uid))
	// The record goes last: what it stands for is found again while it is there.
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := a.Records.Remove(uid); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.absentAt, uid)
	delete(a.told, uid)
	klog.FromContext(ctx).V(2).Info("Removed what a pod left behind", "podUID", uid)
	return nil
}

// removeStrays deletes specs whose name no container holds any more, as after a second Allocate for
// the same container. A running container does not need its spec; a restarted one gets it again.
func (a *Agent) removeStrays() error {
	specs, err := a.Specs.List()
	if err != nil {
		return err
	}
	holders, err := a.Holders.Holders()
	if err != nil {
		return err
	}
	held := map[string]bool{}
	for _, h := range holders {
		if name, err := cdiName(h); err == nil {
			held[name] = true
		}
	}
	var errs []error
	for _, s := range specs {
		if !held[s.Name] && a.Clock.Since(s.Written) > strayAge {
			errs = append(errs, a.Specs.Remove(s.Name))
		}
	}
	return errors.Join(errs...)
}
