package scenarios

import (
	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Row is one case.
type Row struct {
	// Name says the behaviour in a sentence. It is unique.
	Name string `json:"name"`
	// Issues are the public issues that report what must not happen here, like HAMi#1832.
	Issues []string `json:"issues,omitempty"`
	// About says what the row is about where its name is not enough.
	About string `json:"about,omitempty"`
	// Skip says, by runner, why it cannot run the row.
	Skip map[string]string `json:"skip,omitempty"`
	// Arguments are those of plugin deviceshare.
	Arguments map[string]string `json:"arguments,omitempty"`
	// Plugins are the scheduler's plugins beside priority, gang, predicates and deviceshare.
	Plugins []string `json:"plugins,omitempty"`
	// Actions are those of a session, in order; allocate alone if there are none.
	Actions []string `json:"actions,omitempty"`
	// Queues are the queues beside the one named default, which is always there and has no limits.
	Queues []Queue `json:"queues,omitempty"`
	// NamespaceQuota is the hard limits of a ResourceQuota of the namespace that all pods are in.
	NamespaceQuota v1.ResourceList `json:"namespaceQuota,omitempty"`
	// HyperNodes say which nodes are near each other. None are there by default.
	HyperNodes []HyperNode `json:"hyperNodes,omitempty"`
	Nodes      []Node      `json:"nodes"`
	Steps      []Step      `json:"steps"`
}

// HyperNode is a domain of the topology.
type HyperNode struct {
	Name string `json:"name"`
	// Tier is 1 for domains of nodes, and one more for domains of such domains.
	Tier    int      `json:"tier"`
	Members []string `json:"members"`
}

// Queue is one queue.
type Queue struct {
	Name       string          `json:"name"`
	Parent     string          `json:"parent,omitempty"`
	Weight     int32           `json:"weight,omitempty"` // 1 by default
	Capability v1.ResourceList `json:"capability,omitempty"`
	Deserved   v1.ResourceList `json:"deserved,omitempty"`
	Guarantee  v1.ResourceList `json:"guarantee,omitempty"`
	// Locked queues are not reclaimed from.
	Locked      bool              `json:"locked,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Node is one node. Its cards are NAME-0, NAME-1 and so on, by UUID.
type Node struct {
	Name  string `json:"name"`
	Cards int    `json:"cards"`
	// Card is what the cards are; healthy A100s of 81920 MiB, 100 cores and ten shares by default.
	Card Card `json:"card,omitzero"`
	// But holds the cards that differ, by UUID, with what differs.
	But map[string]Card `json:"but,omitempty"`
	// Register is who registered the cards: agent (Basalt's own, the default), hami, volcano, or none.
	Register string `json:"register,omitempty"`
	// Annotations are added to those of the registration.
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Cordoned is what kubectl cordon does.
	Cordoned bool `json:"cordoned,omitempty"`
	// Tokens is how many of each count resource the kubelet advertises; the sum of all shares by default.
	Tokens *int64 `json:"tokens,omitempty"`
	// CPU is 64 by default.
	CPU string `json:"cpu,omitempty"`
}

// Card is a card, or what is different about it. Zero values mean the default.
type Card struct {
	Model  string             `json:"model,omitempty"`
	Memory device.MiB         `json:"memory,omitempty"`
	Cores  device.CorePercent `json:"cores,omitempty"`
	Shares device.Shares      `json:"shares,omitempty"`
	NUMA   int                `json:"numa,omitempty"`
	Mode   device.Mode        `json:"mode,omitempty"`
	// UUID replaces NAME-N.
	UUID string `json:"uuid,omitempty"`
	Sick bool   `json:"sick,omitempty"`
}

// Pod is what the manifest of a pod says.
type Pod struct {
	// Limits are those of the only container, main. A pod with more lists its containers.
	Limits         v1.ResourceList   `json:"limits,omitempty"`
	InitContainers []Container       `json:"initContainers,omitempty"`
	Containers     []Container       `json:"containers,omitempty"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	NodeSelector   map[string]string `json:"nodeSelector,omitempty"`
	// Prefers are labels of nodes that the pod would rather have than others.
	Prefers map[string]string `json:"prefers,omitempty"`
}

// Container is one container.
type Container struct {
	Name     string          `json:"name"`
	Limits   v1.ResourceList `json:"limits,omitempty"`
	Requests v1.ResourceList `json:"requests,omitempty"`
	// Sidecar sets restartPolicy Always. Only init containers can be sidecars.
	Sidecar bool `json:"sidecar,omitempty"`
}

// Work is a pod, or a job of pods that belong together. Jobs have pods NAME-0 and so on, or
// NAME-ROLE-0 where they have roles. Work is ordered by the step that submits it.
type Work struct {
	Pod   string `json:"pod,omitempty"`
	Job   string `json:"job,omitempty"`
	Queue string `json:"queue,omitempty"` // default by default
	// Priority is the value of the pods' priority class.
	Priority int32 `json:"priority,omitempty"`
	// Replicas is 1 by default.
	Replicas int `json:"replicas,omitempty"`
	// Min is how many pods must be placed together; all by default.
	Min *int `json:"min,omitempty"`
	// Preemptable pods may be evicted for others.
	Preemptable bool   `json:"preemptable,omitempty"`
	Roles       []Role `json:"roles,omitempty"`
	Template    `json:",inline"`
}

// Template is the pod of a job without roles.
type Template = Pod

// Role is a part of a job.
type Role struct {
	Name     string `json:"name"`
	Replicas int    `json:"replicas"`
	// Min is how many pods of the role must be placed together; no bound of its own by default.
	Min *int `json:"min,omitempty"`
	Pod `json:",inline"`
}

// Found is a pod that is on its node when the scheduler first sees it.
type Found struct {
	Pod  string `json:"pod"`
	Node string `json:"node"`
	// Cards is what its only container has there, in Basalt's own form. Pods placed by others carry
	// their scheduler's annotations instead.
	Cards    map[string]Use `json:"cards,omitempty"`
	Template `json:",inline"`
}

// Use is a part of a card, or the sum of parts.
type Use struct {
	Shares device.Shares      `json:"shares,omitempty"`
	Memory device.MiB         `json:"memory,omitempty"`
	Cores  device.CorePercent `json:"cores,omitempty"`
}

// Step is one thing that happens, or is looked at. It has exactly one field.
type Step struct {
	// Submit creates a pod or a job. Steps that create and follow each other are one moment: the
	// scheduler may hear of them in any order.
	Submit *Work `json:"submit,omitempty"`
	// Found creates a pod that is bound already.
	Found *Found `json:"found,omitempty"`
	// Sessions is how many sessions the scheduler runs.
	Sessions int `json:"sessions,omitempty"`
	// Run says that the containers of pods have started.
	Run []string `json:"run,omitempty"`
	// Finish says that the containers of pods have ended; the pods stay.
	Finish []string `json:"finish,omitempty"`
	// Terminate asks for the deletion of pods; their containers still run.
	Terminate []string `json:"terminate,omitempty"`
	// Gone says that pods are no longer there.
	Gone []string `json:"gone,omitempty"`
	// Node adds a node, or changes the one of that name into this.
	Node *Node `json:"node,omitempty"`
	// RemoveNode deletes a node.
	RemoveNode string `json:"removeNode,omitempty"`
	// Watch is delayed: the scheduler learns of no pod that was bound, until it is delivered.
	Watch string `json:"watch,omitempty"`
	// RefuseBindings names the pods whose Binding the API server refuses from now on. [none] ends it.
	RefuseBindings []string `json:"refuseBindings,omitempty"`
	// Restart replaces the scheduler by a new process. It has a value so that it can be written: true.
	Restart bool `json:"restart,omitempty"`

	// Expect says how pods fare, by the name of a pod or a job.
	Expect map[string]Expect `json:"expect,omitempty"`
	// Use says what the scheduler takes for used, by card.
	Use map[string]Use `json:"use,omitempty"`
	// Evicted lists all pods that the scheduler has evicted so far. [none] is nobody.
	Evicted []string `json:"evicted,omitempty"`
}

// Expect is how a pod, or all pods of a job, must fare. Unless it says pending or placed, all are
// placed.
type Expect struct {
	// Placed is how many pods of a job have a node.
	Placed *int `json:"placed,omitempty"`
	// Pending are parts of the reason that one of the pods gives; all of them have no node.
	Pending []string `json:"pending,omitempty"`
	// Nodes are the nodes that the pods are on, each at least once.
	Nodes []string `json:"nodes,omitempty"`
	// Cards are the cards that the pods have, each at least once.
	Cards []string `json:"cards,omitempty"`
	// Distinct is how many cards they have.
	Distinct int `json:"distinct,omitempty"`
	// Containers are the cards of each container. For a pod only.
	Containers map[string][]string `json:"containers,omitempty"`
	// Each is what every slice is.
	Each *Use `json:"each,omitempty"`
}
