package volcano

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/plugins/volcano/planning"
)

func TestSettingsAreReadUnderEveryPublishedType(t *testing.T) {
	tests := map[string]struct {
		args    framework.Arguments
		want    settings
		wantErr []string
	}{
		"nothing said: enabled, core's policies": {want: settings{enabled: true, weight: defaultWeight, gangPlan: planning.Auto}},
		"as documented": {
			args: framework.Arguments{argVGPU: true, argPolicy: "spread", argWeight: 5},
			want: settings{enabled: true, policy: request.Policy{Node: score.NodeSpread, Card: score.Spread}, weight: 5, gangPlan: planning.Auto},
		},
		"our own policies": {
			args: framework.Arguments{argPolicy: "binpack", argNodePolicy: "spread", argCardPolicy: "numa, binpack"},
			want: settings{enabled: true, policy: request.Policy{Node: score.NodeSpread, Card: score.Chain(score.NUMA, score.Binpack)}, weight: defaultWeight, gangPlan: planning.Auto},
		},
		"policies that are refused": {
			args:    framework.Arguments{argNodePolicy: "mutex", argCardPolicy: "best", argCardWeights: 3},
			wantErr: []string{"arguments[deviceshare.NodePolicy]", "mutex", "arguments[deviceshare.CardPolicy]", "best", "arguments[deviceshare.CardWeights]", "must be text"},
		},
		"numbers and booleans as text": {
			args: framework.Arguments{argVGPU: "false", argWeight: "7"}, want: settings{weight: 7, gangPlan: planning.Auto},
		},
		"weight of zero switches scoring off": {
			args: framework.Arguments{argWeight: 0.0}, want: settings{enabled: true, gangPlan: planning.Auto},
		},
		"arguments without meaning are named": {
			args: framework.Arguments{argNodeLock: true, argGeometriesName: "cm", "deviceshare.New": 1},
			want: settings{enabled: true, weight: defaultWeight, gangPlan: planning.Auto, notes: []string{
				"deviceshare.KnownGeometriesCMName (MIG geometries come from the node's agent)",
				"deviceshare.New (unknown argument)",
				"deviceshare.NodeLockEnable (allocations are written in the Binding, there is no node lock)",
			}},
		},
		"switches that are off are fine": {
			args: framework.Arguments{argGPUSharing: false, argGPUNumber: "false", argAscendHAMi: false, argAscendMindCluster: false},
			want: settings{enabled: true, weight: defaultWeight, gangPlan: planning.Auto},
		},
		"all errors at once, with the way out": {
			args:    framework.Arguments{argGPUSharing: true, argGPUNumber: "true", argAscendHAMi: true, argAscendMindCluster: true, argWeight: -1, argPolicy: "best", argVGPU: "perhaps"},
			wantErr: []string{argGPUSharing, "volcano.sh/vgpu-memory", argGPUNumber, argAscendHAMi, argAscendMindCluster, "Ascend nodes", argWeight, "-1", argPolicy, "best", argVGPU, "perhaps"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := parseSettings(tc.args)
			if tc.wantErr != nil {
				if len(errs) == 0 {
					t.Fatal("no error")
				}
				for _, part := range tc.wantErr {
					if text := errs.ToAggregate().Error(); !strings.Contains(text, part) {
						t.Errorf("error %q, want part %q", text, part)
					}
				}
				return
			}
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(settings{})); diff != "" {
				t.Errorf("settings (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestIgnoredNameInsideACountedOneIsRefused(t *testing.T) {
	o := request.Defaults()
	o.Names = append(o.Names, request.Names{Count: "example.com/gpu-slices", Memory: "example.com/gpu"})
	if err := checkIgnored(o); err == nil || !strings.Contains(err.Error(), "example.com/gpu-slices") {
		t.Errorf("error %v", err)
	}
	if err := checkIgnored(request.Defaults()); err != nil {
		t.Error(err)
	}
}
