package kubelet

import (
	"context"
	"fmt"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	podresourcesapi "k8s.io/kubelet/pkg/apis/podresources/v1"
)

const (
	// listInterval keeps us far below the kubelet's own limit (100 calls per second, burst 10), which
	// we share with every monitoring agent of the node.
	listInterval = 100 * time.Millisecond
	listTimeout  = 2 * time.Second
)

// Witness is what the pod-resources API says about a holder.
type Witness int

const (
	// Silent: the API cannot be asked or does not list the container (ordinary init containers).
	Silent Witness = iota
	// Agrees: the API lists the container with exactly these tokens.
	Agrees
	// Disagrees: the API lists the container, but with other tokens.
	Disagrees
)

// PodResources asks the kubelet's pod-resources API. One call is in flight at a time and its answer
// serves everyone who waits. It is a second witness only: it has no pod UID and no init containers.
type PodResources struct {
	socket string

	mu      sync.Mutex // guards what follows; never held during a call
	running *listCall
	last    *listCall
}

type listCall struct {
	started time.Time
	done    chan struct{}
	held    map[containerKey][][]string // a recreated pod of the same name can be listed twice
	err     error
}

type containerKey struct{ namespace, name, container, resource string }

// NewPodResources returns a client of the API below the kubelet's directory.
func NewPodResources(kubeletDir string) *PodResources {
	return &PodResources{socket: filepath.Join(kubeletDir, "pod-resources", "kubelet.sock")}
}

// Ask says whether the kubelet lists the container with exactly ids.
func (p *PodResources) Ask(ctx context.Context, namespace, name string, h Holder) Witness {
	asked := time.Now()
	call := p.list(ctx, asked.Add(-listInterval))
	w := call.judge(namespace, name, h)
	if w != Disagrees || !call.started.Before(asked) {
		return w
	}
	// The answer is older than the question and may show a former pod of this name: ask once more.
	return p.list(ctx, asked).judge(namespace, name, h)
}

// list returns a finished call that began at notBefore or later.
func (p *PodResources) list(ctx context.Context, notBefore time.Time) *listCall {
	for {
		p.mu.Lock()
		call := p.running
		switch {
		case p.last != nil && !p.last.started.Before(notBefore):
			call = p.last
		case call == nil:
			call = &listCall{started: time.Now(), done: make(chan struct{})}
			p.running = call
			p.mu.Unlock()
			p.do(ctx, call)
			p.mu.Lock()
			p.running, p.last = nil, call
			close(call.done)
		}
		p.mu.Unlock()
		select {
		case <-call.done:
		case <-ctx.Done():
			return &listCall{started: time.Now(), err: ctx.Err()}
		}
		if !call.started.Before(notBefore) {
			return call
		}
	}
}

func (p *PodResources) do(ctx context.Context, call *listCall) {
	// Not the caller's deadline: others wait for this answer as well.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTimeout)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		call.err = fmt.Errorf("dial pod-resources: %w", err)
		return
	}
	defer conn.Close()
	resp, err := podresourcesapi.NewPodResourcesListerClient(conn).List(ctx, &podresourcesapi.ListPodResourcesRequest{})
	if err != nil {
		call.err = fmt.Errorf("list pod-resources: %w", err)
		return
	}
	call.held = map[containerKey][][]string{}
	for _, pod := range resp.GetPodResources() {
		for _, c := range pod.GetContainers() {
			// The API splits one container's devices over several entries: join them per container.
			byResource := map[string][]string{}
			for _, d := range c.GetDevices() {
				byResource[d.GetResourceName()] = append(byResource[d.GetResourceName()], d.GetDeviceIds()...)
			}
			for resource, ids := range byResource {
				k := containerKey{pod.GetNamespace(), pod.GetName(), c.GetName(), resource}
				call.held[k] = append(call.held[k], unique(ids))
			}
		}
	}
}

func (c *listCall) judge(namespace, name string, h Holder) Witness {
	if c.err != nil {
		return Silent
	}
	listed := c.held[containerKey{namespace, name, h.Container, h.Resource}]
	if len(listed) == 0 {
		return Silent
	}
	want := unique(h.IDs)
	for _, ids := range listed {
		if equal(ids, want) {
			return Agrees
		}
	}
	return Disagrees
}

func unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	sort.Strings(out)
	return out
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
