package volcano_test

import (
	"strings"
	"testing"

	"github.com/basalt-gpu/basalt/plugins/volcano"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

func TestConfigurationIsJudgedBeforeTheStart(t *testing.T) {
	tests := map[string]struct {
		text         string
		wantWarnings []string
		wantErr      string
	}{
		"ours is listed": {text: vt.Configuration("enqueue, allocate, backfill", "deviceshare.VGPUEnable: true")},
		"in-tree mode is on": {
			text: vt.Configuration("allocate", "deviceshare.GPUNumberEnable: true"), wantErr: "deviceshare.GPUNumberEnable",
		},
		"not readable":             {text: "actions: [", wantErr: "read scheduler configuration"},
		"action that is not there": {text: vt.Configuration("dance", ""), wantErr: "dance"},
		"Volcano's default has no device sharing": {
			text: volcano.DefaultConfiguration(), wantWarnings: []string{"deviceshare is in no tier"},
		},
		"switched off": {
			text: vt.Configuration("allocate", "deviceshare.VGPUEnable: false"), wantWarnings: []string{"no devices are shared"},
		},
	}
	quota := func(actionNames string, tiers ...[]string) string { return vt.ConfigurationOf(actionNames, tiers...) }
	ours := []string{"name: predicates", "name: deviceshare"}
	for name, tc := range map[string]struct {
		text         string
		wantWarnings []string
		wantErr      string
	}{
		"quotas before capacity":   {text: quota("allocate", ours, []string{"name: gpuquota", "name: capacity"})},
		"quotas before proportion": {text: quota("allocate", ours, []string{"name: gpuquota", "name: proportion"})},
		"quotas after capacity": {text: quota("allocate", ours, []string{"name: capacity", "name: gpuquota"}),
			wantErr: "tiers[1].plugins[1]: plugin gpuquota must stand before plugin capacity"},
		"quotas in another tier": {text: quota("allocate", append([]string{"name: gpuquota"}, ours...), []string{"name: proportion"}),
			wantErr: "tiers[0].plugins[0]: plugin gpuquota must be in the tier of plugin proportion, tiers[1]"},
		"victims are named in another tier": {text: quota("allocate, reclaim", append([]string{"name: gang"}, ours...), []string{"name: gpuquota", "name: capacity"}),
			wantErr: "tiers[0].plugins[0]: plugin gang names victims of action reclaim"},
		"victims are named in a later tier": {text: quota("allocate, reclaim", append([]string{"name: gpuquota", "name: capacity"}, ours...), []string{"name: conformance"}),
			wantErr: "tiers[1].plugins[0]: plugin conformance names victims of action reclaim"},
		"nobody reclaims": {text: quota("allocate", append([]string{"name: gang"}, ours...), []string{"name: gpuquota", "name: capacity"})},
		"it has no say in reclaim": {text: quota("allocate, reclaim", append([]string{"name: gang\n    enableReclaimable: false"}, ours...),
			[]string{"name: gpuquota", "name: capacity", "name: conformance"})},
		"quotas alone": {text: quota("allocate", append([]string{"name: gpuquota"}, ours...)), wantWarnings: []string{"queues are limited by devices only"}},
		"quotas without devices": {text: quota("allocate", []string{"name: predicates"}, []string{"name: gpuquota", "name: capacity"}),
			wantWarnings: []string{"deviceshare is in no tier", "gpuquota has nothing to judge"}},
	} {
		tests[name] = tc
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			vt.New(t) // Registers the actions that configurations name.
			warnings, err := volcano.CheckConfiguration(tc.text)
			if (err != nil) != (tc.wantErr != "") || (err != nil && !strings.Contains(err.Error(), tc.wantErr)) {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
			if all := strings.Join(warnings, "\n"); !someHasAll([]string{all}, tc.wantWarnings) || (tc.wantWarnings == nil && all != "") {
				t.Errorf("warnings %q, want parts %q", all, tc.wantWarnings)
			}
		})
	}
}
