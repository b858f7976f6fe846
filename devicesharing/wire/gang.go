package wire

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// GangRequestKey is the annotation of a job, and of its PodGroup, that says what devices the whole
// gang asks for. Volcano makes pods only when a queue has room for the job, so until then this is all
// there is to judge.
const GangRequestKey = "basalt.io/gang-request"

// GangRequestVersion is the version written.
const GangRequestVersion = 1

// MaxGangRequestBytes bounds the annotation value.
const MaxGangRequestBytes = 32 << 10

// maxReplicas bounds the pods of one shape: beyond any job, far below overflow.
const maxReplicas = 1 << 20

// GangRequest is what the pods of a gang ask for.
type GangRequest struct {
	Version int `json:"version"`
	// MinAvailable is how many pods must run for the gang to run.
	MinAvailable int         `json:"minAvailable"`
	Shapes       []GangShape `json:"shapes"`
}

// GangShape is the pods of one role, which ask for the same.
type GangShape struct {
	Name     string `json:"name"`
	Replicas int    `json:"replicas"`
	// MinAvailable of the role's own, if it has one.
	MinAvailable int `json:"minAvailable,omitempty"`
	// Containers are those that ask for devices: init containers and sidecars first, in the pod's order.
	Containers []GangContainer `json:"containers,omitempty"`
	Selector   *GangSelector   `json:"selector,omitempty"`
}

// GangContainer is what one container asks per card.
type GangContainer struct {
	Name string `json:"name"`
	// Kind is empty for an app container, else one of init and sidecar.
	Kind string `json:"kind,omitempty"`
	// Count is the number of cards.
	Count int `json:"count"`
	// Memory and Percent are of one card; one of them is set.
	Memory  device.MiB         `json:"memoryMiB,omitempty"`
	Percent int                `json:"memoryPercent,omitempty"`
	Cores   device.CorePercent `json:"cores,omitempty"`
}

// GangSelector narrows down the cards.
type GangSelector struct {
	UseTypes   []string    `json:"useTypes,omitempty"`
	NoUseTypes []string    `json:"noUseTypes,omitempty"`
	UseUUIDs   []string    `json:"useUUIDs,omitempty"`
	NoUseUUIDs []string    `json:"noUseUUIDs,omitempty"`
	Mode       device.Mode `json:"mode,omitempty"`
}

// gangKinds are the words of the format.
var gangKinds = map[string]request.Kind{"": request.App, "init": request.Init, "sidecar": request.Sidecar}

// EncodeGangRequest returns the annotation value.
func EncodeGangRequest(g GangRequest) (string, error) {
	if errs := g.Validate(); len(errs) > 0 {
		return "", fmt.Errorf("encode gang request: %w", errs.ToAggregate())
	}
	text, err := json.Marshal(g)
	if err != nil {
		return "", fmt.Errorf("encode gang request: %w", err)
	}
	if len(text) > MaxGangRequestBytes {
		return "", fmt.Errorf("encode gang request: %w: %d bytes, at most %d", ErrTooLarge, len(text), MaxGangRequestBytes)
	}
	return string(text), nil
}

// DecodeGangRequest reads the annotation value.
func DecodeGangRequest(s string) (GangRequest, error) {
	if len(s) > MaxGangRequestBytes {
		return GangRequest{}, fmt.Errorf("decode gang request: %w: %d bytes, at most %d", ErrTooLarge, len(s), MaxGangRequestBytes)
	}
	var g GangRequest
	if err := decodeVersioned(s, GangRequestVersion, &g); err != nil {
		return GangRequest{}, fmt.Errorf("decode gang request: %w", err)
	}
	if errs := g.Validate(); len(errs) > 0 {
		return GangRequest{}, fmt.Errorf("decode gang request: %w", errs.ToAggregate())
	}
	return g, nil
}

// Validate returns all that is wrong with the gang request.
func (g GangRequest) Validate() field.ErrorList {
	var errs field.ErrorList
	if g.Version != GangRequestVersion {
		errs = append(errs, wrongVersion(g.Version, GangRequestVersion))
	}
	path := field.NewPath("shapes")
	if len(g.Shapes) == 0 {
		errs = append(errs, field.Required(path, "a gang has at least one shape"))
	}
	replicas, seen := 0, map[string]bool{}
	for i, s := range g.Shapes {
		p := path.Index(i)
		switch {
		case s.Name == "":
			errs = append(errs, field.Required(p.Child("name"), "a shape is known by the name of its role"))
		case seen[s.Name]:
			errs = append(errs, field.Duplicate(p.Child("name"), s.Name))
		}
		seen[s.Name] = true
		replicas += s.Replicas
		errs = append(errs, s.validate(p)...)
	}
	return append(errs, within(field.NewPath("minAvailable"), g.MinAvailable, 0, max(replicas, 0))...)
}

func (s GangShape) validate(path *field.Path) field.ErrorList {
	errs := within(path.Child("replicas"), s.Replicas, 0, maxReplicas)
	errs = append(errs, within(path.Child("minAvailable"), s.MinAvailable, 0, max(s.Replicas, 0))...)
	for i, c := range s.Containers {
		errs = append(errs, c.validate(path.Child("containers").Index(i))...)
	}
	if s.Selector != nil && s.Selector.Mode != "" && !s.Selector.Mode.Known() {
		errs = append(errs, field.NotSupported(path.Child("selector", "mode"), s.Selector.Mode, device.Modes()))
	}
	return errs
}

func (c GangContainer) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "a container is known by its name"))
	}
	if _, known := gangKinds[c.Kind]; !known {
		errs = append(errs, field.NotSupported(path.Child("kind"), c.Kind, []string{"", "init", "sidecar"}))
	}
	errs = append(errs, within(path.Child("count"), c.Count, 1, request.MaxCount)...)
	if (c.Memory > 0) == (c.Percent != 0) {
		errs = append(errs, field.Invalid(path.Child("memoryMiB"), c.Memory, "exactly one of memoryMiB and memoryPercent must be set"))
	}
	if c.Memory > request.MaxMemory {
		errs = append(errs, field.Invalid(path.Child("memoryMiB"), c.Memory, fmt.Sprintf("must be at most %d", request.MaxMemory)))
	}
	errs = append(errs, within(path.Child("memoryPercent"), c.Percent, 0, 100)...)
	return append(errs, within(path.Child("cores"), int(c.Cores), 0, int(device.WholeCard))...)
}

func within(path *field.Path, v, low, high int) field.ErrorList {
	if v < low || v > high {
		return field.ErrorList{field.Invalid(path, v, fmt.Sprintf("must be between %d and %d", low, high))}
	}
	return nil
}

// Pod returns what one pod of the shape asks for; nil when it asks for no devices.
func (s GangShape) Pod() *request.Pod {
	if len(s.Containers) == 0 {
		return nil
	}
	r := &request.Pod{}
	for _, c := range s.Containers {
		r.Containers = append(r.Containers, request.Container{
			Name: c.Name, Kind: gangKinds[c.Kind], Count: c.Count, Memory: c.Memory, Percent: c.Percent, Cores: c.Cores,
			Priority: request.PriorityUnset,
		})
	}
	if sel := s.Selector; sel != nil {
		r.Selector = request.Selector{
			UseTypes: sel.UseTypes, NoUseTypes: sel.NoUseTypes, UseUUIDs: sel.UseUUIDs, NoUseUUIDs: sel.NoUseUUIDs, Mode: sel.Mode,
		}
	}
	return r
}

// ShapeOf returns the shape of pods with the given request, which may be nil.
func ShapeOf(name string, replicas, minAvailable int, r *request.Pod) GangShape {
	s := GangShape{Name: name, Replicas: replicas, MinAvailable: minAvailable}
	if r == nil {
		return s
	}
	for _, c := range r.Containers {
		kind := ""
		for word, k := range gangKinds {
			if k == c.Kind {
				kind = word
			}
		}
		s.Containers = append(s.Containers, GangContainer{
			Name: c.Name, Kind: kind, Count: c.Count, Memory: c.Memory, Percent: c.Percent, Cores: c.Cores,
		})
	}
	if sel := &r.Selector; !sel.Empty() {
		s.Selector = &GangSelector{
			UseTypes: sel.UseTypes, NoUseTypes: sel.NoUseTypes, UseUUIDs: sel.UseUUIDs, NoUseUUIDs: sel.NoUseUUIDs, Mode: sel.Mode,
		}
	}
	return s
}
