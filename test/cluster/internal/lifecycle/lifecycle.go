// Package lifecycle brings the embedded cluster up and down. Every step of `up` is safe to repeat:
// it looks at what is there and does what is missing, so that a second `up` repairs. `down` undoes
// all of it, also what a crashed run left behind.
//
// Locks, in the order in which they are taken: the cluster lock (exclusive, while a cluster is
// changed), then the use lock (shared by users of a running cluster, exclusive while a cluster of
// another clone is taken over).
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/basalt-gpu/basalt/test/cluster/internal/build"
	"github.com/basalt-gpu/basalt/test/cluster/internal/component"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

// errLeftOut is the result of a step that does nothing, for a reason that is no failure.
var errLeftOut = errors.New("left out")

// Options of a run.
type Options struct {
	Layout layout.Layout
	// Repo is the root of the clone whose binaries, manifests and examples are used.
	Repo string
	// Out receives progress lines.
	Out io.Writer
	// Without names components that are not started.
	Without []string
}

// Runner does one run.
type Runner struct {
	Options
	tools map[string]string
	start time.Time
}

// New prepares a run.
func New(o Options) *Runner { return &Runner{Options: o, start: time.Now()} }

// Up brings the cluster up, or repairs it.
func (r *Runner) Up(ctx context.Context) error {
	if err := r.checkMachine(); err != nil {
		return err
	}
	if err := r.Build(ctx); err != nil {
		return err
	}
	unlock, err := r.lockCluster()
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.takeOver(ctx); err != nil {
		return err
	}
	r.start = time.Now()
	if err := r.writeState(state{Repo: r.Repo}); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"network namespace, keys, configuration", r.prepare},
		{"etcd", r.component(layout.Etcd)},
		{"kube-apiserver", r.component(layout.APIServer)},
		{"kube-controller-manager", r.component(layout.ControllerManager)},
		{"Volcano's definitions, our manifests", r.applyManifests},
		{"vc-controller-manager", r.component(layout.VolcanoController)},
		{"basalt-scheduler", r.scheduler},
		{"containerd and images", r.runtime},
		{"kubelet, node " + layout.NodeName + " ready", r.component(layout.Kubelet)},
		{"basalt-device-plugin", r.devicePlugin},
	} {
		began := time.Now()
		err := step.do(ctx)
		if errors.Is(err, errLeftOut) {
			r.say("%s: %v", step.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		r.say("%s (%s)", step.name, time.Since(began).Round(10*time.Millisecond))
	}
	if err := r.writeState(state{Repo: r.Repo, Complete: true}); err != nil {
		return err
	}
	r.say("cluster is up; kubeconfig %s is valid inside network namespace %s", r.Layout.Kubeconfig(component.Admin), layout.NetNS)
	return nil
}

// Build makes sure that the cluster's binaries are in the cache.
func (r *Runner) Build(ctx context.Context) error {
	cache, err := build.CacheDir()
	if err != nil {
		return err
	}
	r.tools, err = r.builder(cache).All(ctx)
	return err
}

func (r *Runner) builder(cache string) build.Builder {
	return build.Builder{Repo: r.Repo, Cache: cache, Progress: r.Out}
}

func (r *Runner) say(format string, args ...any) {
	fmt.Fprintf(r.Out, "[%5.1fs] %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// checkMachine says everything that is missing at once.
func (r *Runner) checkMachine() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the embedded cluster needs root: it makes a network namespace, mounts and containers; run it with sudo")
	}
	var missing []string
	for _, name := range []string{"go", "cc", "ip", "iptables", "runc", "busybox", "mount"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if _, err := os.Stat("/usr/lib/cni/bridge"); err != nil {
		missing = append(missing, "/usr/lib/cni/bridge")
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on this machine: %s; run test/cluster/prerequisites.sh", strings.Join(missing, ", "))
	}
	return r.checkKubeletDir()
}

// checkKubeletDir refuses a machine that is already a node of some cluster.
func (r *Runner) checkKubeletDir() error {
	entries, err := os.ReadDir(layout.KubeletDir)
	if err != nil || len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(layout.KubeletMarker()); err != nil {
		return fmt.Errorf("%s belongs to another kubelet, and its path cannot be changed: the embedded cluster does not run on this machine", layout.KubeletDir)
	}
	return nil
}

// component returns a step that starts one component, unless it runs as it should, and waits for it.
func (r *Runner) component(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		if slices.Contains(r.Without, name) {
			return fmt.Errorf("%w, as asked", errLeftOut)
		}
		spec := component.Spec(r.Layout, r.tools, name)
		path := r.Layout.Component(name)
		old, err := process.Load(path)
		if err != nil || !old.Current(spec) {
			if err := old.Stop(10 * time.Second); err != nil {
				return err
			}
			if _, err := process.Start(spec, nil, path); err != nil {
				return err
			}
		}
		if err := component.WaitReady(ctx, r.Layout, name, 2*time.Minute); err != nil {
			return fmt.Errorf("%w\n%s", err, Tail(r.Layout.Log(name), 15))
		}
		return nil
	}
}

// built says whether a component of ours can start: it is wanted, and its files are there.
func (r *Runner) built(name string, files ...string) error {
	if slices.Contains(r.Without, name) {
		return fmt.Errorf("%w, as asked", errLeftOut)
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(r.Repo, file)); err != nil {
			return fmt.Errorf("%w, because %s is not built (make build fakegpu)", errLeftOut, file)
		}
	}
	return nil
}

// Tail returns the last lines of a log file.
func Tail(path string, lines int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
