package server

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"

	"github.com/basalt-gpu/basalt/deviceplugin/kubelet/kubelettest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

func (r *rig) node() *v1.Node {
	r.t.Helper()
	n, err := r.client.CoreV1().Nodes().Get(r.t.Context(), nodeName, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestNodeIsRegisteredAndStaleResourcesAreRemoved(t *testing.T) {
	r := newRig(t, 2)
	zero, some := resource.MustParse("0"), resource.MustParse("5")
	n := r.node()
	n.Status.Capacity = v1.ResourceList{"nvidia.com/gpumem": zero, "volcano.sh/vgpu-cores": some, gpu: zero, "cpu": some}
	n.Status.Allocatable = v1.ResourceList{"nvidia.com/gpumem": zero, "volcano.sh/vgpu-memory": zero, "cpu": some}
	if _, err := r.client.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.run()
	n = r.node()
	wantCapacity := v1.ResourceList{"volcano.sh/vgpu-cores": some, gpu: zero, "cpu": some}
	if diff := cmp.Diff(wantCapacity, n.Status.Capacity); diff != "" {
		t.Errorf("capacity (-want,+got)\n%s", diff)
	}
	if diff := cmp.Diff(v1.ResourceList{"cpu": some}, n.Status.Allocatable); diff != "" {
		t.Errorf("allocatable (-want,+got)\n%s", diff)
	}
	cards, legacy, found, err := wire.DecodeNode(n.Annotations)
	if err != nil || !found || legacy {
		t.Fatalf("decode node: found %v, legacy %v, %v", found, legacy, err)
	}
	if len(cards) != 2 || cards[1].UUID != cardUUID(1) || cards[1].Memory != 81920 || cards[1].Slots != 10 || !cards[1].Healthy {
		t.Errorf("registered cards: %+v", cards)
	}
	for _, key := range []string{wire.VolcanoNodeRegisterKey, wire.AgentKey} {
		if n.Annotations[key] == "" {
			t.Errorf("annotation %s is missing", key)
		}
	}
}

func TestNodeIsPatchedOnlyOnChange(t *testing.T) {
	r := newRig(t, 2).run()
	for range 3 {
		if err := r.server.registrar.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	patches := 0
	for _, a := range r.client.Actions() {
		if a.GetVerb() == "patch" && a.GetResource().Resource == "nodes" {
			patches++
		}
	}
	if patches != 1 {
		t.Errorf("%d patches of the node, want 1", patches)
	}
}

func TestSickCardWithdrawsFreeTokensOnly(t *testing.T) {
	r := newRig(t, 2).run()
	// Twelve held tokens: more than the healthy card's own, as token ids mean nothing.
	r.create(makePod("u", "p").app("main", 100, 1, 0, 1).obj(t))
	var held []string
	for i := range 6 {
		uid := string(rune('a' + i))
		r.create(makePod(uid, "p"+uid).app("main", 100, 1, 0, 1).obj(t))
		ids, _ := r.admit(uid, "main", 2)
		held = append(held, ids...)
	}
	r.backend.setHealth(t, cardUUID(0), false, "XID 79")
	kubelettest.Eventually(t, "all free tokens are withdrawn", func() bool { return r.kubelet.Healthy(gpu) == len(held) })
	devices := r.kubelet.Devices(gpu)
	for _, id := range held {
		if devices[id] != pluginapi.Healthy {
			t.Errorf("held token %s is %s", id, devices[id])
		}
	}
	kubelettest.Eventually(t, "the resource that nobody holds has one card's tokens", func() bool { return r.kubelet.Healthy(vgpu) == 10 })
	if err := r.kubelet.StartContainer("a", "main"); err != nil {
		t.Errorf("restart of a container with held tokens: %v", err)
	}
	kubelettest.Eventually(t, "the scheduler is told", func() bool {
		cards, _, _, err := wire.DecodeNode(r.node().Annotations)
		return err == nil && len(cards) == 2 && !cards[0].Healthy && cards[1].Healthy
	})
	r.backend.setHealth(t, cardUUID(0), true, "")
	kubelettest.Eventually(t, "all tokens are back", func() bool { return r.kubelet.Healthy(gpu) == 20 })
	kubelettest.Eventually(t, "both changes are events", func() bool {
		return len(r.events("DeviceUnhealthy")) == 1 && len(r.events("DeviceHealthy")) == 1
	})
}

func TestRegistersAgainAfterAKubeletRestart(t *testing.T) {
	r := newRig(t, 1).run()
	r.create(makePod("u", "p").app("main", 3000, 30, 0).obj(t))
	_, name := r.admit("u", "main", 1)
	for i := range 3 {
		before := map[string]int{gpu: r.kubelet.Registrations(gpu), vgpu: r.kubelet.Registrations(vgpu)}
		began := time.Now()
		r.kubelet.Restart()
		for resource, n := range before {
			kubelettest.Eventually(t, "registered again", func() bool { return r.kubelet.Registrations(resource) > n })
			kubelettest.Eventually(t, "tokens again", func() bool { return r.kubelet.Healthy(resource) == 10 })
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("restart %d: registered after %v, want within 1s", i, took)
		}
		if err := r.kubelet.StartContainer("u", "main"); err != nil {
			t.Fatalf("start after restart: %v", err)
		}
		if err := r.check("u", "main", name, slice{memory: 3000, cores: 30, card: 0}); err != nil {
			t.Error(err)
		}
	}
}

func TestStartedPodsSurviveAnAgentRestartWithoutTheAPI(t *testing.T) {
	r := newRig(t, 1).run()
	r.create(makePod("u", "p").app("main", 3000, 30, 0).obj(t))
	_, name := r.admit("u", "main", 1)
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("start: %v", err)
	}
	r.stop()
	// A reboot empties what lies on tmpfs.
	for _, dir := range []string{r.opts.CDIDir, r.opts.RunDir} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	r.client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the API server is away")
	})
	before := r.kubelet.Registrations(gpu)
	r.start()
	kubelettest.Eventually(t, "registered without the API", func() bool { return r.kubelet.Registrations(gpu) > before })
	if err := r.kubelet.StartContainer("u", "main"); err != nil {
		t.Fatalf("restart: %v", err)
	}
	if err := r.check("u", "main", name, slice{memory: 3000, cores: 30, card: 0}); err != nil {
		t.Error(err)
	}
	if missing := r.server.Missing(); len(missing) == 0 {
		t.Error("the agent says it is ready without the API server")
	}
}

func TestCleanUpRemovesWhatIsGoneAndNothingElse(t *testing.T) {
	r := newRig(t, 2).run()
	names := map[string]string{}
	for _, uid := range []string{"stays", "deleted", "ended", "forced"} {
		r.create(makePod(uid, uid).app("main", 3000, 10, 0).obj(t))
		_, names[uid] = r.admit(uid, "main", 1)
	}
	for uid := range names {
		if err := r.kubelet.StartContainer(uid, "main"); err != nil {
			t.Fatalf("start %s: %v", uid, err)
		}
	}
	remove := func(uid string) {
		if err := r.client.CoreV1().Pods("default").Delete(t.Context(), uid, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	remove("deleted")
	if err := os.RemoveAll(r.podDir("deleted")); err != nil {
		t.Fatal(err)
	}
	remove("forced") // its directory stays: the containers may still run
	ended := makePod("ended", "ended").app("main", 3000, 10, 0).obj(t)
	ended.Status.Phase = v1.PodFailed
	if _, err := r.client.CoreV1().Pods("default").UpdateStatus(t.Context(), ended, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"stays": true, "forced": true, "deleted": false, "ended": false}
	kubelettest.Eventually(t, "what is gone is removed", func() bool {
		if err := r.server.agent.CleanUp(t.Context()); err != nil {
			t.Fatalf("clean up: %v", err)
		}
		got := map[string]bool{}
		for uid, name := range names {
			_, specErr := r.injected(name)
			_, recordErr := os.Stat(filepath.Join(r.opts.StateDir, "pods", uid+".json"))
			_, filesErr := os.Stat(filepath.Join(r.opts.RunDir, "pods", uid))
			gone := errors.Is(specErr, fs.ErrNotExist) && recordErr != nil && filesErr != nil
			kept := specErr == nil && recordErr == nil && filesErr == nil
			if kept || gone {
				got[uid] = kept
			}
		}
		return cmp.Equal(want, got)
	})
}

func TestLimiterIsInstalledUnderItsContent(t *testing.T) {
	r := newRig(t, 1)
	r.start()
	r.stop()
	if err := os.WriteFile(r.opts.Limiter, []byte("another limiter"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.start()
	files, err := filepath.Glob(filepath.Join(r.opts.LibraryDir, "libvgpu.so.*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("installed %v, %v; want both versions side by side", files, err)
	}
	preload, err := filepath.Glob(filepath.Join(r.opts.LibraryDir, "ld.so.preload.*"))
	if err != nil || len(preload) != 1 {
		t.Fatalf("preload files %v, %v; want one", preload, err)
	}
	if line, _ := os.ReadFile(preload[0]); string(line) != "/usr/local/basalt/libvgpu.so\n" {
		t.Errorf("preload file says %q", line)
	}
}

func TestHealthEndpointNamesWhatIsMissing(t *testing.T) {
	r := newRig(t, 1)
	r.client.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the API server is away")
	})
	r.start()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r.server.healthHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/livez"); w.Code != http.StatusOK {
		t.Errorf("livez: %d", w.Code)
	}
	w := get("/healthz")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the node is not annotated") {
		t.Errorf("healthz: %d %q, want 503 and the reason", w.Code, w.Body.String())
	}
	if w := get("/metrics"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `basalt_agent_cards{health="healthy"} 1`) {
		t.Errorf("metrics: %d", w.Code)
	}
}
