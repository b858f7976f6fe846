package component

import (
	"slices"
	"strings"
	"testing"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

func TestSpec(t *testing.T) {
	l := layout.Layout{Run: "/run/t", Data: "/var/t"}
	tools := map[string]string{}
	for _, name := range layout.Components() {
		tools[name] = "/cache/" + name
	}
	tests := map[string]struct {
		wantBinary string
		wantArgs   []string
	}{
		layout.Etcd:              {wantBinary: "/cache/etcd", wantArgs: []string{"--data-dir=/var/t/etcd"}},
		layout.APIServer:         {wantBinary: "/cache/kube-apiserver", wantArgs: []string{"--authorization-mode=Node,RBAC", "--anonymous-auth=false"}},
		layout.ControllerManager: {wantBinary: "/cache/kube-controller-manager", wantArgs: []string{"--leader-elect=false"}},
		layout.VolcanoController: {wantBinary: "/cache/vc-controller-manager", wantArgs: []string{"--leader-elect=false"}},
		layout.Scheduler:         {wantBinary: "/var/t/bin/basalt-scheduler", wantArgs: []string{"--kubeconfig=/run/t/kubeconfig/basalt-scheduler.yaml"}},
		layout.Containerd:        {wantBinary: "/cache/containerd", wantArgs: []string{"/run/t/config/containerd.toml"}},
		layout.Kubelet:           {wantBinary: "/cache/kubelet", wantArgs: []string{"--hostname-override=node1"}},
		layout.DevicePlugin:      {wantBinary: "/var/t/bin/basalt-device-plugin", wantArgs: []string{"--cdi-dir=/run/t/cdi", "--nvidia-driver-root=/var/t/driver"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			spec := Spec(l, tools, name)
			if spec.Binary != tc.wantBinary {
				t.Errorf("binary %s, want %s", spec.Binary, tc.wantBinary)
			}
			for _, want := range tc.wantArgs {
				if !slices.Contains(spec.Args, want) {
					t.Errorf("arguments lack %s: %q", want, spec.Args)
				}
			}
			for _, entry := range spec.Env {
				if strings.Contains(strings.ToLower(entry), "proxy") {
					t.Errorf("a daemon would use the proxy %s", entry)
				}
			}
		})
	}
}

func TestEveryComponentHasASpec(t *testing.T) {
	for _, name := range layout.Components() {
		if len(Spec(layout.Layout{}, nil, name).Args) == 0 {
			t.Errorf("component %s has no arguments", name)
		}
	}
}
