package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

var testLayout = layout.Layout{Run: "/run/t", Data: "/var/t"}

func TestContainerdConfigNamesOurPaths(t *testing.T) {
	raw, err := ContainerdConfig(testLayout)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`root = "/var/t/containerd"`,
		`state = "/run/t/containerd"`,
		`address = "/run/t/containerd/containerd.sock"`,
		`cdi_spec_dirs = ["/run/t/cdi"]`,
		`base_runtime_spec = "/run/t/config/base-spec.json"`,
		`sandbox = "basalt.local/pause:1"`,
		`Root = "/run/t/runc"`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("configuration lacks %s:\n%s", want, raw)
		}
	}
}

func TestKubeletConfigIsWhatAKubeletReads(t *testing.T) {
	raw, err := KubeletConfig(testLayout)
	if err != nil {
		t.Fatal(err)
	}
	var got kubeletv1beta1.KubeletConfiguration
	if err := yaml.UnmarshalStrict(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Authentication.Anonymous.Enabled == nil || *got.Authentication.Anonymous.Enabled {
		t.Error("the kubelet answers anybody")
	}
	if got.FailCgroupV1 == nil || *got.FailCgroupV1 {
		t.Error("the kubelet refuses machines with version 1 cgroups")
	}
	if want := "unix:///run/t/containerd/containerd.sock"; got.ContainerRuntimeEndpoint != want {
		t.Errorf("runtime endpoint %q, want %q", got.ContainerRuntimeEndpoint, want)
	}
}

func TestCNIConfigIsJSON(t *testing.T) {
	raw, err := CNIConfig(testLayout)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got["name"] != "basalt" {
		t.Errorf("network %v, want basalt", got["name"])
	}
}

func TestAddMount(t *testing.T) {
	tests := map[string]struct {
		spec    string
		want    []string
		wantErr bool
	}{
		"it comes after the mounts that are there": {spec: `{"mounts":[{"destination":"/proc"}],"root":{}}`, want: []string{"/proc", "/run/x"}},
		"a spec without mounts gets one":           {spec: `{}`, want: []string{"/run/x"}},
		"what is no JSON is refused":               {spec: `no`, wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := AddMount([]byte(tc.spec), "/run/x")
			if (err != nil) != tc.wantErr {
				t.Fatalf("error = %v, want error %t", err, tc.wantErr)
			}
			if tc.wantErr {
				return
			}
			var got struct {
				Mounts []struct{ Destination string }
			}
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			var destinations []string
			for _, mount := range got.Mounts {
				destinations = append(destinations, mount.Destination)
			}
			if diff := cmp.Diff(tc.want, destinations); diff != "" {
				t.Errorf("mounts (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = `20 1 8:1 / / rw - ext4 /dev/root rw
30 20 0:20 / /run/t rw - tmpfs tmpfs rw
31 30 0:21 / /run/t/containerd/rootfs rw - overlay overlay rw
32 20 0:22 / /run/test rw - tmpfs tmpfs rw
33 20 0:23 / /var/t\040x rw - tmpfs tmpfs rw
34 31 0:24 / /run/t/containerd/rootfs/proc rw - proc proc rw
broken line
`
	tests := map[string]struct {
		roots []string
		want  []string
	}{
		"deepest first, the root itself last":  {roots: []string{"/run/t"}, want: []string{"/run/t/containerd/rootfs/proc", "/run/t/containerd/rootfs", "/run/t"}},
		"a folder with the same prefix is not": {roots: []string{"/run/te"}},
		"a name with a space is unescaped":     {roots: []string{"/var/t x"}, want: []string{"/var/t x"}},
		"nothing below a folder without mount": {roots: []string{"/home"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, mountsBelow(mountinfo, tc.roots)); diff != "" {
				t.Errorf("mounts (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestIsShim(t *testing.T) {
	tests := map[string]struct {
		argv []string
		want bool
	}{
		"a shim of our containerd":           {argv: []string{"/cache/containerd-shim-runc-v2@v2", "-namespace", "k8s.io", "-id", "x", "-address", "/run/t/c.sock"}, want: true},
		"a shim of another containerd":       {argv: []string{"/usr/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock"}},
		"a program that names our socket":    {argv: []string{"ctr", "-address", "/run/t/c.sock"}},
		"a kernel thread, without arguments": {argv: []string{""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isShim(strings.Join(tc.argv, "\x00"), "/run/t/c.sock"); got != tc.want {
				t.Errorf("isShim = %t, want %t", got, tc.want)
			}
		})
	}
}
