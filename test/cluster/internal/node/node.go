// Package node renders the configuration of the node's container runtime and kubelet, and knows how
// to leave a machine as it was. It starts nothing.
package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"text/template"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/basalt-gpu/basalt/test/cluster/internal/image"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

// containerdTemplate: restrict_oom_score_adj because a machine without CAP_SYS_RESOURCE cannot lower
// the score and runc dies trying; netns_mounts_under_state_dir so that what a crash leaves lies
// below our own folder; base_runtime_spec brings the fake cards into every container, as hardware is
// there for every process of a node, without plugin or pod knowing.
var containerdTemplate = template.Must(template.New("containerd").Parse(`version = 3
root = "{{.Root}}"
state = "{{.State}}"

[grpc]
  address = "{{.Socket}}"

[ttrpc]
  address = "{{.Socket}}.ttrpc"

[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{{.Pause}}"

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  enable_cdi = true
  cdi_spec_dirs = ["{{.CDI}}"]
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{{.CNI}}"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "{{.BaseSpec}}"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{{.Runc}}"
`))

// ContainerdConfig renders containerd's configuration.
func ContainerdConfig(l layout.Layout) ([]byte, error) {
	var buffer bytes.Buffer
	err := containerdTemplate.Execute(&buffer, map[string]string{
		"Root": l.ContainerdRoot(), "State": l.ContainerdState(), "Socket": l.ContainerdSocket(),
		"Pause": image.Pause, "CDI": l.CDI(), "CNI": l.Config("cni"), "BaseSpec": l.Config("base-spec.json"), "Runc": l.RuncRoot(),
	})
	if err != nil {
		return nil, fmt.Errorf("render containerd configuration: %w", err)
	}
	return buffer.Bytes(), nil
}

// CNIConfig renders the pod network: one bridge, addresses from one range, no way out.
func CNIConfig(l layout.Layout) ([]byte, error) {
	raw, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "basalt",
		"plugins": []any{map[string]any{
			"type":        "bridge",
			"bridge":      "cni0",
			"isGateway":   true,
			"hairpinMode": true,
			"ipam": map[string]any{
				"type":    "host-local",
				"dataDir": l.Run + "/ipam",
				"ranges":  []any{[]any{map[string]string{"subnet": layout.PodCIDR}}},
				"routes":  []any{map[string]string{"dst": "0.0.0.0/0"}},
			},
		}},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render pod network configuration: %w", err)
	}
	return raw, nil
}

// KubeletConfig renders the kubelet's configuration. Status is reported every second because new
// device counts reach the API server with it, and tests wait for them.
func KubeletConfig(l layout.Layout) ([]byte, error) {
	pki := l.PKI()
	config := kubeletv1beta1.KubeletConfiguration{
		TypeMeta:                 metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"},
		Address:                  layout.NodeIP,
		TLSCertFile:              pki + "/kubelet.crt",
		TLSPrivateKeyFile:        pki + "/kubelet.key",
		ContainerRuntimeEndpoint: "unix://" + l.ContainerdSocket(),
		CgroupDriver:             "cgroupfs",
		FailCgroupV1:             ptr.To(false),
		FailSwapOn:               ptr.To(false),
		ResolverConfig:           ptr.To(l.Config("resolv.conf")),
		HealthzBindAddress:       "127.0.0.1",
		HealthzPort:              ptr.To[int32](10248),
		// Nobody answers there; without an address the kubelet warns about every pod.
		ClusterDNS: []string{layout.ServiceDNS},
		MaxPods:    250,
		EvictionHard: map[string]string{
			"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
		},
		// Images cannot be pulled again, so none is ever collected.
		ImageGCHighThresholdPercent: ptr.To[int32](100),
		NodeStatusUpdateFrequency:   metav1.Duration{Duration: time.Second},
		KubeAPIQPS:                  ptr.To[int32](500),
		KubeAPIBurst:                1000,
		EventRecordQPS:              ptr.To[int32](0),
		Authentication: kubeletv1beta1.KubeletAuthentication{
			X509:      kubeletv1beta1.KubeletX509Authentication{ClientCAFile: pki + "/ca.crt"},
			Webhook:   kubeletv1beta1.KubeletWebhookAuthentication{Enabled: ptr.To(true)},
			Anonymous: kubeletv1beta1.KubeletAnonymousAuthentication{Enabled: ptr.To(false)},
		},
		Authorization: kubeletv1beta1.KubeletAuthorization{Mode: kubeletv1beta1.KubeletAuthorizationModeWebhook},
	}
	raw, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("render kubelet configuration: %w", err)
	}
	return raw, nil
}

// AddMount returns an OCI runtime spec with one more bind mount of a host folder at the same path.
func AddMount(spec []byte, path string) ([]byte, error) {
	var parsed map[string]any
	if err := json.Unmarshal(spec, &parsed); err != nil {
		return nil, fmt.Errorf("decode runtime spec: %w", err)
	}
	mounts, _ := parsed["mounts"].([]any)
	parsed["mounts"] = append(mounts, map[string]any{
		"destination": path, "source": path, "type": "bind", "options": []string{"rbind", "rw", "nosuid", "nodev", "noexec"},
	})
	raw, err := json.MarshalIndent(parsed, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode runtime spec: %w", err)
	}
	return raw, nil
}
