package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
	"github.com/basalt-gpu/basalt/test/cluster/internal/node"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

// Down removes the cluster. One that another clone started is left alone, unless forced.
func (r *Runner) Down(ctx context.Context, force bool) error {
	if os.Geteuid() != 0 {
		return errors.New("ending the embedded cluster needs root; run it with sudo")
	}
	unlock, err := r.lockCluster()
	if err != nil {
		return err
	}
	defer unlock()
	if old, found := readState(r.Layout); found && old.Repo != r.Repo && etcdAlive(r.Layout) && !force {
		r.say("the cluster belongs to %s: left alone (--force removes it)", old.Repo)
		return nil
	}
	if r.nothingLeft() {
		r.say("there is no cluster")
		return nil
	}
	if err := r.clean(ctx); err != nil {
		return err
	}
	r.say("cluster removed")
	return nil
}

// clean ends and removes everything, whatever state it is in. Those who would start new containers
// go first, containerd goes after the last container, etcd last.
func (r *Runner) clean(ctx context.Context) error {
	l := r.Layout
	var problems []error
	stop := func(names ...string) {
		for _, name := range names {
			if record, err := process.Load(l.Component(name)); err == nil {
				problems = append(problems, record.Stop(5*time.Second))
			}
		}
	}
	order := layout.Components()
	slices.Reverse(order)
	stop(layout.Kubelet)
	node.StopContainers(ctx, l)
	stop(layout.Containerd)
	node.KillLeftovers(l)
	stop(order...)
	problems = append(problems, node.RemoveCgroups(10*time.Second))

	roots := []string{l.Run, l.Data, layout.FakeGPUDir}
	if _, err := os.Stat(layout.KubeletMarker()); err == nil {
		roots = append(roots, layout.KubeletDir)
	}
	if err := node.Unmount(roots...); err != nil {
		return errors.Join(append(problems, err)...)
	}
	problems = append(problems, netns.Remove(), node.RemoveAll(roots...))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("remove cluster: %w", err)
	}
	return nil
}
