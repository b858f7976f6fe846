package wire

import v1 "k8s.io/api/core/v1"

// EncodeHAMiPod returns the annotations by which HAMi's scheduler records an allocation.
func EncodeHAMiPod(pod *v1.Pod, a Allocation) (map[string]string, error) { return nil, nil }

// EncodeVolcanoPod returns the annotations by which Volcano vGPU records an allocation.
func EncodeVolcanoPod(pod *v1.Pod, a Allocation) (map[string]string, error) { return nil, nil }
