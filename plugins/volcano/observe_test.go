package volcano

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	clocktesting "k8s.io/utils/clock/testing"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

func TestLedgerIsServedAsJSON(t *testing.T) {
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("node1", 2))
	handler := LedgerHandler(l)
	tests := map[string]struct {
		method, path string
		wantCode     int
	}{
		"read":          {method: http.MethodGet, path: LedgerPath, wantCode: http.StatusOK},
		"write":         {method: http.MethodPost, path: LedgerPath, wantCode: http.StatusMethodNotAllowed},
		"anything else": {method: http.MethodGet, path: "/", wantCode: http.StatusNotFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.wantCode {
				t.Fatalf("code %d, want %d", w.Code, tc.wantCode)
			}
			if tc.wantCode != http.StatusOK {
				return
			}
			var got ledger.Snapshot
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(l.Snapshot(), got); diff != "" {
				t.Errorf("snapshot (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestMetricsCountPodsAndBindings(t *testing.T) {
	registry := prometheus.NewRegistry()
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("node1", 1))
	a, err := New(t.Context(), l, Options{Requests: request.Defaults(), Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	pod := asking("p")
	if _, v := l.Hold("u", "node1", a.requests.of(pod).pod, ledger.HoldOptions{}); !v.OK() {
		t.Fatal(v)
	}
	a.binder.metrics.count(resultBound)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, label := range m.GetLabel() {
				key += " " + label.GetName() + "=" + label.GetValue()
			}
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"basalt_scheduler_bindings_total result=bound": 1,
		"basalt_scheduler_bypassed_pods":               0,
		"basalt_scheduler_device_pods state=held":      1,
		"basalt_scheduler_device_pods state=assumed":   0,
		"basalt_scheduler_device_pods state=bound":     0,
		"basalt_scheduler_device_pods state=releasing": 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want,+got):\n%s", diff)
	}
}

func TestClosestNodeIsTheOneWithTheLeastShortage(t *testing.T) {
	verdict := func(code fit.Code, requested, used, capacity uint64) fit.Verdict {
		return fit.Verdict{Code: code, Reason: fit.ReasonMemory, Requested: requested, Used: used, Capacity: capacity}
	}
	tests := map[string]struct {
		notes map[string]fit.Verdict
		want  string
	}{
		"less is missing":              {notes: map[string]fit.Verdict{"a": verdict(fit.NotNow, 100, 50, 100), "b": verdict(fit.NotNow, 100, 10, 100)}, want: "b"},
		"waiting helps before never":   {notes: map[string]fit.Verdict{"a": verdict(fit.Never, 100, 0, 99), "b": verdict(fit.NotNow, 100, 100, 100)}, want: "b"},
		"equal: by name":               {notes: map[string]fit.Verdict{"b": verdict(fit.NotNow, 9, 5, 10), "a": verdict(fit.NotNow, 9, 5, 10)}, want: "a"},
		"over-committed card has none": {notes: map[string]fit.Verdict{"a": verdict(fit.NotNow, 9, 50, 10), "b": verdict(fit.NotNow, 9, 9, 10)}, want: "b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s, task := newShortages(), api.NewTaskInfo(asking("p"))
			for node, v := range tc.notes {
				s.note(task, node, v)
			}
			if got, _ := s.of(task); got.node != tc.want {
				t.Errorf("closest is %q, want %q", got.node, tc.want)
			}
		})
	}
}

func TestTextOfAShortageStaysWhileItsReasonDoes(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	texts := newSteadyTexts(clock)
	short := func(used uint64, reason fit.Reason) shortage {
		return shortage{node: "node1", verdict: fit.Verdict{Code: fit.NotNow, Reason: reason, Requested: 100, Used: used, Capacity: 100}}
	}
	tell := func(kind string, s shortage) string { return texts.of(kind, string(s.verdict.Reason), s.String) }
	first := tell("g", short(10, fit.ReasonMemory))
	texts.turn()
	if got := tell("g", short(20, fit.ReasonMemory)); got != first {
		t.Errorf("numbers changed at once: %q, was %q", got, first)
	}
	if got := tell("g", short(20, fit.ReasonCores)); got != short(20, fit.ReasonCores).String() {
		t.Errorf("another reason is told as %q", got)
	}
	clock.SetTime(clock.Now().Add(steadyFor))
	if got := tell("g", short(30, fit.ReasonCores)); got != short(30, fit.ReasonCores).String() {
		t.Errorf("numbers did not change in time: %q", got)
	}
	texts.turn()
	texts.turn()
	if got := tell("g", short(40, fit.ReasonCores)); got != short(40, fit.ReasonCores).String() {
		t.Errorf("what no session asked for was kept: %q", got)
	}
}
