// Package request reads what a pod asks of shared cards, in every dialect users write, into one form
// that names containers. It owns the resource names and the selector annotations. It does not know
// what cards exist: it refuses what no card could ever mean, and leaves the rest to package fit.
package request

import (
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// Kind says when a container runs beside the others of its pod.
type Kind int

const (
	// App containers run together, after all init containers.
	App Kind = iota
	// Init containers run one after the other and end before the next starts.
	Init
	// Sidecar is an init container with restartPolicy Always: it runs beside all that follow it.
	Sidecar
)

// String returns the word users know the kind by.
func (k Kind) String() string {
	switch k {
	case Init:
		return "init container"
	case Sidecar:
		return "sidecar"
	default:
		return "container"
	}
}

// PriorityUnset is the priority of a container that names none.
const PriorityUnset = -1

// Container is what one container asks. All amounts are per card.
type Container struct {
	Name string
	Kind Kind
	// Count is the number of distinct cards.
	Count int
	// Memory is zero when Percent decides.
	Memory device.MiB
	// Percent of a card's memory, 1 to 100; zero when Memory is set.
	Percent int
	// Cores of zero means: as much as is idle, without a promise.
	Cores    device.CorePercent
	Priority int
}

// MemoryOn returns what the container takes of a card with the given memory.
func (c *Container) MemoryOn(card device.MiB) device.MiB {
	if c.Memory > 0 {
		return c.Memory
	}
	return card.Percent(c.Percent)
}

// Selector narrows down the cards a pod may get. Empty lists allow every card.
type Selector struct {
	UseUUIDs, NoUseUUIDs []string
	// UseTypes and NoUseTypes are parts of model names, in any case, a space being like a hyphen.
	UseTypes, NoUseTypes []string
	// Mode is empty, one mode, or a comma list of modes.
	Mode device.Mode
	// NUMABind wants all cards of a container on one NUMA node.
	NUMABind bool
}

// Empty reports whether the selector allows every card. What it wants of cards together is no matter of
// one card.
func (s *Selector) Empty() bool {
	return len(s.UseUUIDs) == 0 && len(s.NoUseUUIDs) == 0 && len(s.UseTypes) == 0 &&
		len(s.NoUseTypes) == 0 && s.Mode == ""
}

// Pod is what a pod asks of shared cards.
type Pod struct {
	// Containers holds only those that ask for cards: init containers and sidecars first, each group in
	// the order of the pod's spec.
	Containers []Container
	Selector   Selector
	Policy     Policy
}

// Policy is by what rules a pod's node and cards are chosen. Each part may be unset.
type Policy struct {
	Node score.NodePolicy
	Card score.CardPolicy
	// Weights say what counts in the use of a card.
	Weights score.Weights
	// Apart keeps the pod off cards that pods of its own group have.
	Apart bool
}

// Or returns the policy with what is unset taken from another: first comes the pod's own, then that of
// its queue, then that of the configuration.
func (p Policy) Or(other Policy) Policy {
	if p.Node == score.NodeDefault {
		p.Node = other.Node
	}
	if p.Card == score.CardDefault {
		p.Card = other.Card
	}
	if p.Weights == (score.Weights{}) {
		p.Weights = other.Weights
	}
	p.Apart = p.Apart || other.Apart
	return p
}

// WithPolicy returns the request with another policy; the request itself where that is its own.
func (r *Pod) WithPolicy(p Policy) *Pod {
	if r.Policy == p {
		return r
	}
	other := *r
	other.Policy = p
	return &other
}

// Without returns the request with more cards excluded by UUID; the request itself where there are none.
func (r *Pod) Without(uuids []string) *Pod {
	if len(uuids) == 0 {
		return r
	}
	other := *r
	other.Selector.NoUseUUIDs = slices.Concat(r.Selector.NoUseUUIDs, uuids)
	return &other
}
