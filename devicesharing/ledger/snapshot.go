package ledger

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Snapshot is the whole state of a ledger at one moment, sorted by name.
type Snapshot struct {
	Nodes []NodeSnapshot `json:"nodes"`
	Pods  []PodSnapshot  `json:"pods"`
}

// NodeSnapshot is one node.
type NodeSnapshot struct {
	Name string `json:"name"`
	// Registered is false for a node that pods are on but whose cards are not known.
	Registered bool           `json:"registered"`
	Cards      []CardSnapshot `json:"cards"`
}

// Use is a part of a card.
type Use struct {
	Slots  device.Shares      `json:"slots"`
	Memory device.MiB         `json:"memoryMiB"`
	Cores  device.CorePercent `json:"cores"`
}

// CardSnapshot is one card of a node.
type CardSnapshot struct {
	UUID     string      `json:"uuid"`
	Index    int         `json:"index"`
	Model    string      `json:"model,omitempty"`
	Mode     device.Mode `json:"mode,omitempty"`
	Healthy  bool        `json:"healthy"`
	Capacity Use         `json:"capacity"`
	// Used is what pods have now, Future what they will have after evictions and releases, with the
	// holds that wait for them.
	Used   Use `json:"used"`
	Future Use `json:"future"`
	// Unknown marks a card that pods have but the node does not register.
	Unknown bool `json:"unknown,omitempty"`
	// Overcommitted marks a card of which more is used than it has.
	Overcommitted bool `json:"overcommitted,omitempty"`
}

// PodSnapshot is one pod.
type PodSnapshot struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	State     State  `json:"state"`
	Future    bool   `json:"future,omitempty"`
	Evicting  bool   `json:"evicting,omitempty"`
	Node      string `json:"node"`
	// Allocation is by container name.
	Allocation map[string][]wire.Slice `json:"allocation"`
}
