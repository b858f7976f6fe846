package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/basalt-gpu/basalt/test/cluster/internal/api"
	"github.com/basalt-gpu/basalt/test/cluster/internal/component"
	"github.com/basalt-gpu/basalt/test/cluster/internal/image"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/lifecycle"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

// Components of the cluster.
const (
	Etcd              = layout.Etcd
	APIServer         = layout.APIServer
	ControllerManager = layout.ControllerManager
	VolcanoController = layout.VolcanoController
	Scheduler         = layout.Scheduler
	Containerd        = layout.Containerd
	Kubelet           = layout.Kubelet
	DevicePlugin      = layout.DevicePlugin
)

// Names that tests write into objects and compare with.
const (
	NodeName       = layout.NodeName
	PauseImage     = image.Pause
	CUDAProbeImage = image.CUDAProbe
)

// grace is what a component gets to end by itself.
const grace = 10 * time.Second

// ErrNoCluster says that no cluster is up.
var ErrNoCluster = errors.New("no embedded cluster is up: run `basalt-cluster up`")

// Cluster is a running cluster. As long as it is open, no other clone takes the cluster away.
type Cluster struct {
	layout  layout.Layout
	release func()
}

// Open finds the running cluster.
func Open() (*Cluster, error) {
	l := layout.Default()
	release, err := lifecycle.Use(l)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the embedded cluster needs root: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := lifecycle.Running(l); !ok {
		release()
		return nil, ErrNoCluster
	}
	return &Cluster{layout: l, release: release}, nil
}

// Close gives the cluster free for other clones.
func (c *Cluster) Close() { c.release() }

// Kubeconfig is the administrator's kubeconfig; its address is valid inside the cluster's namespace.
func (c *Cluster) Kubeconfig() string { return c.layout.Kubeconfig(component.Admin) }

// KubeconfigOf is the kubeconfig of a component with an identity of its own: Scheduler, DevicePlugin.
func (c *Cluster) KubeconfigOf(name string) string { return c.layout.Kubeconfig(name) }

// RESTConfig is the administrator's client configuration, usable from any network namespace.
func (c *Cluster) RESTConfig() (*rest.Config, error) { return api.Config(c.Kubeconfig()) }

// Client is an API client of the administrator.
func (c *Cluster) Client() (kubernetes.Interface, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make API client: %w", err)
	}
	return client, nil
}

// HTTPClient reaches addresses inside the cluster's namespace.
func (c *Cluster) HTTPClient() *http.Client { return component.HTTPClient() }

// SchedulerURL is the base of the scheduler's metrics.
func (c *Cluster) SchedulerURL() string { return "http://" + layout.SchedulerAddr }

// LedgerURL is where the scheduler serves its ledger as JSON.
func (c *Cluster) LedgerURL() string { return "http://" + layout.LedgerAddr + "/debug/basalt/ledger" }

// DevicePluginURL is the base of the device plugin's health and metrics endpoints.
func (c *Cluster) DevicePluginURL() string { return "http://" + layout.AgentProbe }

// LogPath is the log file of a component; all its starts append to it.
func (c *Cluster) LogPath(name string) string { return c.layout.Log(name) }

// PID is the process id of a component, or an error that wraps process.ErrNotRunning.
func (c *Cluster) PID(name string) (int, error) {
	record, err := process.Load(c.layout.Component(name))
	if err != nil {
		return 0, err
	}
	if !record.Alive() {
		return 0, fmt.Errorf("%s: %w", name, process.ErrNotRunning)
	}
	return record.PID, nil
}

// Stop asks a component to end and waits until it has; after a while it is killed.
func (c *Cluster) Stop(name string) error {
	record, err := process.Load(c.layout.Component(name))
	if err != nil {
		return err
	}
	return record.Stop(grace)
}

// Kill sends a signal to a component, and after SIGKILL waits until it is gone.
func (c *Cluster) Kill(name string, signal syscall.Signal) error {
	record, err := process.Load(c.layout.Component(name))
	if err != nil {
		return err
	}
	if err := record.Signal(signal); err != nil {
		return err
	}
	if signal == syscall.SIGKILL && !record.WaitGone(grace) {
		return fmt.Errorf("%s (pid %d) outlives SIGKILL", name, record.PID)
	}
	return nil
}

// Start starts a component that does not run, with its usual arguments. It does not wait until it
// is ready: see WaitReady.
func (c *Cluster) Start(name string) error { return c.StartWithArgs(name) }

// StartWithArgs starts a component with arguments added to its usual ones, for this start only. One
// that runs is stopped first.
func (c *Cluster) StartWithArgs(name string, extra ...string) error {
	path := c.layout.Component(name)
	record, err := process.Load(path)
	if err != nil {
		return err
	}
	if len(extra) == 0 && record.Alive() && len(record.Extra) == 0 {
		return nil
	}
	if err := record.Stop(grace); err != nil {
		return err
	}
	_, err = process.Start(record.Spec, extra, path)
	return err
}

// Restart stops a component and starts it with its usual arguments.
func (c *Cluster) Restart(name string) error {
	if err := c.Stop(name); err != nil {
		return err
	}
	return c.Start(name)
}

// WaitReady waits until a component does its work again, at most two minutes.
func (c *Cluster) WaitReady(ctx context.Context, name string) error {
	return component.WaitReady(ctx, c.layout, name, 2*time.Minute)
}

// CheckpointPath is the kubelet's record of which device tokens each container holds.
func (c *Cluster) CheckpointPath() string {
	return filepath.Join(layout.KubeletDir, "device-plugins", "kubelet_internal_checkpoint")
}

// FakeGPUControl is the program that changes the fake cards: makes one fail, shows their use.
func (c *Cluster) FakeGPUControl() string {
	return filepath.Join(c.layout.DriverRoot(), "bin", "fakegpu-ctl")
}

// AgentStateDir is the device plugin's persistent directory on the node.
func (c *Cluster) AgentStateDir() string { return c.layout.AgentState() }

// AgentRunDir is the device plugin's volatile directory on the node.
func (c *Cluster) AgentRunDir() string { return c.layout.AgentRun() }

// CDIDir is where the device plugin writes container device specs.
func (c *Cluster) CDIDir() string { return c.layout.CDI() }

var moduleLine = regexp.MustCompile(`(?m)^module github\.com/basalt-gpu/basalt$`)

// FindRepo returns the root of the clone that holds the working directory.
func FindRepo() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working directory: %w", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		raw, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && moduleLine.Match(raw) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is in no clone of basalt: change into one, or name it with --repo", start)
		}
	}
}
