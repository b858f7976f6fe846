package request

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Names are the resource names of one dialect. All but Count may be empty: the dialect then lacks
// that resource.
type Names struct {
	Count, Memory, MemoryPercentage, Cores, Priority v1.ResourceName
}

// Options say how requests are read. The zero value is not usable: start from Defaults.
type Options struct {
	// DefaultMemory is what a container gets per card when it names neither memory nor percentage; zero
	// means the whole card.
	DefaultMemory device.MiB
	// DefaultCores is what a container gets per card when it names no cores.
	DefaultCores device.CorePercent
	// MemoryFactor is how many MiB one unit of the memory resources means.
	MemoryFactor int
	// Names are the dialects, each with its own set of names.
	Names []Names
}

// Defaults returns the published names of HAMi and of Volcano vGPU, with MiB as the unit of memory.
func Defaults() Options {
	return Options{
		MemoryFactor: 1,
		Names: []Names{
			{
				Count:            "nvidia.com/gpu",
				Memory:           "nvidia.com/gpumem",
				MemoryPercentage: "nvidia.com/gpumem-percentage",
				Cores:            "nvidia.com/gpucores",
				Priority:         "nvidia.com/priority",
			},
			{
				Count:            "volcano.sh/vgpu-number",
				Memory:           "volcano.sh/vgpu-memory",
				MemoryPercentage: "volcano.sh/vgpu-memory-percentage",
				Cores:            "volcano.sh/vgpu-cores",
			},
		},
	}
}

// CountNames returns the names that the node agent advertises to the kubelet.
func (o Options) CountNames() []v1.ResourceName {
	names := make([]v1.ResourceName, 0, len(o.Names))
	for _, n := range o.Names {
		names = append(names, n.Count)
	}
	return names
}

// IgnoredNames returns the names that only we judge: schedulers that compare scalars must be told to
// leave them alone, because they are per card and count once there.
func (o Options) IgnoredNames() []string {
	var names []string
	for _, n := range o.Names {
		for _, name := range n.amounts() {
			names = append(names, string(name))
		}
	}
	return names
}

// amounts returns the set names other than the count.
func (n Names) amounts() []v1.ResourceName {
	var names []v1.ResourceName
	for _, name := range []v1.ResourceName{n.Memory, n.MemoryPercentage, n.Cores, n.Priority} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Validate returns all that is wrong with the options.
func (o Options) Validate() field.ErrorList {
	return nil
}
