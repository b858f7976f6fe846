package server

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsNameEveryFault(t *testing.T) {
	valid := func(change func(*Options)) Options {
		o := Defaults()
		o.NodeName, o.Limiter = "node1", "/lib/libvgpu.so"
		change(&o)
		return o
	}
	tests := map[string]struct {
		opts       Options
		wantFields []string
	}{
		"defaults with a node and a limiter are enough": {opts: valid(func(*Options) {})},
		"a node name and a limiter are needed":          {opts: Defaults(), wantFields: []string{"node-name", "limiter"}},
		"factors have bounds, also those that are no numbers": {
			opts:       valid(func(o *Options) { o.MemoryScaling, o.CoreScaling = 0, math.NaN() }),
			wantFields: []string{"device-memory-scaling", "device-cores-scaling"},
		},
		"cards are split at least once": {
			opts: valid(func(o *Options) { o.SplitCount = 0 }), wantFields: []string{"device-split-count"},
		},
		"paths that the runtime reads are absolute": {
			opts:       valid(func(o *Options) { o.RunDir, o.DevRoot = "run", "." }),
			wantFields: []string{"run-dir", "nvidia-dev-root"},
		},
		"resources that no request is read from are refused": {
			opts:       valid(func(o *Options) { o.CountResources = []string{gpu, "nvidia.com/gpumem", gpu} }),
			wantFields: []string{"count-resources[1]", "count-resources[2]"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range tc.opts.Validate() {
				got = append(got, err.Field)
			}
			if diff := cmp.Diff(tc.wantFields, got); diff != "" {
				t.Errorf("fields (-want,+got)\n%s", diff)
			}
		})
	}
}
