package request

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Parse reads what the pod asks of shared cards: per container from its limits, or its requests where
// it has no limit, and the selectors from its annotations. A pod that asks for nothing gives nil. All
// errors are returned at once; with any error the Pod is nil.
func Parse(pod *v1.Pod, o Options) (*Pod, field.ErrorList) {
	return nil, nil
}

// Asks reports whether any container of the pod names one of our resources, even in a form that Parse
// refuses.
func Asks(pod *v1.Pod, o Options) bool {
	return false
}
