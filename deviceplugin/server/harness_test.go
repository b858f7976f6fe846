package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/basalt-gpu/basalt/deviceplugin/cdi"
	"github.com/basalt-gpu/basalt/deviceplugin/kubelet/kubelettest"
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/hamicore"
)

const (
	nodeName = "node1"
	gpu      = "nvidia.com/gpu"
	vgpu     = "volcano.sh/vgpu-number"
)

// cardUUID is the UUID of the n-th card of the tests' node.
func cardUUID(n int) string { return fmt.Sprintf("GPU-00000000-0000-0000-0000-%012d", n) }

// backend has cards without hardware. Its health is what the test reports.
type backend struct {
	cards []device.Card

	mu     sync.Mutex // guards report
	report func(uuid string, healthy bool, reason string)
}

func newBackend(cards int) *backend {
	b := &backend{}
	for i := range cards {
		b.cards = append(b.cards, device.Card{UUID: cardUUID(i), Index: i, Vendor: device.VendorNVIDIA, Model: "NVIDIA-A100",
			Memory: 81920, Cores: 100, Slots: 10, Healthy: true, Mode: device.ModeHAMiCore})
	}
	return b
}

func (b *backend) Cards() []device.Card             { return append([]device.Card(nil), b.cards...) }
func (b *backend) PhysicalMemory(string) device.MiB { return 81920 }

func (b *backend) Edits(uuids []string) (specs.ContainerEdits, error) {
	return specs.ContainerEdits{Env: []string{"CARDS=" + strings.Join(uuids, ",")}}, nil
}

func (b *backend) WatchHealth(ctx context.Context, report func(string, bool, string)) {
	b.mu.Lock()
	b.report = report
	b.mu.Unlock()
	<-ctx.Done()
}

func (b *backend) setHealth(t *testing.T, uuid string, healthy bool, reason string) {
	t.Helper()
	var report func(string, bool, string)
	kubelettest.Eventually(t, "the agent watches the cards' health", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		report = b.report
		return report != nil
	})
	report(uuid, healthy, reason)
}

// rig is an agent between a fake kubelet and a fake API server.
type rig struct {
	t       *testing.T
	kubelet *kubelettest.Kubelet
	client  *fake.Clientset
	backend *backend
	opts    Options
	server  *Server
	stop    func()
}

func newRig(t *testing.T, cards int) *rig {
	t.Helper()
	dir := t.TempDir()
	limiter := filepath.Join(dir, "libvgpu.so")
	if err := os.WriteFile(limiter, []byte("a limiter"), 0o755); err != nil {
		t.Fatal(err)
	}
	k := kubelettest.Start(t)
	o := Defaults()
	o.NodeName, o.KubeletDir, o.Limiter, o.HealthzAddress = nodeName, k.Dir, limiter, ""
	o.CDIDir, o.RunDir = filepath.Join(dir, "cdi"), filepath.Join(dir, "run")
	o.StateDir, o.LibraryDir = filepath.Join(dir, "state"), filepath.Join(dir, "lib")
	r := &rig{t: t, kubelet: k, opts: o, backend: newBackend(cards),
		client: fake.NewClientset(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}})}
	return r
}

// run starts the agent and waits until it is ready.
func (r *rig) run() *rig {
	r.t.Helper()
	r.start()
	kubelettest.Eventually(r.t, "the agent is ready", func() bool { return len(r.server.Missing()) == 0 })
	for _, resource := range r.opts.CountResources {
		want := 0
		for _, c := range r.backend.cards {
			want += int(c.Slots)
		}
		kubelettest.Eventually(r.t, "tokens are advertised", func() bool { return len(r.kubelet.Devices(resource)) == want })
	}
	return r
}

func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, r.opts, r.client, r.backend)
	if err != nil {
		cancel()
		r.t.Fatalf("New: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	r.server, r.stop = s, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				r.t.Errorf("Run: %v", err)
			}
		})
	}
	r.t.Cleanup(r.stop)
}

// podBuilder makes pods that ask for devices.
type podBuilder struct {
	pod   *v1.Pod
	alloc wire.Allocation
}

func makePod(uid, name string) *podBuilder {
	return &podBuilder{
		pod: &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), Name: name, Namespace: "default", Annotations: map[string]string{}},
			Spec:       v1.PodSpec{NodeName: nodeName, SchedulerName: "volcano"},
			Status:     v1.PodStatus{Phase: v1.PodPending},
		},
		alloc: wire.Allocation{Version: wire.AllocationVersion, Node: nodeName, Containers: map[string][]wire.Slice{}},
	}
}

func (b *podBuilder) resources(count, memory, cores int) v1.ResourceRequirements {
	q := func(n int) resource.Quantity { return *resource.NewQuantity(int64(n), resource.DecimalSI) }
	return v1.ResourceRequirements{Limits: v1.ResourceList{
		gpu: q(count), "nvidia.com/gpumem": q(memory), "nvidia.com/gpucores": q(cores),
	}}
}

// app adds a container with slices of the cards, as asked and as allocated.
func (b *podBuilder) app(name string, memory, cores int, cards ...int) *podBuilder {
	b.pod.Spec.Containers = append(b.pod.Spec.Containers, v1.Container{Name: name, Resources: b.resources(len(cards), memory, cores)})
	b.allocate(name, memory, cores, cards)
	return b
}

func (b *podBuilder) init(name string, memory, cores int, cards ...int) *podBuilder {
	b.pod.Spec.InitContainers = append(b.pod.Spec.InitContainers, v1.Container{Name: name, Resources: b.resources(len(cards), memory, cores)})
	b.allocate(name, memory, cores, cards)
	return b
}

func (b *podBuilder) allocate(name string, memory, cores int, cards []int) {
	b.alloc.Containers[name] = nil
	for _, c := range cards {
		b.alloc.Containers[name] = append(b.alloc.Containers[name],
			wire.Slice{UUID: cardUUID(c), Memory: device.MiB(memory), Cores: device.CorePercent(cores)})
	}
}

// allocated overrides one container's slices.
func (b *podBuilder) allocated(name string, memory, cores int, cards ...int) *podBuilder {
	b.allocate(name, memory, cores, cards)
	return b
}

func (b *podBuilder) onNode(name string) *podBuilder {
	b.alloc.Node = name
	return b
}

func (b *podBuilder) obj(t *testing.T) *v1.Pod {
	t.Helper()
	text, err := wire.EncodeAllocation(b.alloc)
	if err != nil {
		t.Fatalf("encode allocation: %v", err)
	}
	b.pod.Annotations[wire.AllocationKey] = text
	return b.pod
}

// create puts the pod into the API and its directory onto the node, as a kubelet that saw it does.
func (r *rig) create(pod *v1.Pod) {
	r.t.Helper()
	if _, err := r.client.CoreV1().Pods(pod.Namespace).Create(r.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		r.t.Fatalf("create pod: %v", err)
	}
	if err := os.MkdirAll(r.podDir(string(pod.UID)), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// remove takes the pod out of API, kubelet and node.
func (r *rig) remove(pod *v1.Pod) {
	r.t.Helper()
	if err := r.client.CoreV1().Pods(pod.Namespace).Delete(r.t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		r.t.Fatalf("delete pod: %v", err)
	}
	r.kubelet.Release(string(pod.UID))
	if err := os.RemoveAll(r.podDir(string(pod.UID))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) podDir(uid string) string { return filepath.Join(r.kubelet.Dir, "pods", uid) }

// admit admits one container of one token or more and returns tokens and CDI device name.
func (r *rig) admit(uid, container string, count int, reuse ...string) ([]string, string) {
	r.t.Helper()
	ids, cdiName, err := r.kubelet.Admit(uid, container, gpu, count, reuse...)
	if err != nil {
		r.t.Fatalf("admit %s/%s: %v", uid, container, err)
	}
	return ids, cdiName
}

// injected is what a runtime would find for a CDI device name.
type injected struct {
	Owner cdi.Owner
	Cards string
	Limit hamicore.Limits
}

func (r *rig) injected(qualified string) (injected, error) {
	name, ok := cdi.ParseQualified(qualified)
	if !ok {
		return injected{}, fmt.Errorf("%q is not a device of ours", qualified)
	}
	raw, err := os.ReadFile(filepath.Join(r.opts.CDIDir, "basalt.io-slice_"+name+".json"))
	if err != nil {
		return injected{}, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return injected{}, err
	}
	out := injected{Owner: cdi.Owner{PodUID: spec.Annotations["basalt.io/pod-uid"], Container: spec.Annotations["basalt.io/container"]}}
	for _, env := range spec.Devices[0].ContainerEdits.Env {
		if cards, ok := strings.CutPrefix(env, "CARDS="); ok {
			out.Cards = cards
		}
	}
	for _, m := range spec.Devices[0].ContainerEdits.Mounts {
		if m.ContainerPath != hamicore.ContainerDir+"/"+hamicore.LimitsName {
			continue
		}
		page, err := os.ReadFile(m.HostPath)
		if err != nil {
			return injected{}, err
		}
		if out.Limit, err = hamicore.DecodeAgentPage(page); err != nil {
			return injected{}, err
		}
	}
	return out, nil
}

// events returns the messages of all events with the reason.
func (r *rig) events(reason string) []string {
	list, err := r.client.CoreV1().Events("").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		r.t.Fatalf("list events: %v", err)
	}
	var out []string
	for _, e := range list.Items {
		if e.Reason == reason {
			for range max(e.Count, 1) {
				out = append(out, e.Message)
			}
		}
	}
	return out
}
