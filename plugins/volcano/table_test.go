package volcano

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

// asking makes a pod that asks for 3000 MiB and 30 % of one card.
func asking(name string) *v1.Pod {
	pod := sharingtest.MakePod(name).Container("main").Share("1", "3000", "30").Obj()
	pod.ResourceVersion = "1"
	return pod
}

func TestSpecWithRequestsOnlyIsParsedOncePerVersion(t *testing.T) {
	table := newRequestTable(request.Defaults())
	pod := asking("p")
	first := table.of(pod)
	table.turn(nil)
	if table.of(pod) != first {
		t.Error("an unchanged pod was parsed again in the next session")
	}
	pod.ResourceVersion = "2"
	pod.Spec.Containers[0].Resources.Limits["nvidia.com/gpumem"] = resource.MustParse("4000")
	if again := table.of(pod); again == first || again.pod.Containers[0].Memory != 4000 {
		t.Errorf("changed pod is %+v", again.pod)
	}
	table.turn(nil)
	table.turn(nil)
	if table.of(&v1.Pod{}).asks() {
		t.Error("empty pod asks for devices")
	}
}
