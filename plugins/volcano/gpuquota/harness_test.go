package gpuquota_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/plugins/volcano"
	"github.com/basalt-gpu/basalt/plugins/volcano/gpuquota"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// besides are the plugins that gpuquota must work beside.
var besides = []string{"capacity", "proportion"}

// configuration has gpuquota in the tier of another plugin of queues.
func configuration(actionNames, beside string) string {
	return vt.ConfigurationOf(actionNames, []string{"name: gang\n    enableReclaimable: false"},
		[]string{"name: predicates", "name: deviceshare", "name: gpuquota", "name: " + beside})
}

// cluster is a cluster with gpuquota in place, and what it records about queues.
type cluster struct {
	*vt.Cluster
	told *record.FakeRecorder
}

func newCluster(t *testing.T, objects ...runtime.Object) *cluster {
	t.Helper()
	told := record.NewFakeRecorder(100)
	c := &cluster{Cluster: vt.NewWith(t, volcano.Options{Requests: request.Defaults(), Recorder: told}, objects...), told: told}
	gpuquota.New(c.Adapter).Register()
	return c
}

// needs fails the test for each part that the text lacks.
func needs(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s is %q, want %q in it", what, text, part)
		}
	}
}

// waiting returns the reasons of all pods that are not bound.
func (c *cluster) waiting() string {
	var reasons strings.Builder
	pods, err := c.Client.CoreV1().Pods(vt.Namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		panic(err)
	}
	for _, p := range pods.Items {
		if p.Spec.NodeName == "" {
			reasons.WriteString(c.Reason(p.Name) + "\n")
		}
	}
	return reasons.String()
}

// boundOf returns how many pods of a gang are bound.
func (c *cluster) boundOf(gang string) int {
	n := 0
	for name := range c.Placements() {
		if strings.HasPrefix(name, gang+"-") {
			n++
		}
	}
	return n
}

// drain returns what was recorded since the last call.
func drain(r *record.FakeRecorder) []string {
	var out []string
	for {
		select {
		case e := <-r.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}
