package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

var sampleGang = GangRequest{
	Version:      GangRequestVersion,
	MinAvailable: 5,
	Shapes: []GangShape{
		{Name: "launcher", Replicas: 1, MinAvailable: 1},
		{Name: "worker", Replicas: 8, MinAvailable: 4, Containers: []GangContainer{
			{Name: "fetch", Kind: "init", Count: 1, Memory: 1000},
			{Name: "log", Kind: "sidecar", Count: 1, Percent: 5},
			{Name: "main", Count: 2, Memory: 30000, Cores: 50},
		}, Selector: &GangSelector{UseTypes: []string{"A100"}, NoUseTypes: []string{"PCIE"}, NoUseUUIDs: []string{"GPU-9"}, Mode: device.ModeHAMiCore}},
	},
}

func TestGangRequestRoundTrip(t *testing.T) {
	text, err := EncodeGangRequest(sampleGang)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "gang-request-v1.json", text)
	got, err := DecodeGangRequest(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleGang, got); diff != "" {
		t.Errorf("gang request (-want,+got):\n%s", diff)
	}
	for _, s := range got.Shapes {
		if diff := cmp.Diff(s, ShapeOf(s.Name, s.Replicas, s.MinAvailable, s.Pod())); diff != "" {
			t.Errorf("shape of the shape's pod (-want,+got):\n%s", diff)
		}
	}
}

func TestShapeIsWhatItsPodAsks(t *testing.T) {
	if r := sampleGang.Shapes[0].Pod(); r != nil {
		t.Errorf("a role without devices asks for %+v", r)
	}
	want := &request.Pod{
		Containers: []request.Container{
			{Name: "fetch", Kind: request.Init, Count: 1, Memory: 1000, Priority: request.PriorityUnset},
			{Name: "log", Kind: request.Sidecar, Count: 1, Percent: 5, Priority: request.PriorityUnset},
			{Name: "main", Kind: request.App, Count: 2, Memory: 30000, Cores: 50, Priority: request.PriorityUnset},
		},
		Selector: request.Selector{UseTypes: []string{"A100"}, NoUseTypes: []string{"PCIE"}, NoUseUUIDs: []string{"GPU-9"}, Mode: device.ModeHAMiCore},
	}
	if diff := cmp.Diff(want, sampleGang.Shapes[1].Pod()); diff != "" {
		t.Errorf("request (-want,+got):\n%s", diff)
	}
}

func TestDecodeGangRequestRefuses(t *testing.T) {
	shape := func(s string) string { return `{"version":1,"minAvailable":1,"shapes":[{` + s + `}]}` }
	container := func(s string) string { return shape(`"name":"w","replicas":1,"containers":[{` + s + `}]`) }
	tests := map[string]struct{ text, want string }{
		"no JSON":                {"{", "decode gang request"},
		"another version":        {`{"version":2}`, "version"},
		"an unknown field":       {`{"version":1,"minAvailable":1,"shapes":[],"more":1}`, "more"},
		"text after the value":   {`{"version":1,"minAvailable":1,"shapes":[]} {}`, "after"},
		"no shapes":              {`{"version":1,"minAvailable":0,"shapes":[]}`, "shapes: Required"},
		"too long":               {strings.Repeat(" ", MaxGangRequestBytes+1), "at most"},
		"more than there are":    {`{"version":1,"minAvailable":3,"shapes":[{"name":"w","replicas":2,"containers":[]}]}`, "minAvailable: Invalid value: 3: must be between 0 and 2"},
		"no name":                {shape(`"replicas":1,"containers":[]`), "shapes[0].name"},
		"a name twice":           {`{"version":1,"minAvailable":0,"shapes":[{"name":"w","replicas":1,"containers":[]},{"name":"w","replicas":1,"containers":[]}]}`, "shapes[1].name: Duplicate"},
		"negative replicas":      {shape(`"name":"w","replicas":-1,"containers":[]`), "shapes[0].replicas"},
		"a role's minimum":       {shape(`"name":"w","replicas":1,"minAvailable":2,"containers":[]`), "shapes[0].minAvailable"},
		"an unknown mode":        {shape(`"name":"w","replicas":1,"containers":[],"selector":{"mode":"x"}`), "shapes[0].selector.mode"},
		"an unnamed container":   {container(`"count":1,"memoryMiB":1`), "shapes[0].containers[0].name"},
		"an unknown kind":        {container(`"name":"c","kind":"x","count":1,"memoryMiB":1`), "containers[0].kind"},
		"no cards":               {container(`"name":"c","count":0,"memoryMiB":1`), "containers[0].count"},
		"no memory":              {container(`"name":"c","count":1`), "containers[0].memoryMiB"},
		"memory said twice":      {container(`"name":"c","count":1,"memoryMiB":1,"memoryPercent":5`), "containers[0].memoryMiB"},
		"memory beyond any":      {container(`"name":"c","count":1,"memoryMiB":4294967296`), "at most"},
		"more than all":          {container(`"name":"c","count":1,"memoryPercent":101`), "containers[0].memoryPercent"},
		"more cores than a card": {container(`"name":"c","count":1,"memoryMiB":1,"cores":101`), "containers[0].cores"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeGangRequest(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
	large := GangRequest{Version: 1, Shapes: []GangShape{{Name: strings.Repeat("x", MaxGangRequestBytes), Replicas: 1}}}
	if _, err := EncodeGangRequest(large); err == nil {
		t.Error("a request beyond its bound is encoded")
	}
	if _, err := EncodeGangRequest(GangRequest{}); err == nil {
		t.Error("an empty request is encoded")
	}
}

func FuzzDecodeGangRequest(f *testing.F) {
	text, err := EncodeGangRequest(sampleGang)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(`{"version":1,"minAvailable":0,"shapes":[{"name":"w","replicas":0,"containers":null,"selector":{}}]}`)
	f.Fuzz(func(t *testing.T, in string) {
		first, err := DecodeGangRequest(in)
		if err != nil {
			return
		}
		text, err := EncodeGangRequest(first)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		second, err := DecodeGangRequest(text)
		if err != nil || !cmp.Equal(first, second, cmpopts.EquateEmpty()) {
			t.Errorf("second reading differs: %v, %s", err, cmp.Diff(first, second))
		}
	})
}
