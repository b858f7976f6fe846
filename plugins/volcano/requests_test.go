package volcano_test

import (
	"strings"
	"testing"

	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// TestMalformedRequestIsNeverScheduled runs backfill too, which binds what Volcano takes for
// BestEffort: with the device amounts ignored, a request without count looks like one.
func TestMalformedRequestIsNeverScheduled(t *testing.T) {
	tests := map[string]struct {
		asks vt.Asks
		// wantAll are parts of the pod's reason: field and value.
		wantAll []string
	}{
		"memory without count":             {asks: vt.Asks{"nvidia.com/gpumem": "3000"}, wantAll: []string{"limits[nvidia.com/gpu]", "how many devices"}},
		"cores without count":              {asks: vt.Asks{"volcano.sh/vgpu-cores": "30"}, wantAll: []string{"limits[volcano.sh/vgpu-number]", "how many devices"}},
		"count that is no integer":         {asks: vt.Asks{"nvidia.com/gpu": "1500m"}, wantAll: []string{"limits[nvidia.com/gpu]", "1500m"}},
		"negative memory":                  {asks: vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "-5"}, wantAll: []string{"limits[nvidia.com/gpumem]", "-5"}},
		"percentage above 100":             {asks: vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem-percentage": "150"}, wantAll: []string{"gpumem-percentage", "150"}},
		"cores above 100":                  {asks: vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpucores": "101"}, wantAll: []string{"gpucores", "101"}},
		"two dialects in one container":    {asks: vt.Asks{"nvidia.com/gpu": "1", "volcano.sh/vgpu-memory": "3000"}, wantAll: []string{"nvidia.com/gpu", "volcano.sh/vgpu-number"}},
		"memory and percentage at a time":  {asks: vt.Asks{"nvidia.com/gpu": "1", "nvidia.com/gpumem": "10", "nvidia.com/gpumem-percentage": "10"}, wantAll: []string{"gpumem"}},
		"priority without count, and cpus": {asks: vt.Asks{"cpu": "1", "nvidia.com/priority": "1"}, wantAll: []string{"limits[nvidia.com/gpu]"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := vt.New(t, vt.MakeNode("node1").Cards(8).Obj(), vt.MakePodGroup("bad", 1).Obj(), vt.MakePod("bad", "bad-0", tc.asks).Obj())
			for range 2 {
				c.Session(vt.Configuration("enqueue, allocate, backfill", ""))
			}
			if n := len(c.Bound()); n != 0 {
				t.Fatalf("malformed request was bound")
			}
			if states := c.States(); len(states) != 0 {
				t.Errorf("ledger has %v", states)
			}
			message := c.Reason("bad-0")
			if !someHasAll([]string{message}, tc.wantAll) {
				t.Errorf("pod says %q, want parts %q", message, tc.wantAll)
			}
			if strings.Contains(message, "%") {
				t.Errorf("pod says %q; Volcano uses it as a format string", message)
			}
			if n := c.EventsAbout("FailedScheduling"); n != 1 {
				t.Errorf("%d FailedScheduling events after two sessions, want 1", n)
			}
		})
	}
}

func TestOneMalformedPodHoldsItsGroupAndTellsWhich(t *testing.T) {
	c := vt.New(t, vt.MakeNode("node1").Cards(8).Obj(), vt.MakePodGroup("mixed", 2).Obj(),
		vt.MakePod("mixed", "mixed-0", slice3000).Obj(), vt.MakePod("mixed", "mixed-1", vt.Asks{"nvidia.com/gpumem": "3000"}).Obj())
	c.Session(vt.Configuration("allocate, backfill", ""))
	if n := len(c.Bound()); n != 0 {
		t.Fatalf("%d pods bound, want none", n)
	}
	for _, name := range []string{"mixed-0", "mixed-1"} {
		message := c.Reason(name)
		if !strings.Contains(message, "limits[nvidia.com/gpu]") || (name == "mixed-0" && !strings.Contains(message, "mixed-1")) {
			t.Errorf("pod %s says %q", name, message)
		}
	}
}

func TestPodWithoutDevicesIsBoundWithoutAnnotations(t *testing.T) {
	c := vt.New(t, vt.MakeNode("node1").Cards(1).Obj(), vt.MakePodGroup("plain", 1).Obj(), vt.MakePod("plain", "plain-0", vt.Asks{"cpu": "1"}).Obj())
	c.Session(vt.Configuration("allocate", ""))
	c.Until("the pod is bound", func() bool { return len(c.Bound()) == 1 })
	if a := c.Bound()["plain-0"].Annotations; len(a) != 0 {
		t.Errorf("binding carries %v", a)
	}
}

func TestRefusedSettingsAfterAReloadScheduleNoDevices(t *testing.T) {
	c := vt.New(t, vt.Objects(vt.MakeNode("node1").Cards(1).Obj(), vt.MakeGang("train", 1, slice3000).Objects(),
		vt.MakePodGroup("plain", 1).Obj(), vt.MakePod("plain", "plain-0", vt.Asks{"cpu": "1"}).Obj())...)
	c.Session(vt.Configuration("allocate", "deviceshare.GPUSharingEnable: true"))
	c.Until("the pod without devices is bound", func() bool { return len(c.Bound()) == 1 })
	if _, wrong := c.Bound()["train-0"]; wrong {
		t.Fatal("pod with devices was bound under a refused configuration")
	}
	if m := c.Reason("train-0"); !strings.Contains(m, "deviceshare.GPUSharingEnable") {
		t.Errorf("pod says %q", m)
	}
}

func TestNodeOfAnotherDevicePluginIsLeftAlone(t *testing.T) {
	legacy := vt.MakeNode("node1").Cards(1).Obj()
	delete(legacy.Annotations, "basalt.io/agent")
	broken := vt.MakeNode("node2").Cards(1).Obj()
	broken.Annotations["hami.io/node-nvidia-register"] = "{"
	c := vt.New(t, vt.Objects(legacy, broken, vt.MakeGang("train", 1, slice3000).Objects())...)
	c.Session(vt.Configuration("allocate", ""))
	if n := len(c.Bound()); n != 0 {
		t.Fatal("pod was bound to a node whose plugin does not know our allocation")
	}
	m := c.Reason("train-0")
	if !strings.Contains(m, "another device plugin") || !strings.Contains(m, "cannot be read") {
		t.Errorf("pod says %q", m)
	}
}
