package request

import (
	"fmt"
	"slices"
	"strconv"
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
	NUMABindKey         = "nvidia.com/numa-bind"
)

func parseAnnotations(annotations map[string]string) (Selector, Policy, field.ErrorList) {
	path := field.NewPath("metadata", "annotations")
	var s Selector
	var errs, keyErrs field.ErrorList
	s.UseUUIDs, keyErrs = oneOf(path, annotations, UseUUIDKey, VolcanoUseUUIDKey)
	errs = append(errs, keyErrs...)
	s.UseTypes = List(annotations[UseTypeKey])
	s.NoUseTypes = List(annotations[NoUseTypeKey])
	// Exclusions add up: a card named by either is excluded.
	s.NoUseUUIDs = slices.Concat(List(annotations[NoUseUUIDKey]), List(annotations[VolcanoNoUseUUIDKey]))
	s.Mode, keyErrs = parseMode(path, annotations)
	errs = append(errs, keyErrs...)
	s.NUMABind, keyErrs = parseBool(path, annotations, NUMABindKey)
	errs = append(errs, keyErrs...)
	policy, keyErrs := ParsePolicy(path, annotations, PodPolicyKeys())
	return s, policy, append(errs, keyErrs...)
}

// oneOf reads a list that may stand under two keys, but not with two meanings.
func oneOf(path *field.Path, annotations map[string]string, key, other string) ([]string, field.ErrorList) {
	a, b := List(annotations[key]), List(annotations[other])
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
	if len(List(annotations[key])) == 0 {
		key = VolcanoModeKey
	}
	for _, m := range modes {
		if !device.Mode(m).Known() {
			errs = append(errs, field.NotSupported(path.Key(key), device.Mode(m), device.Modes()))
		}
	}
	return device.Mode(strings.Join(modes, ",")), errs
}

func parseBool(path *field.Path, annotations map[string]string, key string) (bool, field.ErrorList) {
	text, ok := annotations[key]
	if text = strings.TrimSpace(text); !ok || text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, field.ErrorList{field.NotSupported(path.Key(key), text, []string{"true", "false"})}
	}
	return v, nil
}

// List splits a comma list; blanks around the parts and empty parts mean nothing.
func List(s string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
