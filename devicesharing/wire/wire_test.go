package wire

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), got); diff != "" {
		t.Errorf("%s (-want,+got):\n%s", name, diff)
	}
}

func container(name string, resources ...string) v1.Container {
	c := v1.Container{Name: name, Resources: v1.ResourceRequirements{Limits: v1.ResourceList{}}}
	for _, r := range resources {
		c.Resources.Limits[v1.ResourceName(r)] = resource.MustParse("1")
	}
	return c
}

// threeContainers is a pod with an init container and two app containers that ask for cards, and one
// between them that does not.
func threeContainers(annotations map[string]string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: annotations},
		Spec: v1.PodSpec{
			NodeName:       "node1",
			InitContainers: []v1.Container{container("setup", "nvidia.com/gpu")},
			Containers: []v1.Container{
				container("main", "nvidia.com/gpu"), container("log"), container("side", "volcano.sh/vgpu-number"),
			},
		},
	}
}

var sample = Allocation{
	Version: AllocationVersion,
	Node:    "node1",
	Containers: map[string][]Slice{
		"setup": {{UUID: "GPU-a", Memory: 1000, Cores: 0}},
		"main":  {{UUID: "GPU-a", Memory: 3000, Cores: 30}, {UUID: "GPU-b", Memory: 3000, Cores: 30}},
		"side":  {{UUID: "GPU-b", Memory: 500, Cores: 10}},
	},
}

// apps is sample without its init container, which Volcano's form cannot express.
func apps() Allocation {
	a := Allocation{Version: sample.Version, Node: sample.Node, Containers: map[string][]Slice{}}
	for name, slices := range sample.Containers {
		if name != "setup" {
			a.Containers[name] = slices
		}
	}
	return a
}

var cards = []device.Card{
	{UUID: "GPU-a", Index: 0, Vendor: "NVIDIA", Model: "NVIDIA A100-SXM4-80GB", Memory: 81920, Cores: 100, Slots: 10, NUMA: 0, Healthy: true, Mode: device.ModeHAMiCore},
	{UUID: "GPU-b", Index: 1, Vendor: "NVIDIA", Model: "NVIDIA A100-SXM4-80GB", Memory: 81920, Cores: 100, Slots: 10, NUMA: 1, Healthy: false, Mode: device.ModeHAMiCore},
}

func TestAllocationRoundTrip(t *testing.T) {
	text, err := EncodeAllocation(sample)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "allocation-v1.json", text)
	got, err := DecodeAllocation(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, got); diff != "" {
		t.Errorf("allocation (-want,+got):\n%s", diff)
	}
}

func TestAllocationOfWholeCardsRoundTrip(t *testing.T) {
	a := Allocation{Version: AllocationVersion, Node: "node1", Containers: map[string][]Slice{
		"main": {{UUID: "GPU-a", Memory: 3000, Cores: 30, Shares: 10}},
	}}
	text, err := EncodeAllocation(a)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "allocation-v1-shares.json", text)
	got, err := DecodeAllocation(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Errorf("allocation (-want,+got):\n%s", diff)
	}
}

func TestDecodeAllocationRefuses(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"text that is no JSON":             {`{`, "unexpected end"},
		"a version that is not ours":       {`{"version":2,"node":"n","containers":{"c":[{"uuid":"u","memoryMiB":1,"cores":0}]}}`, "version: Invalid value: 2"},
		"a field that it does not know":    {`{"version":1,"node":"n","limit":7,"containers":{"c":[{"uuid":"u","memoryMiB":1,"cores":0}]}}`, `unknown field "limit"`},
		"text after the value":             {`{"version":1,"node":"n","containers":{"c":[{"uuid":"u","memoryMiB":1,"cores":0}]}} {}`, "after"},
		"no node":                          {`{"version":1,"containers":{"c":[{"uuid":"u","memoryMiB":1,"cores":0}]}}`, "node: Required"},
		"no container":                     {`{"version":1,"node":"n"}`, "containers: Required"},
		"a container without slices":       {`{"version":1,"node":"n","containers":{"c":[]}}`, "containers[c]: Required"},
		"a slice without memory":           {`{"version":1,"node":"n","containers":{"c":[{"uuid":"u","cores":0}]}}`, "containers[c][0].memoryMiB: Invalid value: 0"},
		"negative memory":                  {`{"version":1,"node":"n","containers":{"c":[{"uuid":"u","memoryMiB":-1}]}}`, "memoryMiB"},
		"one card twice for one container": {`{"version":1,"node":"n","containers":{"c":[{"uuid":"u","memoryMiB":1},{"uuid":"u","memoryMiB":1}]}}`, "containers[c][1].uuid: Duplicate"},
		"a UUID with a separator":          {`{"version":1,"node":"n","containers":{"c":[{"uuid":"u,v","memoryMiB":1}]}}`, "containers[c][0].uuid: Invalid"},
		"absurd cores":                     {`{"version":1,"node":"n","containers":{"c":[{"uuid":"u","memoryMiB":1,"cores":4000000000}]}}`, "cores: Invalid value"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeAllocation(tc.in)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestAllocationStaysBelowItsBound(t *testing.T) {
	a := Allocation{Version: AllocationVersion, Node: "n", Containers: map[string][]Slice{}}
	for i := range 100 {
		a.Containers[fmt.Sprintf("container-%d", i)] = []Slice{{UUID: "GPU-00000000-0000-0000-0000-000000000000", Memory: 1}}
	}
	if _, err := EncodeAllocation(a); !errors.Is(err, ErrTooLarge) {
		t.Errorf("encode: error %v, want %v", err, ErrTooLarge)
	}
	if _, err := DecodeAllocation(`{"version":1,` + strings.Repeat(" ", MaxAllocationBytes) + `}`); !errors.Is(err, ErrTooLarge) {
		t.Errorf("decode: error %v, want %v", err, ErrTooLarge)
	}
}

func TestLegacyPodFormsRoundTrip(t *testing.T) {
	tests := map[string]struct {
		encode     func(*v1.Pod, Allocation) (map[string]string, error)
		key        string
		golden     string
		wantSource Source
		allocation Allocation
	}{
		"HAMi":    {EncodeHAMiPod, HAMiAllocatedKey, "pod-hami.txt", SourceHAMi, sample},
		"Volcano": {EncodeVolcanoPod, VolcanoAllocatedKey, "pod-volcano.txt", SourceVolcano, apps()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			annotations, err := tc.encode(threeContainers(nil), tc.allocation)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tc.golden, annotations[tc.key])
			got, source, found, err := DecodePod(threeContainers(annotations))
			if err != nil || !found || source != tc.wantSource {
				t.Fatalf("decode: source %q, found %t, error %v", source, found, err)
			}
			if diff := cmp.Diff(tc.allocation, got); diff != "" {
				t.Errorf("allocation (-want,+got):\n%s", diff)
			}
		})
	}
	if _, err := EncodeVolcanoPod(threeContainers(nil), sample); err == nil {
		t.Error("Volcano's form took an init container, which it has no slot for")
	}
}

func TestDecodePod(t *testing.T) {
	ours, err := EncodeAllocation(sample)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		annotations map[string]string
		node        string
		wantSource  Source
		wantFound   bool
		wantError   string
		wantMain    int // slices of container main
	}{
		"a pod without annotations has none":            {node: "node1"},
		"a pod that is not bound has none":              {annotations: map[string]string{AllocationKey: ours}},
		"our own form":                                  {annotations: map[string]string{AllocationKey: ours}, node: "node1", wantSource: SourceBasalt, wantFound: true, wantMain: 2},
		"our own form goes before HAMi's":               {annotations: map[string]string{AllocationKey: ours, HAMiAllocatedKey: ";;;;", HAMiNodeKey: "node1"}, node: "node1", wantSource: SourceBasalt, wantFound: true, wantMain: 2},
		"an allocation of another node is not trusted":  {annotations: map[string]string{AllocationKey: ours}, node: "node2", wantSource: SourceBasalt, wantFound: true, wantError: `"node1", the pod is bound to "node2"`},
		"HAMi's form whose empty slots were lost":       {annotations: map[string]string{HAMiAllocatedKey: "GPU-a,NVIDIA,1,0:;GPU-a,NVIDIA,2,0:;GPU-b,NVIDIA,3,0:;", HAMiNodeKey: "node1"}, node: "node1", wantSource: SourceHAMi, wantFound: true, wantMain: 1},
		"HAMi's form with a wrong number of slots":      {annotations: map[string]string{HAMiAllocatedKey: "GPU-a,NVIDIA,1,0:;GPU-b,NVIDIA,3,0:;", HAMiNodeKey: "node1"}, node: "node1", wantSource: SourceHAMi, wantFound: true, wantError: "has 2 slots"},
		"Volcano's form without a slot for others":      {annotations: map[string]string{VolcanoAllocatedKey: "GPU-a,NVIDIA,1,0:;GPU-b,NVIDIA,3,0:", VolcanoNodeKey: "node1"}, node: "node1", wantSource: SourceVolcano, wantFound: true, wantMain: 1},
		"a record with a missing field":                 {annotations: map[string]string{HAMiAllocatedKey: "GPU-a,NVIDIA,1:;;;;", HAMiNodeKey: "node1"}, node: "node1", wantSource: SourceHAMi, wantFound: true, wantError: "has 3 fields, want UUID,type,memory,cores"},
		"a record with text in place of a number":       {annotations: map[string]string{HAMiAllocatedKey: ";GPU-a,NVIDIA,lots,0:;;;", HAMiNodeKey: "node1"}, node: "node1", wantSource: SourceHAMi, wantFound: true, wantError: `memory: Invalid value: "lots"`},
		"a legacy allocation of no node is not trusted": {annotations: map[string]string{HAMiAllocatedKey: ";GPU-a,NVIDIA,1,0:;;;"}, node: "node1", wantSource: SourceHAMi, wantFound: true, wantError: "another node"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := threeContainers(tc.annotations)
			pod.Spec.NodeName = tc.node
			got, source, found, err := DecodePod(pod)
			if found != tc.wantFound || source != tc.wantSource {
				t.Errorf("source %q, found %t, want %q, %t", source, found, tc.wantSource, tc.wantFound)
			}
			if (err == nil) != (tc.wantError == "") || err != nil && !strings.Contains(err.Error(), tc.wantError) {
				t.Errorf("error %v, want one with %q", err, tc.wantError)
			}
			if len(got.Containers["main"]) != tc.wantMain {
				t.Errorf("container main has %d slices, want %d: %v", len(got.Containers["main"]), tc.wantMain, got)
			}
		})
	}
}

func TestNodeFormsRoundTrip(t *testing.T) {
	hami, err := EncodeNodeHAMi(cards)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "node-hami.json", hami)
	got, err := DecodeNodeHAMi(hami)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cards, got); diff != "" {
		t.Errorf("HAMi's form (-want,+got):\n%s", diff)
	}

	volcano, err := EncodeNodeVolcano(cards)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "node-volcano.txt", volcano)
	got, err = DecodeNodeVolcano(volcano)
	if err != nil {
		t.Fatal(err)
	}
	want := []device.Card{cards[0], cards[1]}
	want[1].NUMA = 0 // which that form does not carry
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Volcano's form (-want,+got):\n%s", diff)
	}
}

func TestDecodeNode(t *testing.T) {
	hami, err := EncodeNodeHAMi(cards)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		annotations           map[string]string
		wantCards             int
		wantLegacy, wantFound bool
		wantError             string
	}{
		"a node without registration": {},
		"our own agent's node":        {annotations: map[string]string{HAMiNodeRegisterKey: hami, AgentKey: AgentVersion}, wantCards: 2, wantFound: true},
		"HAMi's form goes before the other": {annotations: map[string]string{HAMiNodeRegisterKey: hami, VolcanoNodeRegisterKey: "GPU-z,1,1,T,true,hami-core:"},
			wantCards: 2, wantLegacy: true, wantFound: true},
		"Volcano's form": {annotations: map[string]string{VolcanoNodeRegisterKey: "GPU-z,1,1,T,true,hami-core:"}, wantCards: 1, wantLegacy: true, wantFound: true},
		"five fields":    {annotations: map[string]string{VolcanoNodeRegisterKey: "GPU-z,1,1,T,true:"}, wantLegacy: true, wantFound: true, wantError: "has 5 fields"},
		"a negative count": {annotations: map[string]string{VolcanoNodeRegisterKey: "GPU-z,-1,1,T,true,hami-core:"}, wantLegacy: true, wantFound: true,
			wantError: `cards[0].count: Invalid value: "-1"`},
		"an unknown mode": {annotations: map[string]string{VolcanoNodeRegisterKey: "GPU-z,1,1,T,true,magic:"}, wantLegacy: true, wantFound: true,
			wantError: `cards[0].mode: Unsupported value: "magic"`},
		"one card twice": {annotations: map[string]string{HAMiNodeRegisterKey: `[{"id":"a","count":1},{"id":"a","count":1}]`}, wantLegacy: true, wantFound: true,
			wantError: "cards[1].uuid: Duplicate"},
		"no JSON": {annotations: map[string]string{HAMiNodeRegisterKey: "GPU-z,1"}, wantLegacy: true, wantFound: true, wantError: HAMiNodeRegisterKey},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, legacy, found, err := DecodeNode(tc.annotations)
			if legacy != tc.wantLegacy || found != tc.wantFound || len(got) != tc.wantCards {
				t.Errorf("%d cards, legacy %t, found %t, want %d, %t, %t", len(got), legacy, found, tc.wantCards, tc.wantLegacy, tc.wantFound)
			}
			if (err == nil) != (tc.wantError == "") || err != nil && !strings.Contains(err.Error(), tc.wantError) {
				t.Errorf("error %v, want one with %q", err, tc.wantError)
			}
		})
	}
}
