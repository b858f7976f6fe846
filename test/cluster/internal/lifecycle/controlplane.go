package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/basalt-gpu/basalt/test/cluster/config"
	"github.com/basalt-gpu/basalt/test/cluster/internal/api"
	"github.com/basalt-gpu/basalt/test/cluster/internal/component"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
	"github.com/basalt-gpu/basalt/test/cluster/internal/node"
	"github.com/basalt-gpu/basalt/test/cluster/internal/pki"
)

// Namespace is where our components' service accounts live.
const Namespace = "basalt-system"

// prepare makes everything that exists before the first process.
func (r *Runner) prepare(context.Context) error {
	if err := netns.Ensure(); err != nil {
		return err
	}
	if err := r.linkTools(); err != nil {
		return err
	}
	if err := r.makeKeys(); err != nil {
		return err
	}
	return r.writeConfig()
}

// linkTools gives cached binaries their plain names: containerd looks for its shim by name.
func (r *Runner) linkTools() error {
	if err := os.MkdirAll(r.Layout.Bin(), 0o755); err != nil {
		return fmt.Errorf("make binary directory: %w", err)
	}
	for name, path := range r.tools {
		link := filepath.Join(r.Layout.Bin(), name)
		if target, err := os.Readlink(link); err == nil && target == path {
			continue
		}
		_ = os.Remove(link)
		if err := os.Symlink(path, link); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// makeKeys makes authority, certificates and kubeconfigs once per cluster. The service account key
// is written last: its presence says that the set is complete.
func (r *Runner) makeKeys() error {
	dir := r.Layout.PKI()
	if _, err := os.Stat(filepath.Join(dir, "sa.key")); err == nil {
		return nil
	}
	authority, err := pki.NewAuthority("basalt-test", time.Now())
	if err != nil {
		return err
	}
	ca, err := authority.Pair()
	if err != nil {
		return err
	}
	if err := ca.Write(dir, "ca"); err != nil {
		return err
	}
	for name, subject := range subjects() {
		pair, err := authority.Issue(subject)
		if err != nil {
			return err
		}
		if err := pair.Write(dir, name); err != nil {
			return err
		}
	}
	for _, identity := range []string{component.Admin, component.ControllerManager, component.VolcanoController, component.Kubelet} {
		pair, err := pki.Read(dir, identity)
		if err != nil {
			return err
		}
		if err := api.WriteCertKubeconfig(r.Layout.Kubeconfig(identity), ca.Cert, pair); err != nil {
			return err
		}
	}
	signing, err := pki.SigningKey()
	if err != nil {
		return err
	}
	return signing.Write(dir, "sa")
}

// subjects names every certificate of the cluster by file name. Volcano's controllers act for the
// administrator here; they are not what this cluster tests.
func subjects() map[string]pki.Subject {
	return map[string]pki.Subject{
		"apiserver": {
			CommonName: "kube-apiserver",
			DNS:        []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			IPs:        []string{"127.0.0.1", layout.NodeIP, layout.ServiceIP},
		},
		"kubelet-client":            {CommonName: "kube-apiserver-kubelet-client", Organization: "system:masters", Client: true},
		"front-proxy-client":        {CommonName: "front-proxy-client", Client: true},
		component.Admin:             {CommonName: "admin", Organization: "system:masters", Client: true},
		component.ControllerManager: {CommonName: "system:kube-controller-manager", Client: true},
		component.VolcanoController: {CommonName: "volcano-controllers", Organization: "system:masters", Client: true},
		component.Kubelet: {
			CommonName: "system:node:" + layout.NodeName, Organization: "system:nodes", Client: true,
			DNS: []string{layout.NodeName}, IPs: []string{layout.NodeIP, "127.0.0.1"},
		},
	}
}

func (r *Runner) writeConfig() error {
	l := r.Layout
	containerd, err := node.ContainerdConfig(l)
	if err != nil {
		return err
	}
	cni, err := node.CNIConfig(l)
	if err != nil {
		return err
	}
	kubelet, err := node.KubeletConfig(l)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"containerd.toml":        containerd,
		"cni/10-basalt.conflist": cni,
		"kubelet.yaml":           kubelet,
		"volcano-scheduler.conf": config.SchedulerConf,
		// No name server: pods resolve nothing, and must not inherit the machine's.
		"resolv.conf": []byte("nameserver " + layout.GatewayIP + "\n"),
	} {
		if err := writeFile(l.Config(name), content); err != nil {
			return err
		}
	}
	return nil
}

// applyManifests applies Volcano's definitions and our manifests, and makes our identities' kubeconfigs.
func (r *Runner) applyManifests(ctx context.Context) error {
	volcano, err := r.builder("").ModuleDir(ctx, "kubernetes", "volcano.sh/volcano")
	if err != nil {
		return err
	}
	var files []string
	for _, dir := range []string{
		filepath.Join(volcano, "config", "crd", "volcano", "bases"),
		filepath.Join(volcano, "config", "crd", "jobflow", "bases"),
	} {
		found, err := api.YAMLFiles(dir)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	cfg, err := api.Config(r.Layout.Kubeconfig(component.Admin))
	if err != nil {
		return err
	}
	if _, err := api.ApplyFiles(ctx, cfg, files...); err != nil {
		return err
	}
	// Custom objects are applied after their definitions are served.
	for _, dir := range []string{"manifests", "test/cluster/config"} {
		files, err := api.YAMLFiles(filepath.Join(r.Repo, dir))
		if err != nil {
			return err
		}
		if _, err := api.ApplyFiles(ctx, cfg, files...); err != nil {
			return err
		}
	}
	return r.identity(ctx, layout.Scheduler, nil)
}

// identity makes the kubeconfig of a service account of ours, once per cluster.
func (r *Runner) identity(ctx context.Context, account string, bound *authenticationv1.BoundObjectReference) error {
	path := r.Layout.Kubeconfig(account)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cfg, err := api.Config(r.Layout.Kubeconfig(component.Admin))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make API client: %w", err)
	}
	token, err := api.ServiceAccountToken(ctx, client, Namespace, account, bound)
	if err != nil {
		return err
	}
	ca, err := pki.Read(r.Layout.PKI(), "ca")
	if err != nil {
		return err
	}
	return api.WriteTokenKubeconfig(path, ca.Cert, token)
}

// nodeReference binds a token to the node, so that it carries the node's name and dies with it.
func (r *Runner) nodeReference(ctx context.Context) (*authenticationv1.BoundObjectReference, error) {
	cfg, err := api.Config(r.Layout.Kubeconfig(component.Admin))
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make API client: %w", err)
	}
	found, err := client.CoreV1().Nodes().Get(ctx, layout.NodeName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get node %s: %w", layout.NodeName, err)
	}
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: found.Name, UID: found.UID}, nil
}

// writeFile leaves a file with the same content untouched.
func writeFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make directory of %s: %w", path, err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
