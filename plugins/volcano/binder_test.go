package volcano

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// server is an API server that knows Bindings and pods, and misbehaves on demand. The client in front
// of it is the real one.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	pods map[string]*v1.Pod // guarded by mu
	// onBind decides over a Binding before it takes effect. Guarded by mu.
	onBind func(w http.ResponseWriter, r *http.Request) (handled, takesEffect bool)
	// deafGets is how many reads of pods fail before one is answered. Guarded by mu.
	deafGets int
	bindings []v1.Binding // guarded by mu
	busy     int          // guarded by mu
	mostBusy int          // guarded by mu
}

func newServer(t *testing.T) *server {
	s := &server{pods: map[string]*v1.Pod{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/namespaces/{ns}/pods/{name}/binding", s.bind)
	mux.HandleFunc("GET /api/v1/namespaces/{ns}/pods/{name}", s.get)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: s.URL, QPS: 1000, Burst: 1000, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *server) bind(w http.ResponseWriter, r *http.Request) {
	var b v1.Binding
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		answer(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	s.mu.Lock()
	s.busy++
	s.mostBusy = max(s.mostBusy, s.busy)
	onBind := s.onBind
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
	}()
	handled, takesEffect := false, true
	if onBind != nil {
		handled, takesEffect = onBind(w, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if takesEffect {
		pod := s.pods[b.Name]
		pod.Spec.NodeName, pod.Annotations = b.Target.Name, b.Annotations
		s.bindings = append(s.bindings, b)
	}
	if !handled {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deafGets > 0 {
		s.deafGets--
		hangUp(w)
		return
	}
	pod := s.pods[r.PathValue("name")]
	if pod == nil {
		answer(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(pod)
}

func answer(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason),
	})
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// binderFixture is a Binder over a ledger with one node of eight cards.
type binderFixture struct {
	*Binder
	server *server
	client kubernetes.Interface
	stop   context.CancelFunc // ends the process, as far as the Binder is concerned
	t      *testing.T
}

func newBinderFixture(t *testing.T, workers int) *binderFixture {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("node1", 8))
	s := newServer(t)
	b := newBinder(ctx, l, Options{BindTimeout: 300 * time.Millisecond, BindWorkers: workers}, func(pod *v1.Pod) bool {
		return request.Asks(pod, request.Defaults())
	})
	b.retry = retryTimes{linger: time.Millisecond, get: 100 * time.Millisecond, first: time.Millisecond, most: 2 * time.Millisecond}
	t.Cleanup(func() { cancel(); b.wait() })
	return &binderFixture{Binder: b, server: s, client: s.client(t), stop: cancel, t: t}
}

// committed makes a pod that a session committed to node1.
func (f *binderFixture) committed(name string) *api.TaskInfo {
	f.t.Helper()
	pod := sharingtest.MakePod(name).Container("main").Limit("nvidia.com/gpu", "1").Limit("nvidia.com/gpumem", "3000").Obj()
	parsed, errs := request.Parse(pod, request.Defaults())
	if len(errs) > 0 {
		f.t.Fatal(errs)
	}
	if _, v := f.ledger.Hold(string(pod.UID), "node1", parsed, ledger.HoldOptions{Namespace: pod.Namespace, Name: pod.Name}); !v.OK() {
		f.t.Fatal(v)
	}
	if _, err := f.ledger.Assume(string(pod.UID)); err != nil {
		f.t.Fatal(err)
	}
	f.server.mu.Lock()
	f.server.pods[name] = pod.DeepCopy()
	f.server.mu.Unlock()
	task := api.NewTaskInfo(pod)
	task.NodeName = "node1"
	return task
}

func (f *binderFixture) state(task *api.TaskInfo) ledger.State {
	_, state, ok := f.ledger.Held(string(task.UID))
	if !ok {
		return "none"
	}
	return state
}

func TestBindOutcomeDecidesTheSlice(t *testing.T) {
	refuse := func(code int, reason metav1.StatusReason) func(http.ResponseWriter, *http.Request) (bool, bool) {
		return func(w http.ResponseWriter, _ *http.Request) (bool, bool) { answer(w, code, reason); return true, false }
	}
	hang := func(takesEffect bool) func(http.ResponseWriter, *http.Request) (bool, bool) {
		return func(_ http.ResponseWriter, r *http.Request) (bool, bool) {
			<-r.Context().Done()
			return true, takesEffect
		}
	}
	cut := func(takesEffect bool) func(http.ResponseWriter, *http.Request) (bool, bool) {
		return func(w http.ResponseWriter, _ *http.Request) (bool, bool) { hangUp(w); return true, takesEffect }
	}
	tests := map[string]struct {
		onBind   func(http.ResponseWriter, *http.Request) (bool, bool)
		deafGets int
		gone     bool
		// elsewhere binds the pod to another node first.
		elsewhere bool
		wantErr   string
		wantState ledger.State
	}{
		"accepted: the slice stays assumed until the watch": {wantState: ledger.Assumed},
		"refused by admission":                              {onBind: refuse(403, metav1.StatusReasonForbidden), wantErr: "Forbidden", wantState: "none"},
		"pod is gone":                                       {onBind: refuse(404, metav1.StatusReasonNotFound), gone: true, wantErr: "NotFound", wantState: "none"},
		"conflict, and another scheduler was first":         {onBind: refuse(409, metav1.StatusReasonConflict), elsewhere: true, wantErr: "another scheduler", wantState: "none"},
		"server error without effect":                       {onBind: refuse(500, metav1.StatusReasonInternalError), wantErr: "InternalError", wantState: "none"},
		"timed out without effect":                          {onBind: hang(false), wantErr: "deadline", wantState: "none"},
		"timed out and the pod is gone":                     {onBind: hang(false), gone: true, wantErr: "gone", wantState: "none"},
		"connection lost without effect":                    {onBind: cut(false), wantErr: "EOF", wantState: "none"},
		"connection lost after it took effect":              {onBind: cut(true), wantState: ledger.Assumed},
		"conflict because an earlier try of ours was first": {onBind: func(w http.ResponseWriter, _ *http.Request) (bool, bool) {
			answer(w, 409, metav1.StatusReasonConflict)
			return true, true
		}, wantState: ledger.Assumed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newBinderFixture(t, 4)
			task := f.committed("p")
			f.server.mu.Lock()
			f.server.onBind, f.server.deafGets = tc.onBind, tc.deafGets
			if tc.gone {
				delete(f.server.pods, "p")
			}
			if tc.elsewhere {
				f.server.pods["p"].Spec.NodeName = "node9"
			}
			f.server.mu.Unlock()
			failed := f.Bind(f.client, []*api.TaskInfo{task})
			if (len(failed) > 0) != (tc.wantErr != "") || !strings.Contains(failed[task.UID], tc.wantErr) {
				t.Errorf("failed %v, want %q", failed, tc.wantErr)
			}
			if got := f.state(task); got != tc.wantState {
				t.Errorf("slice is %s, want %s", got, tc.wantState)
			}
			if f.undecided(string(task.UID)) {
				t.Error("outcome counts as unknown")
			}
		})
	}
}

func TestSliceIsKeptWhileNobodyKnowsTheOutcome(t *testing.T) {
	tests := map[string]struct {
		takesEffect bool
		wantState   ledger.State
	}{
		"it took effect":   {takesEffect: true, wantState: ledger.Assumed},
		"it had no effect": {wantState: "none"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newBinderFixture(t, 4)
			f.retry.first, f.retry.most = 20*time.Millisecond, 20*time.Millisecond
			task := f.committed("p")
			f.server.mu.Lock()
			f.server.deafGets = 1 << 30
			f.server.onBind = func(w http.ResponseWriter, _ *http.Request) (bool, bool) { hangUp(w); return true, tc.takesEffect }
			f.server.mu.Unlock()
			failed := f.Bind(f.client, []*api.TaskInfo{task})
			if !strings.Contains(failed[task.UID], "not known") {
				t.Errorf("failed %v", failed)
			}
			if got := f.state(task); got != ledger.Assumed {
				t.Errorf("slice is %s while the outcome is not known, want %s", got, ledger.Assumed)
			}
			if !f.undecided(string(task.UID)) {
				t.Error("another session might place the pod again")
			}
			f.server.mu.Lock()
			f.server.deafGets = 0
			f.server.mu.Unlock()
			f.tasks.Wait()
			if got := f.state(task); got != tc.wantState || f.undecided(string(task.UID)) {
				t.Errorf("slice is %s, undecided %t, want %s", got, f.undecided(string(task.UID)), tc.wantState)
			}
		})
	}
}

func TestSearchForAnOutcomeEnds(t *testing.T) {
	tests := map[string]struct {
		end       func(f *binderFixture, task *api.TaskInfo)
		wantState ledger.State
		// A pod whose outcome was never learned stays undecided.
		wantUndecided bool
	}{
		"when the watch shows the pod bound": {
			end: func(f *binderFixture, task *api.TaskInfo) {
				a, _, _ := f.ledger.Held(string(task.UID))
				f.ledger.Observe(ledger.PodState{UID: string(task.UID), Node: "node1", Allocation: a})
			},
			wantState: ledger.Bound,
		},
		"when the watch shows the pod gone": {
			end:       func(f *binderFixture, task *api.TaskInfo) { f.ledger.Forget(string(task.UID)) },
			wantState: "none",
		},
		"when the process ends, and the slice is kept": {end: func(f *binderFixture, _ *api.TaskInfo) { f.stop() }, wantState: ledger.Assumed, wantUndecided: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newBinderFixture(t, 4)
			task := f.committed("p")
			f.server.mu.Lock()
			f.server.deafGets = 1 << 30
			f.server.onBind = func(w http.ResponseWriter, _ *http.Request) (bool, bool) { hangUp(w); return true, false }
			f.server.mu.Unlock()
			f.Bind(f.client, []*api.TaskInfo{task})
			tc.end(f, task)
			f.tasks.Wait()
			if got := f.state(task); got != tc.wantState || f.undecided(string(task.UID)) != tc.wantUndecided {
				t.Errorf("slice is %s, undecided %t, want %s, %t", got, f.undecided(string(task.UID)), tc.wantState, tc.wantUndecided)
			}
		})
	}
}

func TestDevicePodWithoutSliceIsNotBound(t *testing.T) {
	tests := map[string]struct {
		spoil func(f *binderFixture, task *api.TaskInfo)
	}{
		"nothing is held":            {func(f *binderFixture, task *api.TaskInfo) { f.ledger.Release(string(task.UID)) }},
		"the slice is on other node": {func(_ *binderFixture, task *api.TaskInfo) { task.NodeName = "node2" }},
		"the request is malformed": {func(f *binderFixture, task *api.TaskInfo) {
			f.ledger.Release(string(task.UID))
			task.Pod = sharingtest.MakePod("p").Container("main").Limit("nvidia.com/gpumem", "3000").Obj()
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newBinderFixture(t, 4)
			task := f.committed("p")
			tc.spoil(f, task)
			if failed := f.Bind(f.client, []*api.TaskInfo{task}); len(failed) != 1 {
				t.Errorf("failed %v, want the task", failed)
			}
			if len(f.server.bindings) != 0 {
				t.Errorf("sent %v", f.server.bindings)
			}
		})
	}
}

func TestFortyPodsAreBoundInParallelWithinTheLimit(t *testing.T) {
	const pods, workers = 40, 8
	f := newBinderFixture(t, workers)
	reached := make(chan struct{})
	var once sync.Once
	f.timeout = 20 * time.Second
	f.server.onBind = func(http.ResponseWriter, *http.Request) (bool, bool) {
		// The first requests wait for each other: the test hangs where they are sent one by one.
		f.server.mu.Lock()
		if f.server.busy == workers {
			once.Do(func() { close(reached) })
		}
		f.server.mu.Unlock()
		<-reached
		return false, true
	}
	var tasks []*api.TaskInfo
	for i := range pods {
		tasks = append(tasks, f.committed(fmt.Sprintf("p-%d", i)))
	}
	if failed := f.Bind(f.client, tasks); len(failed) > 0 {
		t.Fatal(failed)
	}
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	if cap(f.slots) != workers || f.server.mostBusy != workers || len(f.server.bindings) != pods {
		t.Errorf("%d bindings, at most %d at once, want %d and %d", len(f.server.bindings), f.server.mostBusy, pods, workers)
	}
	for _, b := range f.server.bindings {
		want, _, _ := f.ledger.Held(string(b.UID))
		got, err := wire.DecodeAllocation(b.Annotations[wire.AllocationKey])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("binding of %s (-want,+got):\n%s", b.Name, diff)
		}
	}
}
