package kubelet

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	podresourcesapi "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// lister answers List with fixed pods and counts the calls.
type lister struct {
	podresourcesapi.UnimplementedPodResourcesListerServer
	pods  []*podresourcesapi.PodResources
	calls atomic.Int32
}

func (l *lister) List(context.Context, *podresourcesapi.ListPodResourcesRequest) (*podresourcesapi.ListPodResourcesResponse, error) {
	l.calls.Add(1)
	return &podresourcesapi.ListPodResourcesResponse{PodResources: l.pods}, nil
}

func pod(name, container string, ids ...string) *podresourcesapi.PodResources {
	c := &podresourcesapi.ContainerResources{Name: container}
	// The kubelet lists one entry for each id.
	for _, id := range ids {
		c.Devices = append(c.Devices, &podresourcesapi.ContainerDevices{ResourceName: "nvidia.com/gpu", DeviceIds: []string{id}})
	}
	return &podresourcesapi.PodResources{Namespace: "default", Name: name, Containers: []*podresourcesapi.ContainerResources{c}}
}

func serve(t *testing.T, l *lister) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kl") // a short path: unix sockets allow 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.MkdirAll(filepath.Join(dir, "pod-resources"), 0o755); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "pod-resources", "kubelet.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	podresourcesapi.RegisterPodResourcesListerServer(s, l)
	go func() { _ = s.Serve(socket) }()
	t.Cleanup(s.Stop)
	return dir
}

func TestWitness(t *testing.T) {
	tests := map[string]struct {
		pods []*podresourcesapi.PodResources
		want Witness
	}{
		"the same tokens in any order agree":                 {[]*podresourcesapi.PodResources{pod("p", "main", "b", "a")}, Agrees},
		"other tokens disagree":                              {[]*podresourcesapi.PodResources{pod("p", "main", "a", "c")}, Disagrees},
		"fewer tokens disagree":                              {[]*podresourcesapi.PodResources{pod("p", "main", "a")}, Disagrees},
		"an unlisted init container has no witness":          {[]*podresourcesapi.PodResources{pod("p", "other", "c")}, Silent},
		"a former pod of the same name does not count":       {[]*podresourcesapi.PodResources{pod("p", "main", "x", "y"), pod("p", "main", "a", "b")}, Agrees},
		"a container that is listed without devices is none": {[]*podresourcesapi.PodResources{pod("p", "main")}, Silent},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := NewPodResources(serve(t, &lister{pods: tc.pods}))
			h := Holder{Container: "main", Resource: "nvidia.com/gpu", IDs: []string{"a", "b"}}
			if got := p.Ask(t.Context(), "default", "p", h); got != tc.want {
				t.Errorf("witness %v, want %v", got, tc.want)
			}
		})
	}
}

func TestWitnessIsSilentWithoutTheKubelet(t *testing.T) {
	p := NewPodResources(t.TempDir())
	if got := p.Ask(t.Context(), "default", "p", Holder{Container: "main"}); got != Silent {
		t.Errorf("witness %v, want silent", got)
	}
}

func TestManyQuestionsShareFewCalls(t *testing.T) {
	l := &lister{pods: []*podresourcesapi.PodResources{pod("p", "main", "a")}}
	p := NewPodResources(serve(t, l))
	var wg sync.WaitGroup
	for range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p.Ask(t.Context(), "default", "p", Holder{Container: "main", Resource: "nvidia.com/gpu", IDs: []string{"a"}})
		}()
	}
	wg.Wait()
	if got := l.calls.Load(); got > 20 {
		t.Errorf("%d calls for 200 questions, want them shared", got)
	}
}
