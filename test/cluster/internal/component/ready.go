package component

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/basalt-gpu/basalt/test/cluster/internal/api"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

const volcanoProbe = "127.0.0.1:11252"

// HTTPClient talks to addresses inside the cluster's network namespace.
func HTTPClient() *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: netns.Dial, DisableKeepAlives: true},
	}
}

// Ready asks a component once whether it does its work; the error says why not.
func Ready(ctx context.Context, l layout.Layout, name string) error {
	switch name {
	case layout.Etcd:
		return get(ctx, layout.EtcdURL+"/health")
	case layout.APIServer:
		return apiReady(ctx, l)
	case layout.ControllerManager:
		return defaultAccountExists(ctx, l)
	case layout.VolcanoController:
		return get(ctx, "http://"+volcanoProbe+"/healthz")
	case layout.Scheduler:
		return get(ctx, "http://"+layout.SchedulerProbe+"/healthz")
	case layout.Containerd:
		return accepts(ctx, l.ContainerdSocket())
	case layout.Kubelet:
		// The node object stays ready for a while after its kubelet died: ask the kubelet first.
		if err := get(ctx, "http://127.0.0.1:10248/healthz"); err != nil {
			return err
		}
		return nodeReady(ctx, l)
	case layout.DevicePlugin:
		return get(ctx, "http://"+layout.AgentProbe+"/readyz")
	}
	return fmt.Errorf("component %q is unknown", name)
}

// WaitReady waits until a component is ready. It gives up early when its process ends, because
// nothing restarts it.
func WaitReady(ctx context.Context, l layout.Layout, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := Ready(ctx, l, name)
		if err == nil {
			return nil
		}
		record, loadErr := process.Load(l.Component(name))
		if loadErr != nil {
			return loadErr
		}
		if !record.Alive() {
			return fmt.Errorf("%s ended before it was ready; see %s", name, l.Log(name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w; see %s", name, timeout, err, l.Log(name))
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("probe %s: %w", url, err)
	}
	response, err := HTTPClient().Do(request)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return fmt.Errorf("probe %s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

func accepts(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("probe %s: %w", socket, err)
	}
	return conn.Close()
}

func admin(l layout.Layout) (kubernetes.Interface, error) {
	config, err := api.Config(l.Kubeconfig(Admin))
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make API client: %w", err)
	}
	return client, nil
}

func apiReady(ctx context.Context, l layout.Layout) error {
	client, err := admin(l)
	if err != nil {
		return err
	}
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("probe kube-apiserver: %w", err)
	}
	return nil
}

// defaultAccountExists stands for "the controllers run": pods cannot be made before.
func defaultAccountExists(ctx context.Context, l layout.Layout) error {
	client, err := admin(l)
	if err != nil {
		return err
	}
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("probe kube-controller-manager: %w", err)
	}
	return nil
}

func nodeReady(ctx context.Context, l layout.Layout) error {
	client, err := admin(l)
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, layout.NodeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("probe node: %w", err)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			// Ready also means that the taint of a starting node is gone: nothing is scheduled before.
			if condition.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0 {
				return nil
			}
			return fmt.Errorf("node %s is not ready: %s: %s (%d taints)", node.Name, condition.Reason, condition.Message, len(node.Spec.Taints))
		}
	}
	return fmt.Errorf("node %s reports no readiness", node.Name)
}
