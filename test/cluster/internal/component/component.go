// Package component says how each daemon of the cluster is started and how to ask whether it is
// ready. It starts nothing and writes nothing.
package component

import (
	"os"
	"path/filepath"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

// Identities that have a client certificate; each gets a kubeconfig of its name.
const (
	Admin             = "admin"
	ControllerManager = "kube-controller-manager"
	VolcanoController = "vc-controller-manager"
	Kubelet           = "kubelet"
)

// Spec returns how a component is started; tools are the built binaries by name.
func Spec(l layout.Layout, tools map[string]string, name string) process.Spec {
	spec := process.Spec{Name: name, Binary: tools[name], Log: l.Log(name), Env: environment(l)}
	switch name {
	case layout.Etcd:
		spec.Args = etcdArgs(l)
	case layout.APIServer:
		spec.Args = apiServerArgs(l)
	case layout.ControllerManager:
		spec.Args = controllerManagerArgs(l)
	case layout.VolcanoController:
		spec.Args = volcanoControllerArgs(l)
	case layout.Scheduler:
		spec.Args = schedulerArgs(l)
		spec.Binary = filepath.Join(l.Bin(), name)
		spec.Inputs = []string{spec.Binary, l.Config("volcano-scheduler.conf")}
	case layout.Containerd:
		spec.Args = []string{"--config", l.Config("containerd.toml"), "--log-level", "info"}
		spec.Inputs = []string{l.Config("containerd.toml"), l.Config("base-spec.json")}
	case layout.Kubelet:
		spec.Args = kubeletArgs(l)
		spec.Inputs = []string{l.Config("kubelet.yaml")}
	case layout.DevicePlugin:
		spec.Args = devicePluginArgs(l)
		spec.Binary = filepath.Join(l.Bin(), name)
		spec.Inputs = []string{spec.Binary, Limiter(l)}
	}
	return spec
}

// Limiter is the copy of the limiter that the device plugin installs.
func Limiter(l layout.Layout) string { return filepath.Join(l.Bin(), "libvgpu.so") }

// environment is all that daemons get: no proxy settings, no credentials of whoever starts them.
// containerd finds its shim, and the shim runc, by PATH.
func environment(l layout.Layout) []string {
	return []string{"PATH=" + l.Bin() + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LANG=C.UTF-8", "TMPDIR=" + os.TempDir()}
}

// etcdArgs: nothing in this cluster has to survive a power cut, so etcd need not wait for the disk.
func etcdArgs(l layout.Layout) []string {
	return []string{
		"--name=node1", "--data-dir=" + l.EtcdData(), "--unsafe-no-fsync", "--quota-backend-bytes=4294967296",
		"--listen-client-urls=" + layout.EtcdURL, "--advertise-client-urls=" + layout.EtcdURL,
		"--listen-peer-urls=" + layout.EtcdPeerURL, "--initial-advertise-peer-urls=" + layout.EtcdPeerURL,
		"--initial-cluster=node1=" + layout.EtcdPeerURL,
	}
}

func apiServerArgs(l layout.Layout) []string {
	pki := l.PKI()
	return []string{
		"--etcd-servers=" + layout.EtcdURL,
		"--bind-address=" + layout.NodeIP, "--advertise-address=" + layout.NodeIP, "--secure-port=6443",
		"--tls-cert-file=" + pki + "/apiserver.crt", "--tls-private-key-file=" + pki + "/apiserver.key",
		"--client-ca-file=" + pki + "/ca.crt",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--anonymous-auth=false",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki + "/sa.crt", "--service-account-signing-key-file=" + pki + "/sa.key",
		"--service-cluster-ip-range=" + layout.ServiceCIDR, "--allow-privileged=true",
		"--kubelet-client-certificate=" + pki + "/kubelet-client.crt", "--kubelet-client-key=" + pki + "/kubelet-client.key",
		"--kubelet-certificate-authority=" + pki + "/ca.crt", "--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + pki + "/ca.crt", "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + pki + "/front-proxy-client.crt", "--proxy-client-key-file=" + pki + "/front-proxy-client.key",
		"--max-requests-inflight=800", "--max-mutating-requests-inflight=400",
	}
}

func controllerManagerArgs(l layout.Layout) []string {
	kubeconfig, pki := l.Kubeconfig(ControllerManager), l.PKI()
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--service-account-private-key-file=" + pki + "/sa.key", "--root-ca-file=" + pki + "/ca.crt",
		"--cluster-signing-cert-file=" + pki + "/ca.crt", "--cluster-signing-key-file=" + pki + "/ca.key",
		"--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func volcanoControllerArgs(l layout.Layout) []string {
	return []string{
		"--kubeconfig=" + l.Kubeconfig(VolcanoController), "--leader-elect=false",
		"--enable-healthz=true", "--healthz-address=" + volcanoProbe,
		"--enable-metrics=true", "--listen-address=127.0.0.1:8082",
		"--kube-api-qps=2000", "--kube-api-burst=2000", "-v=3",
	}
}

func schedulerArgs(l layout.Layout) []string {
	return []string{
		"--kubeconfig=" + l.Kubeconfig(layout.Scheduler), "--leader-elect=false",
		"--scheduler-conf=" + l.Config("volcano-scheduler.conf"),
		"--enable-healthz=true", "--healthz-address=" + layout.SchedulerProbe,
		"--enable-metrics=true", "--listen-address=" + layout.SchedulerAddr,
		"--kube-api-qps=2000", "--kube-api-burst=2000", "--cache-dumper=false", "-v=3",
		"--basalt-listen-address=" + layout.LedgerAddr,
	}
}

func kubeletArgs(l layout.Layout) []string {
	return []string{
		"--config=" + l.Config("kubelet.yaml"), "--kubeconfig=" + l.Kubeconfig(Kubelet),
		"--hostname-override=" + layout.NodeName, "--node-ip=" + layout.NodeIP, "--v=2",
	}
}

func devicePluginArgs(l layout.Layout) []string {
	return []string{
		"--node-name=" + layout.NodeName, "--kubeconfig=" + l.Kubeconfig(layout.DevicePlugin),
		"--nvidia-driver-root=" + l.DriverRoot(), "--nvidia-dev-root=" + l.DriverRoot(),
		"--kubelet-dir=" + layout.KubeletDir, "--cdi-dir=" + l.CDI(), "--run-dir=" + l.AgentRun(),
		"--state-dir=" + l.AgentState(), "--library-dir=" + l.Library(), "--limiter=" + Limiter(l),
		"--healthz-address=" + layout.AgentProbe, "-v=4",
	}
}
