package volcanotest

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Of the cards that Cards makes.
const (
	CardMemory device.MiB    = 81920
	CardSlots  device.Shares = 10
)

// handshakeKey is where the in-tree plugin asks whether the node's device plugin is alive.
const handshakeKey = "volcano.sh/node-vgpu-handshake"

// Names of the counted resources.
const (
	ResourceGPU  v1.ResourceName = "nvidia.com/gpu"
	ResourceVGPU v1.ResourceName = "volcano.sh/vgpu-number"
)

// Cards makes n healthy cards of 80 GiB, of which each may be shared by ten containers.
func Cards(node string, n int) []device.Card {
	out := make([]device.Card, n)
	for i := range out {
		out[i] = device.Card{
			UUID: fmt.Sprintf("GPU-%s-%d", node, i), Index: i, Vendor: device.VendorNVIDIA, Model: "NVIDIA-A100",
			Memory: CardMemory, Cores: device.WholeCard, Slots: CardSlots, Healthy: true, Mode: device.ModeHAMiCore,
		}
	}
	return out
}

// NodeBuilder builds a node.
type NodeBuilder struct {
	node   v1.Node
	cards  []device.Card
	legacy bool
}

// MakeNode starts a ready node of 64 CPUs, 256 GiB and 110 pods, on which Basalt's agent registers the
// cards that are added.
func MakeNode(name string) *NodeBuilder {
	b := &NodeBuilder{node: v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{v1.LabelHostname: name}, Annotations: map[string]string{}},
		Status: v1.NodeStatus{
			Allocatable: v1.ResourceList{},
			Conditions:  []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}}
	return b.Allocatable(v1.ResourceCPU, "64").Allocatable(v1.ResourceMemory, "256Gi").Allocatable(v1.ResourcePods, "110")
}

// Cards adds n cards as Cards makes them.
func (b *NodeBuilder) Cards(n int) *NodeBuilder { return b.With(Cards(b.node.Name, n)...) }

// With adds the given cards.
func (b *NodeBuilder) With(cards ...device.Card) *NodeBuilder {
	b.cards = append(b.cards, cards...)
	return b
}

// Allocatable sets how much of a resource the node has.
func (b *NodeBuilder) Allocatable(name v1.ResourceName, quantity string) *NodeBuilder {
	b.node.Status.Allocatable[name] = resource.MustParse(quantity)
	return b
}

// Label sets a label.
func (b *NodeBuilder) Label(key, value string) *NodeBuilder {
	b.node.Labels[key] = value
	return b
}

// Annotation sets an annotation.
func (b *NodeBuilder) Annotation(key, value string) *NodeBuilder {
	b.node.Annotations[key] = value
	return b
}

// Taint adds a taint that keeps pods off.
func (b *NodeBuilder) Taint(key, value string) *NodeBuilder {
	b.node.Spec.Taints = append(b.node.Spec.Taints, v1.Taint{Key: key, Value: value, Effect: v1.TaintEffectNoSchedule})
	return b
}

// Cordoned makes the node unschedulable.
func (b *NodeBuilder) Cordoned() *NodeBuilder { b.node.Spec.Unschedulable = true; return b }

// VolcanoVGPU adds what Volcano's own vGPU device plugin registers, which the in-tree plugin reads, so
// that both plugins see the same cards.
func (b *NodeBuilder) VolcanoVGPU() *NodeBuilder { b.legacy = true; return b }

// Obj returns the node.
func (b *NodeBuilder) Obj() *v1.Node {
	n := b.node.DeepCopy()
	if len(b.cards) > 0 {
		b.register(n)
	}
	n.Status.Capacity = n.Status.Allocatable.DeepCopy()
	return n
}

func (b *NodeBuilder) register(n *v1.Node) {
	var tokens, memory, cores int64
	for _, c := range b.cards {
		tokens += int64(c.Slots)
		memory += int64(c.Memory)
		cores += int64(c.Cores)
	}
	advertise(n, ResourceGPU, tokens)
	annotate(n, wire.HAMiNodeRegisterKey, b.cards, wire.EncodeNodeHAMi)
	if _, set := n.Annotations[wire.AgentKey]; !set {
		n.Annotations[wire.AgentKey] = wire.AgentVersion
	}
	if b.legacy {
		advertise(n, ResourceVGPU, tokens)
		advertise(n, "volcano.sh/vgpu-memory", memory)
		advertise(n, "volcano.sh/vgpu-cores", cores)
		annotate(n, wire.VolcanoNodeRegisterKey, b.cards, wire.EncodeNodeVolcano)
		// The in-tree plugin patches nodes whose handshake is over, and drops those that are late to
		// answer: this one is never late.
		n.Annotations[handshakeKey] = "Requesting_2999.01.01 00:00:00"
	}
}

// advertise sets an amount unless the test has set its own.
func advertise(n *v1.Node, name v1.ResourceName, amount int64) {
	if _, set := n.Status.Allocatable[name]; !set {
		n.Status.Allocatable[name] = *resource.NewQuantity(amount, resource.DecimalSI)
	}
}

// annotate registers cards unless the test has set its own registration. Cards that cannot be
// written are a broken test.
func annotate(n *v1.Node, key string, cards []device.Card, encode func([]device.Card) (string, error)) {
	if _, set := n.Annotations[key]; set {
		return
	}
	text, err := encode(cards)
	if err != nil {
		panic(fmt.Sprintf("cards of node %s: %v", n.Name, err))
	}
	n.Annotations[key] = text
}
