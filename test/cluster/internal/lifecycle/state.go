package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

// takeOverPatience bounds the wait for another clone's users: longer than any end-to-end run.
const takeOverPatience = time.Hour

// state is what a later run needs to know about an earlier one.
type state struct {
	Repo     string `json:"repo"`
	Complete bool   `json:"complete"`
}

func (r *Runner) writeState(s state) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode cluster state: %w", err)
	}
	path := r.Layout.StateFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make cluster directory: %w", err)
	}
	if err := os.WriteFile(path+".tmp", raw, 0o644); err != nil {
		return fmt.Errorf("write cluster state: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("publish cluster state: %w", err)
	}
	return nil
}

// readState returns false when there is no readable state: then nothing is known about what is there.
func readState(l layout.Layout) (state, bool) {
	raw, err := os.ReadFile(l.StateFile())
	if err != nil {
		return state{}, false
	}
	var s state
	return s, json.Unmarshal(raw, &s) == nil
}

// Running says which clone's cluster is up, if one is.
func Running(l layout.Layout) (repo string, ok bool) {
	s, found := readState(l)
	return s.Repo, found && s.Complete && etcdAlive(l)
}

// takeOver decides what to do with what an earlier run left: keep our own living cluster, remove a
// dead or half-made one, and wait for the users of another clone's before removing that.
func (r *Runner) takeOver(ctx context.Context) error {
	old, found := readState(r.Layout)
	switch {
	case found && old.Repo == r.Repo && old.Complete && etcdAlive(r.Layout):
		r.say("the cluster runs already: repairing what is missing or changed")
		return nil
	case found && old.Repo != r.Repo && etcdAlive(r.Layout):
		release, err := r.waitUnused(ctx, old.Repo)
		if err != nil {
			return err
		}
		defer release()
		r.say("taking over the cluster of %s", old.Repo)
	case r.nothingLeft():
		return nil
	default:
		r.say("cleaning what an earlier run left")
	}
	return r.clean(ctx)
}

// etcdAlive stands for the whole cluster: without etcd there is no state to repair.
func etcdAlive(l layout.Layout) bool {
	record, err := process.Load(l.Component(layout.Etcd))
	return err == nil && record.Alive()
}

func (r *Runner) nothingLeft() bool {
	for _, path := range []string{r.Layout.Run, r.Layout.Data, layout.KubeletMarker(), layout.NetNSPath()} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

func (r *Runner) lockCluster() (unlock func(), err error) {
	return flock(r.Layout.LockFile(), unix.LOCK_EX, func() {
		fmt.Fprintln(r.Out, "another basalt-cluster changes the cluster: waiting for it")
	})
}

// Use marks the running cluster as used until release is called.
func Use(l layout.Layout) (release func(), err error) {
	return flock(l.UseFile(), unix.LOCK_SH, func() {})
}

func (r *Runner) waitUnused(ctx context.Context, repo string) (release func(), err error) {
	f, err := openLock(r.Layout.UseFile())
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(takeOverPatience)
	for said := false; ; said = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !said {
			r.say("the cluster of %s is in use: waiting for up to %s", repo, takeOverPatience)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the users of the cluster of %s: %w", repo, ctx.Err())
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("the cluster of %s is still in use after %s", repo, takeOverPatience)
		}
	}
}

// flock takes a lock on a file that is never removed; busy is called when there is a wait.
func flock(path string, how int, busy func()) (unlock func(), err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		busy()
		if err := unix.Flock(int(f.Fd()), how); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
	return func() { f.Close() }, nil
}

func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return f, nil
}
