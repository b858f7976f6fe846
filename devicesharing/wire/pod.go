package wire

import (
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
)

// Source says whose annotation an allocation was read from.
type Source string

// The forms of a pod's allocation.
const (
	SourceBasalt  Source = "basalt"
	SourceHAMi    Source = "hami"
	SourceVolcano Source = "volcano"
)

// ErrOtherNode says that an allocation is of another node than the pod's.
var ErrOtherNode = errors.New("allocation names another node")

// DecodePod reads the allocation of a bound pod: our own form if it is there, else HAMi's, else
// Volcano's. It trusts an allocation only if it names the node that the pod is bound to. A pod that is
// not bound has none, whatever its annotations say.
func DecodePod(pod *v1.Pod) (allocation Allocation, source Source, found bool, err error) {
	if pod.Spec.NodeName == "" {
		return Allocation{}, "", false, nil
	}
	source, a, err := decodeAny(pod)
	switch {
	case source == "":
		return Allocation{}, "", false, nil
	case err != nil:
		return Allocation{}, source, true, err
	case a.Node != pod.Spec.NodeName:
		return Allocation{}, source, true, fmt.Errorf("%s form: %w: %q, the pod is bound to %q", source, ErrOtherNode, a.Node, pod.Spec.NodeName)
	}
	return a, source, true, nil
}

func decodeAny(pod *v1.Pod) (Source, Allocation, error) {
	if text, ok := pod.Annotations[AllocationKey]; ok {
		a, err := DecodeAllocation(text)
		return SourceBasalt, a, err
	}
	for _, f := range legacyForms {
		if _, ok := pod.Annotations[f.allocatedKey]; ok {
			a, err := f.decode(pod)
			return f.source, a, err
		}
	}
	return "", Allocation{}, nil
}
