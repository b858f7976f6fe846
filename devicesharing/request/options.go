package request

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Names are the resource names of one dialect. All but Count may be empty: the dialect then lacks
// that resource.
type Names struct {
	Count, Memory, MemoryPercentage, Cores, Priority v1.ResourceName
}

// MaxMemory is the largest amount of memory per card, in MiB, that can be asked: far above any card,
// and far below where sums over a cluster could overflow.
const MaxMemory = 1<<31 - 1

// MaxCount is the largest number of cards that a container can ask.
const MaxCount = 1<<16 - 1

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

const fieldCount = "count"

// namedField is one resource name with the name of its option.
type namedField struct {
	field string
	name  v1.ResourceName
}

// fields returns every name of the dialect, the empty ones too.
func (n Names) fields() []namedField {
	return []namedField{
		{fieldCount, n.Count},
		{"memory", n.Memory},
		{"memoryPercentage", n.MemoryPercentage},
		{"cores", n.Cores},
		{"priority", n.Priority},
	}
}

// amounts returns the set names other than the count.
func (n Names) amounts() []v1.ResourceName {
	var names []v1.ResourceName
	for _, f := range n.fields() {
		if f.field != fieldCount && f.name != "" {
			names = append(names, f.name)
		}
	}
	return names
}

// Validate returns all that is wrong with the options.
func (o Options) Validate() field.ErrorList {
	var errs field.ErrorList
	if o.MemoryFactor < 1 || o.MemoryFactor > MaxMemory {
		errs = append(errs, field.Invalid(field.NewPath("memoryFactor"), o.MemoryFactor,
			fmt.Sprintf("must be between 1 and %d", MaxMemory)))
	}
	if o.DefaultMemory > MaxMemory {
		errs = append(errs, field.Invalid(field.NewPath("defaultMemory"), o.DefaultMemory,
			fmt.Sprintf("must be at most %d MiB", MaxMemory)))
	}
	if o.DefaultCores > device.WholeCard {
		errs = append(errs, field.Invalid(field.NewPath("defaultCores"), o.DefaultCores, "must be at most 100"))
	}
	if len(o.Names) == 0 {
		errs = append(errs, field.Required(field.NewPath("names"), "no resource names to read"))
	}
	return append(errs, o.validateNames(field.NewPath("names"))...)
}

func (o Options) validateNames(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[v1.ResourceName]bool{}
	for i, n := range o.Names {
		p := path.Index(i)
		if n.Count == "" {
			errs = append(errs, field.Required(p.Child("count"), "every dialect counts cards"))
		}
		for _, f := range n.fields() {
			if f.name == "" {
				continue
			}
			for _, msg := range validation.IsQualifiedName(string(f.name)) {
				errs = append(errs, field.Invalid(p.Child(f.field), f.name, msg))
			}
			if seen[f.name] {
				errs = append(errs, field.Duplicate(p.Child(f.field), f.name))
			}
			seen[f.name] = true
			errs = append(errs, o.validateIgnored(p.Child(f.field), f)...)
		}
	}
	return errs
}

// validateIgnored refuses a name whose presence on Volcano's ignored list would hide a counted one:
// one of Volcano's look-ups in that list matches parts of names.
func (o Options) validateIgnored(path *field.Path, f namedField) field.ErrorList {
	if f.field == fieldCount {
		return nil
	}
	var errs field.ErrorList
	for _, count := range o.CountNames() {
		if strings.Contains(string(count), string(f.name)) {
			errs = append(errs, field.Invalid(path, f.name,
				fmt.Sprintf("must not be part of the count resource %s", count)))
		}
	}
	return errs
}
