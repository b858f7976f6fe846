package request

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// The pod annotations by which users narrow down cards. Volcano vGPU and HAMi share the type keys.
const (
	UseUUIDKey          = "nvidia.com/use-gpuuuid"
	NoUseUUIDKey        = "nvidia.com/nouse-gpuuuid"
	UseTypeKey          = "nvidia.com/use-gputype"
	NoUseTypeKey        = "nvidia.com/nouse-gputype"
	ModeKey             = "nvidia.com/vgpu-mode"
	VolcanoUseUUIDKey   = "volcano.sh/vgpu-use-gpuuuid"
	VolcanoNoUseUUIDKey = "volcano.sh/vgpu-nouse-gpuuuid"
	VolcanoModeKey      = "volcano.sh/vgpu-mode"
	// PolicyKey is how cards are chosen on a node.
	PolicyKey = "hami.io/gpu-scheduler-policy"
)

// The policies by which cards are chosen.
const (
	PolicyBinpack = "binpack"
	PolicySpread  = "spread"
)

// preferences are published policies that only prefer cards: without them a pod runs all the same.
var preferences = []string{"numa", "topology-aware"}

func parseAnnotations(annotations map[string]string) (Selector, string, field.ErrorList) {
	path := field.NewPath("metadata", "annotations")
	var s Selector
	var errs, keyErrs field.ErrorList
	s.UseUUIDs, keyErrs = oneOf(path, annotations, UseUUIDKey, VolcanoUseUUIDKey)
	errs = append(errs, keyErrs...)
	s.UseTypes = list(annotations[UseTypeKey])
	s.NoUseTypes = list(annotations[NoUseTypeKey])
	// Exclusions add up: a card named by either is excluded.
	s.NoUseUUIDs = slices.Concat(list(annotations[NoUseUUIDKey]), list(annotations[VolcanoNoUseUUIDKey]))
	s.Mode, keyErrs = parseMode(path, annotations)
	errs = append(errs, keyErrs...)
	policy, keyErrs := parsePolicy(path, annotations)
	return s, policy, append(errs, keyErrs...)
}

// oneOf reads a list that may stand under two keys, but not with two meanings.
func oneOf(path *field.Path, annotations map[string]string, key, other string) ([]string, field.ErrorList) {
	a, b := list(annotations[key]), list(annotations[other])
	switch {
	case len(b) == 0 || slices.Equal(a, b):
		return a, nil
	case len(a) == 0:
		return b, nil
	}
	return nil, field.ErrorList{field.Invalid(path.Key(other), annotations[other],
		fmt.Sprintf("must equal %s where both are set", key))}
}

func parseMode(path *field.Path, annotations map[string]string) (device.Mode, field.ErrorList) {
	modes, errs := oneOf(path, annotations, ModeKey, VolcanoModeKey)
	key := ModeKey
	if len(list(annotations[key])) == 0 {
		key = VolcanoModeKey
	}
	for _, m := range modes {
		if !device.Mode(m).Known() {
			errs = append(errs, field.NotSupported(path.Key(key), device.Mode(m), device.Modes()))
		}
	}
	return device.Mode(strings.Join(modes, ",")), errs
}

func parsePolicy(path *field.Path, annotations map[string]string) (string, field.ErrorList) {
	policy := ""
	var errs field.ErrorList
	for _, p := range list(annotations[PolicyKey]) {
		switch {
		case p == PolicyBinpack || p == PolicySpread:
			if policy == "" {
				policy = p
			}
		case slices.Contains(preferences, p):
		default:
			errs = append(errs, field.NotSupported(path.Key(PolicyKey), p,
				append([]string{PolicyBinpack, PolicySpread}, preferences...)))
		}
	}
	return policy, errs
}

// list splits a comma list; blanks around the parts and empty parts mean nothing.
func list(s string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
