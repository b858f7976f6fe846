package fit

// Reason is why a request does not fit. The texts are shown to users and stable.
type Reason string

// The reasons.
const (
	// ReasonMemory: too few cards have enough free memory.
	ReasonMemory Reason = "insufficient device memory"
	// ReasonCores: too few cards have enough free cores.
	ReasonCores Reason = "insufficient device cores"
	// ReasonSlots: too few cards have a free share.
	ReasonSlots Reason = "insufficient device shares"
	// ReasonBusy: the container needs cards for itself alone, and too few are idle.
	ReasonBusy Reason = "insufficient idle devices"
	// ReasonTogether: memory, cores and shares are each free, but not on the same cards.
	ReasonTogether Reason = "insufficient devices with memory, cores and shares free together"
	// ReasonContainers: each container fits alone, all of them do not.
	ReasonContainers Reason = "insufficient devices for all containers together"
	// ReasonCount: the node has fewer cards than asked.
	ReasonCount Reason = "insufficient devices"
	// ReasonUnhealthy: too few of the cards are healthy.
	ReasonUnhealthy Reason = "insufficient healthy devices"
	// ReasonCordoned: too few of the healthy cards are given to new pods.
	ReasonCordoned Reason = "devices cordoned"
	// ReasonNUMA: enough cards would serve, but not on one NUMA node.
	ReasonNUMA Reason = "insufficient devices on one numa node"
	// ReasonUUID: the wanted card is not on this node.
	ReasonUUID Reason = "device uuid not on node"
	// ReasonExcluded: the pod excludes too many cards by UUID.
	ReasonExcluded Reason = "devices excluded by uuid"
	// ReasonType: too few cards are of a wanted type.
	ReasonType Reason = "device type mismatch"
	// ReasonMode: too few cards are shared by the wanted means.
	ReasonMode Reason = "device mode mismatch"
	// ReasonNoDevices: the node has no cards, or none are registered.
	ReasonNoDevices Reason = "node has no registered devices"
	// ReasonElsewhere: the pod already holds cards on another node.
	ReasonElsewhere Reason = "pod holds devices on another node"
	// ReasonNoRequest: the pod asks for no cards.
	ReasonNoRequest Reason = "pod requests no devices"
)
