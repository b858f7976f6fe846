package gpuquota_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	batchv1alpha1 "volcano.sh/apis/pkg/apis/batch/v1alpha1"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/plugins/volcano"
)

// decodeAll reads every document of an example.
func decodeAll[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile("../../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		var one T
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, one)
	}
}

func TestExamplesMeanWhatTheySay(t *testing.T) {
	o := request.Defaults()
	queues := decodeAll[schedulingv1beta1.Queue](t, "queue-limits.yaml")
	for _, q := range queues {
		spec := quota.Spec{Capability: q.Spec.Capability, Deserved: q.Spec.Deserved, Guarantee: q.Spec.Guarantee.Resource}
		limits, errs := quota.ParseLimits(spec, o)
		if len(errs) > 0 || limits.Empty() {
			t.Errorf("queue %s: limits %+v, errors %v", q.Name, limits, errs)
		}
	}
	for _, r := range decodeAll[v1.ResourceQuota](t, "namespace-quota.yaml") {
		if hard, errs := quota.ParseHard(r.Spec.Hard, o); len(errs) > 0 || hard.Empty() {
			t.Errorf("quota %s: limits %+v, errors %v", r.Name, hard, errs)
		}
	}
	job := decodeAll[batchv1alpha1.Job](t, "vcjob-queue.yaml")[0]
	gang, err := wire.DecodeGangRequest(job.Annotations[wire.GangRequestKey])
	if err != nil {
		t.Fatal(err)
	}
	for i, task := range job.Spec.Tasks {
		pod := &v1.Pod{Spec: task.Template.Spec}
		asked, errs := request.Parse(pod, o)
		if len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		if diff := cmp.Diff(wire.ShapeOf(task.Name, int(task.Replicas), 0, asked), gang.Shapes[i]); diff != "" {
			t.Errorf("task %s (-asked,+annotated):\n%s", task.Name, diff)
		}
	}
	if job.Spec.Queue != queues[1].Name || int(job.Spec.MinAvailable) != gang.MinAvailable {
		t.Errorf("job is in queue %s with %d pods at least", job.Spec.Queue, job.Spec.MinAvailable)
	}
}

func TestConfigurationOfTheDocumentationIsAccepted(t *testing.T) {
	text, err := os.ReadFile("../../../docs/quotas.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/quotas.md has no configuration")
	}
	newCluster(t) // Registers the actions that configurations name.
	if warnings, err := volcano.CheckConfiguration(string(found[1])); err != nil || len(warnings) > 0 {
		t.Errorf("error %v, warnings %q", err, warnings)
	}
}
