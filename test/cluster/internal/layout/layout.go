// Package layout owns every path, address and component name of the embedded test cluster. It
// refuses to know what the files contain or who runs: it only names them, so that `up`, `down` and
// the end-to-end suite can never disagree about where something is.
package layout

import (
	"os"
	"path/filepath"
)

// Fixed names and addresses. All addresses are valid inside the cluster's network namespace only.
const (
	NodeName       = "node1"
	NodeIP         = "10.99.0.1"
	GatewayIP      = "10.99.0.254"
	ServiceCIDR    = "10.96.0.0/16"
	ServiceIP      = "10.96.0.1"
	ServiceDNS     = "10.96.0.10"
	PodCIDR        = "10.244.0.0/24"
	NetNS          = "basalt-k8s"
	APIServerURL   = "https://" + NodeIP + ":6443"
	EtcdURL        = "http://127.0.0.1:2379"
	EtcdPeerURL    = "http://127.0.0.1:2380"
	SchedulerAddr  = "127.0.0.1:8083"
	SchedulerProbe = "127.0.0.1:11253"
	LedgerAddr     = "127.0.0.1:8085"
	AgentProbe     = "127.0.0.1:9396"
	// KubeletDir cannot be moved: the kubelet's device-plugin socket path is a constant.
	KubeletDir = "/var/lib/kubelet"
	// FakeGPUDir holds the fake cards' state, at the path compiled into the fake driver.
	FakeGPUDir = "/run/fakegpu"
)

// Components, in the order in which they start.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	VolcanoController = "vc-controller-manager"
	Scheduler         = "basalt-scheduler"
	Containerd        = "containerd"
	Kubelet           = "kubelet"
	DevicePlugin      = "basalt-device-plugin"
)

// Components lists every component in start order.
func Components() []string {
	return []string{Etcd, APIServer, ControllerManager, VolcanoController, Scheduler, Containerd, Kubelet, DevicePlugin}
}

// Layout names the directories of one machine's cluster.
type Layout struct {
	// Run holds what must not survive a reboot: pids, sockets, keys, logs, configuration.
	Run string
	// Data holds what is large, executable or a device node: /run is often mounted noexec and nodev.
	Data string
}

// Default is the layout in use; BASALT_CLUSTER_DIR and BASALT_CLUSTER_DATA move it for tests.
func Default() Layout {
	l := Layout{Run: "/run/basalt-test", Data: "/var/lib/basalt-test"}
	if dir := os.Getenv("BASALT_CLUSTER_DIR"); dir != "" {
		l.Run = dir
	}
	if dir := os.Getenv("BASALT_CLUSTER_DATA"); dir != "" {
		l.Data = dir
	}
	return l
}

// StateFile says which clone runs the cluster and whether it came up completely.
func (l Layout) StateFile() string { return filepath.Join(l.Run, "state.json") }

// LockFile is held exclusively while a cluster is brought up or down.
func (l Layout) LockFile() string { return l.Run + ".lock" }

// UseFile is held shared by whoever uses the running cluster, so that no other clone takes it away.
func (l Layout) UseFile() string { return l.Run + ".use" }

// Bin holds one link per binary, under its plain name: containerd finds its shim there.
func (l Layout) Bin() string { return filepath.Join(l.Data, "bin") }

// PKI holds certificates and keys.
func (l Layout) PKI() string { return filepath.Join(l.Run, "pki") }

// Kubeconfig is the kubeconfig of one identity.
func (l Layout) Kubeconfig(identity string) string {
	return filepath.Join(l.Run, "kubeconfig", identity+".yaml")
}

// Config holds the rendered configuration files.
func (l Layout) Config(file string) string { return filepath.Join(l.Run, "config", file) }

// Component holds the pid and start record of one component.
func (l Layout) Component(name string) string {
	return filepath.Join(l.Run, "component", name+".json")
}

// Log is the log file of one component.
func (l Layout) Log(name string) string { return filepath.Join(l.Run, "log", name+".log") }

// EtcdData is etcd's data directory.
func (l Layout) EtcdData() string { return filepath.Join(l.Data, "etcd") }

// ContainerdRoot is containerd's persistent directory.
func (l Layout) ContainerdRoot() string { return filepath.Join(l.Data, "containerd") }

// ContainerdState is containerd's volatile directory.
func (l Layout) ContainerdState() string { return filepath.Join(l.Run, "containerd") }

// ContainerdSocket is containerd's address.
func (l Layout) ContainerdSocket() string {
	return filepath.Join(l.ContainerdState(), "containerd.sock")
}

// RuncRoot is where runc keeps its container states.
func (l Layout) RuncRoot() string { return filepath.Join(l.Run, "runc") }

// Images holds the packed image archives and the record of what was imported.
func (l Layout) Images() string { return filepath.Join(l.Data, "images") }

// DriverRoot is what the device plugin sees as the root of the NVIDIA driver.
func (l Layout) DriverRoot() string { return filepath.Join(l.Data, "driver") }

// Library is where the device plugin installs the limiter on the "host".
func (l Layout) Library() string { return filepath.Join(l.Data, "library") }

// AgentState is the device plugin's persistent directory.
func (l Layout) AgentState() string { return filepath.Join(l.Data, "agent") }

// AgentRun is the device plugin's directory on tmpfs.
func (l Layout) AgentRun() string { return filepath.Join(l.Run, "agent") }

// CDI holds the specs that the device plugin writes and containerd reads.
func (l Layout) CDI() string { return filepath.Join(l.Run, "cdi") }

// KubeletMarker is our mark of ownership on KubeletDir: without it the folder belongs to somebody else.
func KubeletMarker() string { return filepath.Join(KubeletDir, ".basalt-test") }

// NetNSPath is the handle of the cluster's network namespace.
func NetNSPath() string { return "/run/netns/" + NetNS }
