package volcano

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestMalformedRequestIsNeverScheduled runs backfill too, which binds what Volcano takes for
// BestEffort: with the device amounts ignored, a request without count looks like one.
func TestMalformedRequestIsNeverScheduled(t *testing.T) {
	tests := map[string]struct {
		asks asked
		// wantAll are parts of the pod's reason: field and value.
		wantAll []string
	}{
		"memory without count":             {asks: asked{"nvidia.com/gpumem": "3000"}, wantAll: []string{"limits[nvidia.com/gpu]", "how many devices"}},
		"cores without count":              {asks: asked{"volcano.sh/vgpu-cores": "30"}, wantAll: []string{"limits[volcano.sh/vgpu-number]", "how many devices"}},
		"count that is no integer":         {asks: asked{"nvidia.com/gpu": "1500m"}, wantAll: []string{"limits[nvidia.com/gpu]", "1500m"}},
		"negative memory":                  {asks: asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "-5"}, wantAll: []string{"limits[nvidia.com/gpumem]", "-5"}},
		"percentage above 100":             {asks: asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem-percentage": "150"}, wantAll: []string{"gpumem-percentage", "150"}},
		"cores above 100":                  {asks: asked{"nvidia.com/gpu": "1", "nvidia.com/gpucores": "101"}, wantAll: []string{"gpucores", "101"}},
		"two dialects in one container":    {asks: asked{"nvidia.com/gpu": "1", "volcano.sh/vgpu-memory": "3000"}, wantAll: []string{"nvidia.com/gpu", "volcano.sh/vgpu-number"}},
		"memory and percentage at a time":  {asks: asked{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "10", "nvidia.com/gpumem-percentage": "10"}, wantAll: []string{"gpumem"}},
		"priority without count, and cpus": {asks: asked{"cpu": "1", "nvidia.com/priority": "1"}, wantAll: []string{"limits[nvidia.com/gpu]"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, node(t, "node1", 8), podGroup("bad", 1), makePod("bad", "bad-0", tc.asks))
			for range 2 {
				c.session(configuration("enqueue, allocate, backfill", ""), 1)
			}
			if n := len(c.bound()); n != 0 {
				t.Fatalf("malformed request was bound")
			}
			if states := c.states(); len(states) != 0 {
				t.Errorf("ledger has %v", states)
			}
			message := scheduled(c.pod("bad-0"))
			if !someHasAll([]string{message}, tc.wantAll) {
				t.Errorf("pod says %q, want parts %q", message, tc.wantAll)
			}
			if strings.Contains(message, "%") {
				t.Errorf("pod says %q; Volcano uses it as a format string", message)
			}
			if n := c.eventsAbout("FailedScheduling"); n != 1 {
				t.Errorf("%d FailedScheduling events after two sessions, want 1", n)
			}
		})
	}
}

func TestOneMalformedPodHoldsItsGroupAndTellsWhich(t *testing.T) {
	c := newCluster(t, node(t, "node1", 8), podGroup("mixed", 2),
		makePod("mixed", "mixed-0", slice3000), makePod("mixed", "mixed-1", asked{"nvidia.com/gpumem": "3000"}))
	c.session(configuration("allocate, backfill", ""), 2)
	if n := len(c.bound()); n != 0 {
		t.Fatalf("%d pods bound, want none", n)
	}
	for _, name := range []string{"mixed-0", "mixed-1"} {
		message := scheduled(c.pod(name))
		if !strings.Contains(message, "limits[nvidia.com/gpu]") || (name == "mixed-0" && !strings.Contains(message, "mixed-1")) {
			t.Errorf("pod %s says %q", name, message)
		}
	}
}

func TestPodWithoutDevicesIsBoundWithoutAnnotations(t *testing.T) {
	c := newCluster(t, node(t, "node1", 1), podGroup("plain", 1), makePod("plain", "plain-0", asked{"cpu": "1"}))
	c.session(configuration("allocate", ""), 1)
	c.until("the pod is bound", func() bool { return len(c.bound()) == 1 })
	if a := c.bound()["plain-0"].Annotations; len(a) != 0 {
		t.Errorf("binding carries %v", a)
	}
}

func TestRefusedSettingsAfterAReloadScheduleNoDevices(t *testing.T) {
	objects := append(gang("train", 1, slice3000), runtime.Object(podGroup("plain", 1)), makePod("plain", "plain-0", asked{"cpu": "1"}))
	c := newCluster(t, append([]runtime.Object{node(t, "node1", 1)}, objects...)...)
	c.session(configuration("allocate", "deviceshare.GPUSharingEnable: true"), 2)
	c.until("the pod without devices is bound", func() bool { return len(c.bound()) == 1 })
	if _, wrong := c.bound()["train-0"]; wrong {
		t.Fatal("pod with devices was bound under a refused configuration")
	}
	if m := scheduled(c.pod("train-0")); !strings.Contains(m, "deviceshare.GPUSharingEnable") {
		t.Errorf("pod says %q", m)
	}
}

func TestNodeOfAnotherDevicePluginIsLeftAlone(t *testing.T) {
	legacy := node(t, "node1", 1)
	delete(legacy.Annotations, "basalt.io/agent")
	broken := node(t, "node2", 1)
	broken.Annotations["hami.io/node-nvidia-register"] = "{"
	c := newCluster(t, append([]runtime.Object{legacy, broken}, gang("train", 1, slice3000)...)...)
	c.session(configuration("allocate", ""), 1)
	if n := len(c.bound()); n != 0 {
		t.Fatal("pod was bound to a node whose plugin does not know our allocation")
	}
	m := scheduled(c.pod("train-0"))
	if !strings.Contains(m, "another device plugin") || !strings.Contains(m, "cannot be read") {
		t.Errorf("pod says %q", m)
	}
}

func TestSpecWithRequestsOnlyIsParsedOncePerVersion(t *testing.T) {
	table := newRequestTable(newCluster(t, node(t, "node1", 1)).adapter.requests.options)
	pod := makePod("g", "p", slice3000)
	first := table.of(pod)
	table.turn()
	if table.of(pod) != first {
		t.Error("an unchanged pod was parsed again in the next session")
	}
	pod.ResourceVersion = "2"
	pod.Spec.Containers[0].Resources.Limits["nvidia.com/gpumem"] = resource.MustParse("4000")
	if again := table.of(pod); again == first || again.pod.Containers[0].Memory != 4000 {
		t.Errorf("changed pod is %+v", again.pod)
	}
	table.turn()
	table.turn()
	if table.of(&v1.Pod{}).asks() {
		t.Error("empty pod asks for devices")
	}
}

// eventsAbout counts and drops the events with a reason.
func (c *cluster) eventsAbout(reason string) int {
	n := 0
	for {
		select {
		case e := <-c.events.Events:
			if strings.Contains(e, " "+reason+" ") {
				n++
			}
		default:
			return n
		}
	}
}
