package wire

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// AllocationKey is the pod annotation that says which cards the pod got. The scheduler writes it in
// the Binding, nobody else may.
const AllocationKey = "basalt.io/allocation"

// AllocationVersion is the version that EncodeAllocation writes.
const AllocationVersion = 1

// MaxAllocationBytes bounds the encoded allocation of one pod.
const MaxAllocationBytes = 4096

// Slice is one container's part of one card.
type Slice struct {
	UUID   string             `json:"uuid"`
	Memory device.MiB         `json:"memoryMiB"`
	Cores  device.CorePercent `json:"cores"`
}

// Allocation is what the containers of a pod got, by container name.
type Allocation struct {
	Version    int                `json:"version"`
	Node       string             `json:"node"`
	Containers map[string][]Slice `json:"containers"`
}

// EncodeAllocation returns the annotation value.
func EncodeAllocation(a Allocation) (string, error) { return "", nil }

// DecodeAllocation reads the annotation value.
func DecodeAllocation(s string) (Allocation, error) { return Allocation{}, nil }

// Validate returns all that is wrong with the allocation.
func (a Allocation) Validate() field.ErrorList { return nil }

// Source says whose annotation an allocation was read from.
type Source string

// The forms of a pod's allocation.
const (
	SourceBasalt  Source = "basalt"
	SourceHAMi    Source = "hami"
	SourceVolcano Source = "volcano"
)

// DecodePod reads the allocation of a pod.
func DecodePod(pod *v1.Pod) (Allocation, Source, bool, error) { return Allocation{}, "", false, nil }
