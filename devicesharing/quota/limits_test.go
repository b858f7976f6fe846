package quota_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

func list(pairs ...string) v1.ResourceList {
	l := v1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[v1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

// bounds limits the given dimensions.
func bounds(values map[quota.Dimension]uint64) quota.Bounds {
	var b quota.Bounds
	for d, v := range values {
		b.Set[d], b.Value[d] = true, v
	}
	return b
}

func TestQueueLimitsAreReadInEveryDialect(t *testing.T) {
	want := bounds(map[quota.Dimension]uint64{quota.Slots: 8, quota.Memory: 64000, quota.Cores: 400, quota.Cards: 3500})
	tests := map[string]v1.ResourceList{
		"HAMi":       list("nvidia.com/gpu", "8", "nvidia.com/gpumem", "64k", "nvidia.com/gpucores", "400", "basalt.io/gpu-cards", "3500m"),
		"Volcano":    list("volcano.sh/vgpu-number", "8", "volcano.sh/vgpu-memory", "64000", "volcano.sh/vgpu-cores", "400", "basalt.io/gpu-cards", "3.5"),
		"both agree": list("nvidia.com/gpu", "8", "volcano.sh/vgpu-number", "8", "volcano.sh/vgpu-memory", "64000", "nvidia.com/gpucores", "400", "basalt.io/gpu-cards", "3.5"),
		"others are left alone": list("cpu", "4", "memory", "4Gi", "example.com/thing", "500m",
			"nvidia.com/gpu", "8", "nvidia.com/gpumem", "64k", "nvidia.com/gpucores", "400", "basalt.io/gpu-cards", "3.5"),
	}
	for name, capability := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := quota.ParseLimits(quota.Spec{Capability: capability}, request.Defaults())
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			if diff := cmp.Diff(quota.Limits{Capability: want}, got); diff != "" {
				t.Errorf("limits (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestMemoryOfLimitsHasTheUnitOfRequests(t *testing.T) {
	o := request.Defaults()
	o.MemoryFactor = 256
	got, errs := quota.ParseLimits(quota.Spec{Deserved: list("nvidia.com/gpumem", "10")}, o)
	if len(errs) > 0 || got.Deserved.Value[quota.Memory] != 2560 {
		t.Errorf("memory is %d, errors %v", got.Deserved.Value[quota.Memory], errs)
	}
	if v := quota.ListCharge(list("nvidia.com/gpu", "2", "nvidia.com/gpumem", "10"), o, fleet()); v != vector(2, 2560, 0, 32) {
		t.Errorf("summed requests are charged %v", v)
	}
}

func TestLimitsAreRefusedWithTheirPath(t *testing.T) {
	tests := map[string]struct {
		spec quota.Spec
		want []string
	}{
		"negative":         {spec: quota.Spec{Capability: list("nvidia.com/gpumem", "-1")}, want: []string{"spec.capability[nvidia.com/gpumem]", `"-1"`, "negative"}},
		"half a slot":      {spec: quota.Spec{Deserved: list("nvidia.com/gpu", "500m")}, want: []string{"spec.deserved[nvidia.com/gpu]", "whole number"}},
		"bytes for MiB":    {spec: quota.Spec{Capability: list("nvidia.com/gpumem", "64Gi")}, want: []string{"spec.capability[nvidia.com/gpumem]", "64Gi", "the unit is 1 MiB"}},
		"a millionth card": {spec: quota.Spec{Guarantee: list("basalt.io/gpu-cards", "1u")}, want: []string{"spec.guarantee.resource[basalt.io/gpu-cards]", "thousandth"}},
		"too many cards":   {spec: quota.Spec{Guarantee: list("basalt.io/gpu-cards", "1e12")}, want: []string{"at most"}},
		"dialects differ": {spec: quota.Spec{Capability: list("nvidia.com/gpu", "8", "volcano.sh/vgpu-number", "9")},
			want: []string{"spec.capability[volcano.sh/vgpu-number]", "differs from nvidia.com/gpu"}},
		"percentage": {spec: quota.Spec{Capability: list("nvidia.com/gpumem-percentage", "50")}, want: []string{"spec.capability[nvidia.com/gpumem-percentage]", "nvidia.com/gpumem", "basalt.io/gpu-cards"}},
		"priority":   {spec: quota.Spec{Capability: list("nvidia.com/priority", "1")}, want: []string{"spec.capability[nvidia.com/priority]", "cannot be limited"}},
		"deserved above the wall": {spec: quota.Spec{Capability: list("basalt.io/gpu-cards", "2"), Deserved: list("basalt.io/gpu-cards", "3")},
			want: []string{"spec.deserved", "3 cards", "spec.capability, 2 cards"}},
		"guarantee above the wall": {spec: quota.Spec{Capability: list("nvidia.com/gpucores", "200"), Guarantee: list("nvidia.com/gpucores", "300")},
			want: []string{"spec.guarantee.resource", "300 percent", "200 percent"}},
		"all at once": {spec: quota.Spec{Capability: list("nvidia.com/gpumem", "-1"), Deserved: list("nvidia.com/gpu", "-2")},
			want: []string{"spec.capability[nvidia.com/gpumem]", "spec.deserved[nvidia.com/gpu]"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := quota.ParseLimits(tc.spec, request.Defaults())
			if len(errs) == 0 || !got.Empty() {
				t.Fatalf("errors %v, limits %+v", errs, got)
			}
			for _, part := range tc.want {
				if text := errs.ToAggregate().Error(); !strings.Contains(text, part) {
					t.Errorf("%q does not say %q", text, part)
				}
			}
		})
	}
}

func TestHardLimitsOfANamespace(t *testing.T) {
	tests := map[string]struct {
		hard     v1.ResourceList
		want     quota.Bounds
		wantText string
	}{
		"limits":                  {hard: list("limits.nvidia.com/gpumem", "64000", "limits.nvidia.com/gpucores", "300", "pods", "10"), want: bounds(map[quota.Dimension]uint64{quota.Memory: 64000, quota.Cores: 300})},
		"requests":                {hard: list("requests.volcano.sh/vgpu-number", "4"), want: bounds(map[quota.Dimension]uint64{quota.Slots: 4})},
		"the tighter of both":     {hard: list("limits.nvidia.com/gpu", "8", "requests.nvidia.com/gpu", "4"), want: bounds(map[quota.Dimension]uint64{quota.Slots: 4})},
		"zero forbids":            {hard: list("limits.nvidia.com/gpu", "0"), want: bounds(map[quota.Dimension]uint64{quota.Slots: 0})},
		"a name without its part": {hard: list("nvidia.com/gpumem", "64000")},
		"percentage":              {hard: list("limits.nvidia.com/gpumem-percentage", "50"), wantText: "spec.hard[limits.nvidia.com/gpumem-percentage]"},
		"negative":                {hard: list("requests.nvidia.com/gpu", "-4"), wantText: "spec.hard[requests.nvidia.com/gpu]"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := quota.ParseHard(tc.hard, request.Defaults())
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("bounds (-want,+got):\n%s", diff)
			}
			if tc.wantText == "" && len(errs) > 0 || tc.wantText != "" && (len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), tc.wantText)) {
				t.Errorf("errors %v, want %q", errs, tc.wantText)
			}
		})
	}
}

// Schedulers that look for ignored names by substring must not lose a counted one.
func TestIgnoredNamesHideNoCountedName(t *testing.T) {
	o := request.Defaults()
	ignored := quota.IgnoredNames(o)
	if !slices.Contains(ignored, "basalt.io/gpu-cards") || !slices.Contains(ignored, "volcano.sh/vgpu-memory") {
		t.Errorf("ignored names are %v", ignored)
	}
	for _, name := range ignored {
		for _, counted := range o.CountNames() {
			if strings.Contains(string(counted), name) {
				t.Errorf("ignored %s is part of counted %s", name, counted)
			}
		}
	}
}
