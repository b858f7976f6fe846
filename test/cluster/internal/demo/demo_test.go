package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

func TestWriteLedger(t *testing.T) {
	var out strings.Builder
	err := writeLedger(&out, ledger.Snapshot{Nodes: []ledger.NodeSnapshot{{Name: "n", Cards: []ledger.CardSnapshot{{
		UUID: "GPU-a", Model: "A100",
		Capacity: ledger.Use{Slots: 10, Memory: 81920, Cores: 100}, Used: ledger.Use{Slots: 4, Memory: 12000, Cores: 80},
	}}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "NODE  CARD   MODEL  SHARES  MEMORY MiB   CORES %\nn     GPU-a  A100   4/10    12000/81920  80/100\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("ledger (-want,+got):\n%s", diff)
	}
}

func TestNotRunning(t *testing.T) {
	pods := func(phases ...corev1.PodPhase) []corev1.Pod {
		var list []corev1.Pod
		for _, phase := range phases {
			list = append(list, corev1.Pod{Status: corev1.PodStatus{Phase: phase}})
		}
		return list
	}
	tests := map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"all four run":         {pods: pods("Running", "Running", "Running", "Running")},
		"one is still pending": {pods: pods("Running", "Running", "Running", "Pending"), want: "1 tasks do not run"},
		"none was made yet":    {want: "4 tasks do not run"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := notRunning(tc.pods); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
