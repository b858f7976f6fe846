package wire

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// The pod annotations of HAMi. They are the record of an allocation; HAMi's work list for its device
// plugin has the same form under another name.
const (
	HAMiAllocatedKey  = "hami.io/vgpu-devices-allocated"
	HAMiToAllocateKey = "hami.io/vgpu-devices-to-allocate"
	HAMiNodeKey       = "hami.io/vgpu-node"
)

// The pod annotations of Volcano vGPU.
const (
	VolcanoAllocatedKey  = "volcano.sh/vgpu-ids-new"
	VolcanoToAllocateKey = "volcano.sh/devices-to-allocate"
	VolcanoNodeKey       = "volcano.sh/vgpu-node"
)

// legacyForm is how one of the older schedulers records an allocation: slots for containers, in the
// pod's order, without names.
type legacyForm struct {
	source       Source
	allocatedKey string
	pendingKey   string
	nodeKey      string
	// inits: init containers have slots, before the others.
	inits bool
	// terminated: every slot ends in a semicolon; otherwise one stands between two slots.
	terminated bool
	// dense: containers that ask for nothing have no slot.
	dense bool
}

var legacyForms = []legacyForm{
	{source: SourceHAMi, allocatedKey: HAMiAllocatedKey, pendingKey: HAMiToAllocateKey, nodeKey: HAMiNodeKey, inits: true, terminated: true},
	{source: SourceVolcano, allocatedKey: VolcanoAllocatedKey, pendingKey: VolcanoToAllocateKey, nodeKey: VolcanoNodeKey, dense: true},
}

// EncodeHAMiPod returns the annotations by which HAMi's scheduler records an allocation.
func EncodeHAMiPod(pod *v1.Pod, a Allocation) (map[string]string, error) {
	return legacyForms[0].encode(pod, a)
}

// EncodeVolcanoPod returns the annotations by which Volcano vGPU records an allocation. It fails for
// slices of init containers, which that form cannot express.
func EncodeVolcanoPod(pod *v1.Pod, a Allocation) (map[string]string, error) {
	return legacyForms[1].encode(pod, a)
}

func (f legacyForm) encode(pod *v1.Pod, a Allocation) (map[string]string, error) {
	if errs := a.Validate(); len(errs) > 0 {
		return nil, fmt.Errorf("encode %s allocation: %w", f.source, errs.ToAggregate())
	}
	var slots []string
	written := 0
	for _, name := range f.names(pod) {
		slices, has := a.Containers[name]
		if has {
			written++
		}
		if has || !f.dense {
			slots = append(slots, encodeSlices(slices))
		}
	}
	if written != len(a.Containers) {
		return nil, fmt.Errorf("encode %s allocation: %d of %d containers have a place in this form", f.source, written, len(a.Containers))
	}
	text := strings.Join(slots, ";")
	if f.terminated {
		text += ";"
	}
	return map[string]string{f.allocatedKey: text, f.pendingKey: text, f.nodeKey: a.Node}, nil
}

// names returns the containers that the form has slots for, in its order.
func (f legacyForm) names(pod *v1.Pod) []string {
	var names []string
	for _, c := range f.containers(pod) {
		names = append(names, c.Name)
	}
	return names
}

func (f legacyForm) containers(pod *v1.Pod) []*v1.Container {
	var all []*v1.Container
	if f.inits {
		for i := range pod.Spec.InitContainers {
			all = append(all, &pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		all = append(all, &pod.Spec.Containers[i])
	}
	return all
}

// decode reads the record. The pod's own node name is not compared here.
func (f legacyForm) decode(pod *v1.Pod) (Allocation, error) {
	path := field.NewPath("metadata", "annotations").Key(f.allocatedKey)
	text := pod.Annotations[f.allocatedKey]
	if f.terminated {
		text = strings.TrimSuffix(text, ";")
	}
	slots := strings.Split(text, ";")
	owners, err := f.owners(path, pod, slots)
	if err != nil {
		return Allocation{}, fmt.Errorf("decode %s allocation: %w", f.source, err)
	}
	a := Allocation{Version: AllocationVersion, Node: pod.Annotations[f.nodeKey], Containers: map[string][]Slice{}}
	var errs field.ErrorList
	for i, slot := range slots {
		if slot == "" {
			continue
		}
		slices, slotErrs := decodeSlices(path.Index(i), slot)
		errs = append(errs, slotErrs...)
		a.Containers[owners[i]] = slices
	}
	if len(errs) > 0 {
		return Allocation{}, fmt.Errorf("decode %s allocation: %w", f.source, errs.ToAggregate())
	}
	return a, nil
}

// owners says whose each slot is. The published encoders disagree with their own documents: empty
// slots get lost, so the number of slots is that of all containers, or of those that ask.
func (f legacyForm) owners(path *field.Path, pod *v1.Pod, slots []string) ([]string, error) {
	all := f.names(pod)
	var asking []string
	options := request.Defaults()
	for _, c := range f.containers(pod) {
		if request.Asks(&v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{*c}}}, options) {
			asking = append(asking, c.Name)
		}
	}
	full := 0
	for _, s := range slots {
		if s != "" {
			full++
		}
	}
	switch {
	case len(slots) == len(all) && (!f.dense || len(asking) != full):
		return all, nil
	case full != len(asking):
		return nil, field.Invalid(path, pod.Annotations[f.allocatedKey],
			fmt.Sprintf("has %d slots, %d of them with devices; the pod has %d containers, %d of them ask for devices", len(slots), full, len(all), len(asking)))
	}
	owners := make([]string, len(slots))
	for i, s := range slots {
		if s != "" {
			owners[i], asking = asking[0], asking[1:]
		}
	}
	return owners, nil
}
