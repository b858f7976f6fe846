package kubelet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goldenFile = "testdata/kubelet-1.34-checkpoint.json"

var goldenResources = []string{"nvidia.com/gpu", "volcano.sh/vgpu-number"}

func golden(tb testing.TB) []byte {
	tb.Helper()
	raw, err := os.ReadFile(goldenFile)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestCheckpointOfTheKubeletIsRead(t *testing.T) {
	got, err := DecodeCheckpoint(golden(t), goldenResources...)
	if err != nil {
		t.Fatalf("DecodeCheckpoint: %v", err)
	}
	want := []Holder{
		{PodUID: "8f3f7c52-6a52-4a0e-9d3e-1d2a6c1f0001", Container: "init", Resource: "nvidia.com/gpu",
			IDs: []string{"GPU-a::3", "GPU-b::0"}, CDINames: []string{"basalt.io/slice=0123456789abcdef0123456789abcdef"}},
		{PodUID: "8f3f7c52-6a52-4a0e-9d3e-1d2a6c1f0001", Container: "main", Resource: "nvidia.com/gpu",
			IDs: []string{"GPU-a::3"}, CDINames: []string{"basalt.io/slice=fedcba9876543210fedcba9876543210"}},
		{PodUID: "8f3f7c52-6a52-4a0e-9d3e-1d2a6c1f0002", Container: "main", Resource: "volcano.sh/vgpu-number",
			IDs: []string{"GPU-a::3"}, CDINames: []string{"basalt.io/slice=00000000000000000000000000000002"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("holders (-want,+got)\n%s", diff)
	}
}

func TestCheckpointForms(t *testing.T) {
	entry := func(ids, resp string) string {
		return `{"Data":{"PodDeviceEntries":[{"PodUID":"u","ContainerName":"c","ResourceName":"nvidia.com/gpu","DeviceIDs":` + ids + `,"AllocResp":"` + resp + `"}]},"Checksum":1}`
	}
	tests := map[string]struct {
		raw     string
		wantIDs []string
		wantErr string
	}{
		"ids as a plain list, as before Kubernetes 1.20": {raw: entry(`["b","a"]`, ""), wantIDs: []string{"a", "b"}},
		"an id near two NUMA nodes counts once":          {raw: entry(`{"0":["a"],"1":["a","b"]}`, ""), wantIDs: []string{"a", "b"}},
		"a file cut short is refused":                    {raw: entry(`["a"]`, "")[:60], wantErr: "decode kubelet device checkpoint"},
		"ids of no known form are refused":               {raw: entry(`"a"`, ""), wantErr: "neither a list nor lists by NUMA node"},
		"a response that is no message is refused":       {raw: entry(`["a"]`, "////"), wantErr: "stored Allocate response of pod u"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeCheckpoint([]byte(tc.raw), goldenResources...)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || len(got) != 1 {
				t.Fatalf("%d holders, %v", len(got), err)
			}
			if diff := cmp.Diff(tc.wantIDs, got[0].IDs); diff != "" {
				t.Errorf("ids (-want,+got)\n%s", diff)
			}
		})
	}
}

func TestMissingCheckpointMeansNoHolders(t *testing.T) {
	got, err := NewCheckpoint(filepath.Join(t.TempDir(), "kubelet"), goldenResources).Holders()
	if err != nil || len(got) != 0 {
		t.Errorf("holders %v, %v; want none", got, err)
	}
}

func FuzzDecodeCheckpoint(f *testing.F) {
	f.Add(golden(f))
	f.Add([]byte(`{"Data":{"PodDeviceEntries":[{"DeviceIDs":{"x":null}}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		holders, err := DecodeCheckpoint(raw, goldenResources...)
		if err != nil {
			return
		}
		for _, h := range holders {
			if h.Resource != goldenResources[0] && h.Resource != goldenResources[1] {
				t.Errorf("holder of %q, which was not asked for", h.Resource)
			}
		}
	})
}
