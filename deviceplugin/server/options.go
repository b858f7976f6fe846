package server

import (
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// maxSplit keeps a node of 16 cards below the size at which the kubelet's messages become slow.
const maxSplit = 1000

const maxScaling = 100

// Options are the settings of the node agent.
type Options struct {
	NodeName       string
	KubeletDir     string
	DriverRoot     string
	DevRoot        string
	SplitCount     uint32
	MemoryScaling  float64
	CoreScaling    float64
	CountResources []string
	ContextMemory  device.MiB
	SchedulerName  string
	CDIDir         string
	RunDir         string
	StateDir       string
	LibraryDir     string
	Limiter        string
	HealthzAddress string
	Request        request.Options
}

// Defaults returns the settings of a node without any of its own.
func Defaults() Options {
	o := Options{
		KubeletDir:     "/var/lib/kubelet",
		DriverRoot:     "/",
		SplitCount:     10,
		MemoryScaling:  1,
		CoreScaling:    1,
		ContextMemory:  300,
		SchedulerName:  "volcano",
		CDIDir:         "/var/run/cdi",
		RunDir:         "/run/basalt",
		StateDir:       "/var/lib/basalt",
		LibraryDir:     "/usr/local/basalt",
		HealthzAddress: "127.0.0.1:9396",
		Request:        request.Defaults(),
	}
	for _, name := range o.Request.CountNames() {
		o.CountResources = append(o.CountResources, string(name))
	}
	return o
}

// AddFlags binds the settings to flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.NodeName, "node-name", o.NodeName, "name of this node's object (default: the environment's NODE_NAME)")
	fs.StringVar(&o.KubeletDir, "kubelet-dir", o.KubeletDir, "the kubelet's directory")
	fs.StringVar(&o.DriverRoot, "nvidia-driver-root", o.DriverRoot, "directory below which the NVIDIA driver is installed")
	fs.StringVar(&o.DevRoot, "nvidia-dev-root", o.DevRoot, "directory whose dev folder has the device nodes (default: the driver root where it has them, else /)")
	fs.Uint32Var(&o.SplitCount, "device-split-count", o.SplitCount, "how many containers may share a card")
	fs.Float64Var(&o.MemoryScaling, "device-memory-scaling", o.MemoryScaling, "factor on the memory that is sold of a card")
	fs.Float64Var(&o.CoreScaling, "device-cores-scaling", o.CoreScaling, "factor on the cores that are sold of a card")
	fs.StringSliceVar(&o.CountResources, "count-resources", o.CountResources, "resources that count cards, each advertised with all tokens")
	fs.Uint64Var((*uint64)(&o.ContextMemory), "context-memory-mib", uint64(o.ContextMemory), "memory that a first CUDA context is charged, until the driver's own number is known")
	fs.StringVar(&o.SchedulerName, "scheduler-name", o.SchedulerName, "scheduler that pods without an allocation are told to use")
	fs.StringVar(&o.CDIDir, "cdi-dir", o.CDIDir, "directory that the container runtime reads CDI specs from")
	fs.StringVar(&o.RunDir, "run-dir", o.RunDir, "directory on tmpfs for the containers' limits and regions")
	fs.StringVar(&o.StateDir, "state-dir", o.StateDir, "directory of the frozen allocations")
	fs.StringVar(&o.LibraryDir, "library-dir", o.LibraryDir, "directory on the node that keeps the limiter")
	fs.StringVar(&o.Limiter, "limiter", o.Limiter, "the limiter (libvgpu.so) to install into the library directory")
	fs.StringVar(&o.HealthzAddress, "healthz-address", o.HealthzAddress, "address of /livez, /readyz, /healthz and /metrics; empty for none")
}

// Validate returns all that is wrong with the settings.
func (o Options) Validate() field.ErrorList {
	var errs field.ErrorList
	if o.NodeName == "" {
		errs = append(errs, field.Required(field.NewPath("node-name"), "set the flag or NODE_NAME"))
	}
	if o.Limiter == "" {
		errs = append(errs, field.Required(field.NewPath("limiter"), "path of libvgpu.so"))
	}
	if o.SplitCount < 1 || o.SplitCount > maxSplit {
		errs = append(errs, field.Invalid(field.NewPath("device-split-count"), o.SplitCount, "must be between 1 and 1000"))
	}
	for _, f := range []struct {
		flag   string
		factor float64
	}{{"device-memory-scaling", o.MemoryScaling}, {"device-cores-scaling", o.CoreScaling}} {
		// Written so that a NaN is refused too.
		if !(f.factor > 0 && f.factor <= maxScaling) {
			errs = append(errs, field.Invalid(field.NewPath(f.flag), f.factor, "must be above 0 and at most 100"))
		}
	}
	// Mounts and CDI specs carry these paths to the runtime, which has another working directory.
	for _, p := range []struct{ flag, path string }{
		{"kubelet-dir", o.KubeletDir},
		{"nvidia-driver-root", o.DriverRoot},
		{"cdi-dir", o.CDIDir},
		{"run-dir", o.RunDir},
		{"state-dir", o.StateDir},
		{"library-dir", o.LibraryDir},
	} {
		if !filepath.IsAbs(p.path) {
			errs = append(errs, field.Invalid(field.NewPath(p.flag), p.path, "must be an absolute path"))
		}
	}
	if o.DevRoot != "" && !filepath.IsAbs(o.DevRoot) {
		errs = append(errs, field.Invalid(field.NewPath("nvidia-dev-root"), o.DevRoot, "must be an absolute path"))
	}
	return append(errs, o.validateResources()...)
}

// validateResources refuses a count resource that requests are not read for: pods would be admitted
// with tokens and then never start.
func (o Options) validateResources() field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("count-resources")
	if len(o.CountResources) == 0 {
		errs = append(errs, field.Required(path, "name at least one resource"))
	}
	readable := map[string]bool{}
	for _, name := range o.Request.CountNames() {
		readable[string(name)] = true
	}
	seen := map[string]bool{}
	for i, name := range o.CountResources {
		for _, msg := range validation.IsQualifiedName(name) {
			errs = append(errs, field.Invalid(path.Index(i), name, msg))
		}
		if !readable[name] {
			errs = append(errs, field.Invalid(path.Index(i), name, "is not the count resource of a known dialect"))
		}
		if seen[name] {
			errs = append(errs, field.Duplicate(path.Index(i), name))
		}
		seen[name] = true
	}
	return append(errs, o.Request.Validate()...)
}
