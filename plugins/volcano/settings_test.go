package volcano

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

func TestSettingsAreReadUnderEveryPublishedType(t *testing.T) {
	tests := map[string]struct {
		args    framework.Arguments
		want    settings
		wantErr []string
	}{
		"nothing said: enabled, core's policies": {want: settings{enabled: true, weight: defaultWeight}},
		"as documented": {
			args: framework.Arguments{argVGPU: true, argPolicy: "spread", argWeight: 5},
			want: settings{enabled: true, policy: "spread", weight: 5},
		},
		"numbers and booleans as text": {
			args: framework.Arguments{argVGPU: "false", argWeight: "7"}, want: settings{weight: 7},
		},
		"weight of zero switches scoring off": {
			args: framework.Arguments{argWeight: 0.0}, want: settings{enabled: true},
		},
		"arguments without meaning are named": {
			args: framework.Arguments{argNodeLock: true, argGeometriesName: "cm", "deviceshare.New": 1},
			want: settings{enabled: true, weight: defaultWeight, notes: []string{
				"deviceshare.KnownGeometriesCMName (MIG geometries come from the node's agent)",
				"deviceshare.New (unknown argument)",
				"deviceshare.NodeLockEnable (allocations are written in the Binding, there is no node lock)",
			}},
		},
		"switches that are off are fine": {
			args: framework.Arguments{argGPUSharing: false, argGPUNumber: "false", argAscendHAMi: false, argAscendMindCluster: false},
			want: settings{enabled: true, weight: defaultWeight},
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
				if text := errs.ToAggregate().Error(); !someHasAll([]string{text}, tc.wantErr) {
					t.Errorf("error %q, want parts %q", text, tc.wantErr)
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

func TestConfigurationIsJudgedBeforeTheStart(t *testing.T) {
	tests := map[string]struct {
		text         string
		wantWarnings []string
		wantErr      string
	}{
		"ours is listed": {text: configuration("enqueue, allocate, backfill", "deviceshare.VGPUEnable: true")},
		"in-tree mode is on": {
			text: configuration("allocate", "deviceshare.GPUNumberEnable: true"), wantErr: argGPUNumber,
		},
		"not readable":             {text: "actions: [", wantErr: "read scheduler configuration"},
		"action that is not there": {text: configuration("dance", ""), wantErr: "dance"},
		"Volcano's default has no device sharing": {
			text: DefaultConfiguration(), wantWarnings: []string{"deviceshare is in no tier"},
		},
		"switched off": {
			text: configuration("allocate", "deviceshare.VGPUEnable: false"), wantWarnings: []string{"no devices are shared"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			newCluster(t, node(t, "node1", 1)) // Registers the actions that configurations name.
			warnings, err := CheckConfiguration(tc.text)
			if (err != nil) != (tc.wantErr != "") || (err != nil && !strings.Contains(err.Error(), tc.wantErr)) {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
			if all := strings.Join(warnings, "\n"); !someHasAll([]string{all}, tc.wantWarnings) || (tc.wantWarnings == nil && all != "") {
				t.Errorf("warnings %q, want parts %q", all, tc.wantWarnings)
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
