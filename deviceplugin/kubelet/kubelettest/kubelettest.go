// Package kubelettest is the part of a kubelet that device plugins see: its registration socket, its
// side of the device plugin calls over real unix sockets, and its device checkpoint, in a form that a
// test compares with what the kubelet's own code writes. Tests decide when a pod is admitted and when
// a container starts.
package kubelettest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"

	"github.com/basalt-gpu/basalt/deviceplugin/durable"
)

// CheckpointFile is the name that the kubelet gives its device checkpoint.
const CheckpointFile = "kubelet_internal_checkpoint"

// Patience bounds every wait of a test.
const Patience = 10 * time.Second

// Kubelet is a running fake.
type Kubelet struct {
	// Dir is the kubelet's directory.
	Dir string

	tb     testing.TB
	server *grpc.Server

	mu        sync.Mutex // guards what follows
	plugins   map[string]*plugin
	entries   []Entry
	registers map[string]int
}

type plugin struct {
	conn    *grpc.ClientConn
	client  pluginapi.DevicePluginClient
	devices map[string]string
	lists   int
}

// Start makes a kubelet with a directory of its own. The directory's path is short, because a unix
// socket's path may have no more than 107 bytes.
func Start(tb testing.TB) *Kubelet {
	tb.Helper()
	dir, err := os.MkdirTemp("", "kl")
	if err != nil {
		tb.Fatalf("make kubelet directory: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	k := &Kubelet{Dir: dir, tb: tb, plugins: map[string]*plugin{}, registers: map[string]int{}}
	if err := os.MkdirAll(k.pluginDir(), 0o755); err != nil {
		tb.Fatalf("make plugin directory: %v", err)
	}
	k.Serve()
	tb.Cleanup(k.Stop)
	return k
}

// Serve opens the registration socket, after removing every plugin's socket as a kubelet does.
func (k *Kubelet) Serve() {
	k.tb.Helper()
	old, _ := filepath.Glob(filepath.Join(k.pluginDir(), "*.sock"))
	for _, path := range old {
		_ = os.Remove(path)
	}
	l, err := net.Listen("unix", filepath.Join(k.pluginDir(), "kubelet.sock"))
	if err != nil {
		k.tb.Fatalf("listen: %v", err)
	}
	k.server = grpc.NewServer()
	pluginapi.RegisterRegistrationServer(k.server, &registration{k: k})
	go func(s *grpc.Server) { _ = s.Serve(l) }(k.server)
}

// Stop ends the kubelet; what it wrote to disk stays.
func (k *Kubelet) Stop() {
	k.server.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, p := range k.plugins {
		_ = p.conn.Close()
		delete(k.plugins, name)
	}
}

// Restart ends the kubelet and starts the next one on the same directory.
func (k *Kubelet) Restart() {
	k.tb.Helper()
	k.Stop()
	k.Serve()
}

type registration struct {
	pluginapi.UnimplementedRegistrationServer
	k *Kubelet
}

func (r *registration) Register(_ context.Context, req *pluginapi.RegisterRequest) (*pluginapi.Empty, error) {
	conn, err := grpc.NewClient("unix://"+filepath.Join(r.k.pluginDir(), req.GetEndpoint()),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	p := &plugin{conn: conn, client: pluginapi.NewDevicePluginClient(conn), devices: map[string]string{}}
	stream, err := p.client.ListAndWatch(context.Background(), &pluginapi.Empty{})
	if err != nil {
		return nil, err
	}
	r.k.mu.Lock()
	if old := r.k.plugins[req.GetResourceName()]; old != nil {
		_ = old.conn.Close()
	}
	r.k.plugins[req.GetResourceName()] = p
	r.k.registers[req.GetResourceName()]++
	r.k.mu.Unlock()
	go r.k.follow(p, stream)
	return &pluginapi.Empty{}, nil
}

func (k *Kubelet) follow(p *plugin, stream grpc.ServerStreamingClient[pluginapi.ListAndWatchResponse]) {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return
		}
		devices := map[string]string{}
		for _, d := range resp.GetDevices() {
			devices[d.GetID()] = d.GetHealth()
		}
		k.mu.Lock()
		p.devices = devices
		p.lists++
		k.writeLocked()
		k.mu.Unlock()
	}
}

// Registrations returns how often the resource was registered.
func (k *Kubelet) Registrations(resource string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.registers[resource]
}

// Devices returns the health of every token of the resource.
func (k *Kubelet) Devices(resource string) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]string{}
	if p := k.plugins[resource]; p != nil {
		for id, health := range p.devices {
			out[id] = health
		}
	}
	return out
}

// Healthy returns how many tokens of the resource are healthy.
func (k *Kubelet) Healthy(resource string) int {
	n := 0
	for _, health := range k.Devices(resource) {
		if health == pluginapi.Healthy {
			n++
		}
	}
	return n
}

// Admit gives a container count tokens: first those in reuse, then free healthy ones in order. It
// returns the tokens and the CDI name of the plugin's answer.
func (k *Kubelet) Admit(podUID, container, resource string, count int, reuse ...string) ([]string, string, error) {
	ids, p := k.choose(resource, count, reuse)
	if len(ids) < count {
		return nil, "", fmt.Errorf("only %d of %d tokens of %s are free", len(ids), count, resource)
	}
	resp, err := p.client.Allocate(context.Background(), &pluginapi.AllocateRequest{
		ContainerRequests: []*pluginapi.ContainerAllocateRequest{{DevicesIds: ids}},
	})
	if err != nil {
		return nil, "", err
	}
	answer := resp.GetContainerResponses()[0]
	raw, err := proto.Marshal(answer)
	if err != nil {
		return nil, "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries = append(k.entries, Entry{
		PodUID: podUID, ContainerName: container, ResourceName: resource,
		DeviceIDs: map[int64][]string{-1: ids}, AllocResp: raw,
	})
	k.writeLocked()
	return ids, answer.GetCdiDevices()[0].GetName(), nil
}

func (k *Kubelet) choose(resource string, count int, reuse []string) ([]string, *plugin) {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := map[string]bool{}
	for _, e := range k.entries {
		if e.ResourceName == resource {
			for _, id := range e.ids() {
				held[id] = true
			}
		}
	}
	ids := append([]string(nil), reuse...)
	p := k.plugins[resource]
	if p == nil {
		return nil, nil
	}
	var free []string
	for id, health := range p.devices {
		if health == pluginapi.Healthy && !held[id] {
			free = append(free, id)
		}
	}
	sort.Strings(free)
	for _, id := range free {
		if len(ids) >= count {
			break
		}
		ids = append(ids, id)
	}
	return ids[:min(count, len(ids))], p
}

// StartContainer makes the call that precedes the creation of a container.
func (k *Kubelet) StartContainer(podUID, container string) error {
	k.mu.Lock()
	var ids []string
	var p *plugin
	for _, e := range k.entries {
		if e.PodUID == podUID && e.ContainerName == container {
			ids, p = e.ids(), k.plugins[e.ResourceName]
		}
	}
	k.mu.Unlock()
	if p == nil {
		return fmt.Errorf("container %s of pod %s holds no tokens of a registered plugin", container, podUID)
	}
	_, err := p.client.PreStartContainer(context.Background(), &pluginapi.PreStartContainerRequest{DevicesIds: ids})
	return err
}

// Release forgets a pod, in memory only: a kubelet writes its checkpoint at the next allocation.
func (k *Kubelet) Release(podUID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var kept []Entry
	for _, e := range k.entries {
		if e.PodUID != podUID {
			kept = append(kept, e)
		}
	}
	k.entries = kept
}

// Checkpoint overwrites the checkpoint file, as an older write that overtakes a newer one does.
func (k *Kubelet) Checkpoint(raw []byte) []byte {
	k.tb.Helper()
	path := filepath.Join(k.pluginDir(), CheckpointFile)
	old, _ := os.ReadFile(path)
	if raw != nil {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			k.tb.Fatalf("write checkpoint: %v", err)
		}
	}
	return old
}

// Precondition: k.mu is held.
func (k *Kubelet) writeLocked() {
	raw, err := Encode(k.entries)
	if err == nil {
		err = durable.WriteVolatile(filepath.Join(k.pluginDir(), CheckpointFile), raw, 0o600)
	}
	if err != nil && k.tb.Context().Err() == nil {
		k.tb.Errorf("write checkpoint: %v", err)
	}
}

func (k *Kubelet) pluginDir() string { return filepath.Join(k.Dir, "device-plugins") }
