package e2e

import v1 "k8s.io/api/core/v1"

// What users write, spelled out as in their manifests: taken from the code under test, a renamed
// constant would rename the check with it.
const (
	gpu         v1.ResourceName = "nvidia.com/gpu"
	gpumem      v1.ResourceName = "nvidia.com/gpumem"
	gpumemPct   v1.ResourceName = "nvidia.com/gpumem-percentage"
	gpucores    v1.ResourceName = "nvidia.com/gpucores"
	vgpuNumber  v1.ResourceName = "volcano.sh/vgpu-number"
	vgpuMemory  v1.ResourceName = "volcano.sh/vgpu-memory"
	vgpuPercent v1.ResourceName = "volcano.sh/vgpu-memory-percentage"
	vgpuCores   v1.ResourceName = "volcano.sh/vgpu-cores"

	useUUIDKey    = "nvidia.com/use-gpuuuid"
	allocationKey = "basalt.io/allocation"
	hamiKey       = "hami.io/vgpu-devices-allocated"

	limitsPath    = "/usr/local/basalt/limits"
	schedulerName = "volcano"
)

// The fake cards of the cluster's node.
const (
	cardCount  = 8
	cardMemory = 81920
	cardSlots  = 10
)
