package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// AllocationKey is the pod annotation that says which cards the pod got. The scheduler writes it in
// the Binding, nobody else may.
const AllocationKey = "basalt.io/allocation"

// AllocationVersion is the version that EncodeAllocation writes and the only one that
// DecodeAllocation reads: a field that a newer scheduler added could be the one that limits a
// container.
const AllocationVersion = 1

// MaxAllocationBytes bounds the encoded allocation of one pod.
const MaxAllocationBytes = 4096

// ErrTooLarge says that an allocation does not fit into its annotation.
var ErrTooLarge = errors.New("allocation is too large")

// Slice is one container's part of one card.
type Slice struct {
	UUID   string             `json:"uuid"`
	Memory device.MiB         `json:"memoryMiB"`
	Cores  device.CorePercent `json:"cores"`
	// Shares is how many of the card's shares the slice takes, where it is more than one: all of them,
	// for a container that has the card to itself.
	Shares device.Shares `json:"shares,omitempty"`
}

// Allocation is what the containers of a pod got, by container name.
type Allocation struct {
	Version    int                `json:"version"`
	Node       string             `json:"node"`
	Containers map[string][]Slice `json:"containers"`
}

// EncodeAllocation returns the annotation value. The same allocation always gives the same text.
func EncodeAllocation(a Allocation) (string, error) {
	if errs := a.Validate(); len(errs) > 0 {
		return "", fmt.Errorf("encode allocation: %w", errs.ToAggregate())
	}
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode allocation: %w", err)
	}
	if len(text) > MaxAllocationBytes {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(text), MaxAllocationBytes)
	}
	return string(text), nil
}

// DecodeAllocation reads the annotation value.
func DecodeAllocation(s string) (Allocation, error) {
	if len(s) > MaxAllocationBytes {
		return Allocation{}, fmt.Errorf("decode allocation: %w: %d bytes, at most %d", ErrTooLarge, len(s), MaxAllocationBytes)
	}
	var a Allocation
	if err := decodeVersioned(s, AllocationVersion, &a); err != nil {
		return Allocation{}, fmt.Errorf("decode allocation: %w", err)
	}
	if errs := a.Validate(); len(errs) > 0 {
		return Allocation{}, fmt.Errorf("decode allocation: %w", errs.ToAggregate())
	}
	return a, nil
}

// Validate returns all that is wrong with the allocation.
func (a Allocation) Validate() field.ErrorList {
	var errs field.ErrorList
	if a.Version != AllocationVersion {
		errs = append(errs, wrongVersion(a.Version, AllocationVersion))
	}
	if a.Node == "" {
		errs = append(errs, field.Required(field.NewPath("node"), "an allocation is of one node"))
	}
	path := field.NewPath("containers")
	if len(a.Containers) == 0 {
		errs = append(errs, field.Required(path, "an allocation names at least one container"))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Containers)) {
		if name == "" {
			errs = append(errs, field.Invalid(path.Key(name), name, "must be the name of a container"))
		}
		errs = append(errs, validateSlices(path.Key(name), a.Containers[name])...)
	}
	return errs
}

func validateSlices(path *field.Path, all []Slice) field.ErrorList {
	var errs field.ErrorList
	if len(all) == 0 {
		errs = append(errs, field.Required(path, "a named container has at least one slice"))
	}
	seen := map[string]bool{}
	for i, s := range all {
		p := path.Index(i)
		errs = append(errs, validateUUID(p.Child("uuid"), s.UUID)...)
		if seen[s.UUID] {
			errs = append(errs, field.Duplicate(p.Child("uuid"), s.UUID))
		}
		seen[s.UUID] = true
		if s.Memory == 0 || s.Memory > request.MaxMemory {
			errs = append(errs, field.Invalid(p.Child("memoryMiB"), s.Memory, fmt.Sprintf("must be between 1 and %d", request.MaxMemory)))
		}
		if s.Shares == 1 || s.Shares > request.MaxCount {
			errs = append(errs, field.Invalid(p.Child("shares"), s.Shares, fmt.Sprintf("must be left out or between 2 and %d", request.MaxCount)))
		}
		if s.Cores > maxCores {
			errs = append(errs, field.Invalid(p.Child("cores"), s.Cores, fmt.Sprintf("must be at most %d", maxCores)))
		}
	}
	return errs
}
