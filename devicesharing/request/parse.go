package request

import (
	"fmt"
	"math"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Parse reads what the pod asks of shared cards: per container from its limits, or its requests where
// it has no limit, and the selectors from its annotations. A pod that asks for nothing gives nil. All
// errors are returned at once; with any error the Pod is nil.
func Parse(pod *v1.Pod, o Options) (*Pod, field.ErrorList) {
	if !Asks(pod, o) {
		return nil, nil
	}
	var errs field.ErrorList
	r := &Pod{}
	eachContainer(pod, func(path *field.Path, c *v1.Container, k Kind) {
		parsed, containerErrs := parseContainer(path, c, o)
		errs = append(errs, containerErrs...)
		if parsed != nil {
			parsed.Kind = k
			r.Containers = append(r.Containers, *parsed)
		}
	})
	var selectorErrs field.ErrorList
	r.Selector, r.Policy, selectorErrs = parseAnnotations(pod.Annotations)
	errs = append(errs, selectorErrs...)
	if len(errs) > 0 {
		return nil, errs
	}
	if len(r.Containers) == 0 {
		return nil, nil
	}
	return r, nil
}

// Asks reports whether any container of the pod names one of our resources, even in a form that Parse
// refuses. Resources that are all zero count as named.
func Asks(pod *v1.Pod, o Options) bool {
	asks := false
	eachContainer(pod, func(_ *field.Path, c *v1.Container, _ Kind) {
		for _, n := range o.Names {
			asks = asks || n.namedIn(c)
		}
	})
	return asks
}

// eachContainer calls visit for the init containers and then the app containers, in order.
func eachContainer(pod *v1.Pod, visit func(*field.Path, *v1.Container, Kind)) {
	spec := field.NewPath("spec")
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		k := Init
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			k = Sidecar
		}
		visit(spec.Child("initContainers").Index(i), c, k)
	}
	for i := range pod.Spec.Containers {
		visit(spec.Child("containers").Index(i), &pod.Spec.Containers[i], App)
	}
}

func (n Names) namedIn(c *v1.Container) bool {
	for _, f := range n.fields() {
		if _, _, ok := lookUp(c, f.name); ok {
			return true
		}
	}
	return false
}

// lookUp returns the quantity that the container gives for a resource and the list that it stands in.
func lookUp(c *v1.Container, name v1.ResourceName) (q resource.Quantity, list string, ok bool) {
	if name == "" {
		return q, "", false
	}
	if q, ok = c.Resources.Limits[name]; ok {
		return q, "limits", true
	}
	q, ok = c.Resources.Requests[name]
	return q, "requests", ok
}

// containerParser reads one container in one dialect and collects what is wrong.
type containerParser struct {
	container *v1.Container
	path      *field.Path // of the container's resources
	errs      field.ErrorList
}

func parseContainer(path *field.Path, c *v1.Container, o Options) (*Container, field.ErrorList) {
	p := &containerParser{container: c, path: path.Child("resources")}
	var named []Names
	for _, n := range o.Names {
		if n.namedIn(c) {
			named = append(named, n)
		}
	}
	switch len(named) {
	case 0:
		return nil, nil
	case 1:
		return p.parse(named[0], o), p.errs
	}
	for _, n := range named {
		p.parse(n, o)
	}
	p.errs = append(p.errs, field.Forbidden(p.path, fmt.Sprintf(
		"asks for devices under two sets of names (%s and %s): use one", named[0].Count, named[1].Count)))
	return nil, p.errs
}

// parse returns nil when the container asks for nothing or its request is refused.
func (p *containerParser) parse(n Names, o Options) *Container {
	before := len(p.errs)
	count, hasCount := p.integer(n.Count, 0, MaxCount)
	memory, hasMemory := p.integer(n.Memory, 0, int64(MaxMemory/o.MemoryFactor))
	percent, hasPercent := p.integer(n.MemoryPercentage, 1, 100)
	cores, hasCores := p.integer(n.Cores, 0, int64(device.WholeCard))
	priority, hasPriority := p.integer(n.Priority, 0, math.MaxInt32)
	if memory > 0 && hasPercent {
		p.errs = append(p.errs, field.Forbidden(p.at(n.MemoryPercentage), fmt.Sprintf(
			"must not be set together with %s: one of them decides", n.Memory)))
	}
	if !hasCount {
		p.errs = append(p.errs, field.Required(p.at(n.Count),
			fmt.Sprintf("a container that asks for %s must say how many devices", p.asked(n))))
	}
	if count == 0 && (memory > 0 || percent > 0 || cores > 0) && hasCount {
		p.errs = append(p.errs, field.Invalid(p.at(n.Count), 0, "must be at least 1 when device memory or cores are asked"))
	}
	if len(p.errs) > before || count == 0 {
		return nil
	}
	c := &Container{
		Name:     p.container.Name,
		Count:    int(count),
		Memory:   device.MiB(memory).Mul(o.MemoryFactor),
		Percent:  int(percent),
		Cores:    device.CorePercent(cores),
		Priority: int(priority),
	}
	if !hasMemory || memory == 0 {
		c.defaultMemory(hasPercent, o)
	}
	if !hasCores {
		c.Cores = o.DefaultCores
	}
	if !hasPriority {
		c.Priority = PriorityUnset
	}
	return c
}

func (c *Container) defaultMemory(hasPercent bool, o Options) {
	switch {
	case hasPercent:
	case o.DefaultMemory > 0:
		c.Memory = o.DefaultMemory
	default:
		c.Percent = 100
	}
}

// at returns the path of a resource, in the list where the container names it.
func (p *containerParser) at(name v1.ResourceName) *field.Path {
	_, list, ok := lookUp(p.container, name)
	if !ok {
		list = "limits"
	}
	return p.path.Child(list).Key(string(name))
}

// asked lists the amounts that the container names, with their values.
func (p *containerParser) asked(n Names) string {
	var parts []string
	for _, name := range n.amounts() {
		if q, _, ok := lookUp(p.container, name); ok {
			parts = append(parts, fmt.Sprintf("%s %s", name, q.AsDec()))
		}
	}
	return strings.Join(parts, ", ")
}

// integer returns the value of a resource within [low, high]. Anything else is an error: a rounded or
// clamped request would be another request than the user's.
func (p *containerParser) integer(name v1.ResourceName, low, high int64) (value int64, ok bool) {
	q, _, ok := lookUp(p.container, name)
	if !ok {
		return 0, false
	}
	value = q.Value()
	if q.Cmp(*resource.NewQuantity(value, resource.DecimalSI)) != 0 {
		p.invalid(name, q, "must be an integer")
		return 0, true
	}
	if value < low || value > high {
		p.invalid(name, q, fmt.Sprintf("must be between %d and %d", low, high))
		return 0, true
	}
	return value, true
}

func (p *containerParser) invalid(name v1.ResourceName, q resource.Quantity, rule string) {
	p.errs = append(p.errs, field.Invalid(p.at(name), q.String(), rule))
}
