package sharingtest

import (
	"fmt"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// CardMemory is the memory of the cards that MakeCard makes.
const CardMemory device.MiB = 81920

// CardBuilder builds a card.
type CardBuilder struct {
	card device.Card
}

// MakeCard starts a healthy card with ten shares.
func MakeCard(uuid string) *CardBuilder {
	return &CardBuilder{card: device.Card{
		UUID: uuid, Vendor: device.VendorNVIDIA, Model: "NVIDIA A100-SXM4-80GB", Memory: CardMemory,
		Cores: device.WholeCard, Slots: 10, Healthy: true, Mode: device.ModeHAMiCore,
	}}
}

// Index sets the index.
func (b *CardBuilder) Index(i int) *CardBuilder { b.card.Index = i; return b }

// Model sets the model.
func (b *CardBuilder) Model(m string) *CardBuilder { b.card.Model = m; return b }

// Memory sets the memory.
func (b *CardBuilder) Memory(m device.MiB) *CardBuilder { b.card.Memory = m; return b }

// Cores sets the cores.
func (b *CardBuilder) Cores(c device.CorePercent) *CardBuilder { b.card.Cores = c; return b }

// Slots sets the shares.
func (b *CardBuilder) Slots(s device.Shares) *CardBuilder { b.card.Slots = s; return b }

// Mode sets the mode.
func (b *CardBuilder) Mode(m device.Mode) *CardBuilder { b.card.Mode = m; return b }

// Sick makes the card unhealthy.
func (b *CardBuilder) Sick() *CardBuilder { b.card.Healthy = false; return b }

// Obj returns the card.
func (b *CardBuilder) Obj() device.Card { return b.card }

// Used returns the card as the search sees it, with the given use in both books.
func (b *CardBuilder) Used(memory device.MiB, cores device.CorePercent, slots device.Shares) fit.Card {
	used := device.Amount{Memory: memory, Cores: cores, Slots: slots}
	return fit.Card{
		UUID: b.card.UUID, Model: b.card.Model, Mode: b.card.Mode, Index: b.card.Index, Healthy: b.card.Healthy,
		Capacity: device.Amount{Memory: b.card.Memory, Cores: b.card.Cores, Slots: b.card.Slots},
		Now:      used, Future: used,
	}
}

// MakeNode returns a node with that many cards, named NODE-0 and so on, of full size.
func MakeNode(name string, cards int) device.Node {
	n := device.Node{Name: name}
	for i := range cards {
		n.Cards = append(n.Cards, MakeCard(fmt.Sprintf("%s-%d", name, i)).Index(i).Obj())
	}
	return n
}

// MakeNodeOf returns a node with the given cards.
func MakeNodeOf(name string, cards ...device.Card) device.Node {
	return device.Node{Name: name, Cards: cards}
}

// RequestBuilder builds a request.
type RequestBuilder struct {
	pod request.Pod
}

// MakeRequest starts an empty request.
func MakeRequest() *RequestBuilder { return &RequestBuilder{} }

// Ask adds a container that asks count cards with that much of each.
func (b *RequestBuilder) Ask(name string, k request.Kind, count int, memory device.MiB, cores device.CorePercent) *RequestBuilder {
	b.pod.Containers = append(b.pod.Containers, request.Container{
		Name: name, Kind: k, Count: count, Memory: memory, Cores: cores, Priority: request.PriorityUnset,
	})
	return b
}

// App adds an app container on one card.
func (b *RequestBuilder) App(name string, memory device.MiB, cores device.CorePercent) *RequestBuilder {
	return b.Ask(name, request.App, 1, memory, cores)
}

// Percent makes the last container ask a part of each card's memory.
func (b *RequestBuilder) Percent(p int) *RequestBuilder {
	c := &b.pod.Containers[len(b.pod.Containers)-1]
	c.Memory, c.Percent = 0, p
	return b
}

// Select sets the selector.
func (b *RequestBuilder) Select(s request.Selector) *RequestBuilder { b.pod.Selector = s; return b }

// Obj returns the request.
func (b *RequestBuilder) Obj() *request.Pod {
	r := b.pod
	return &r
}

// Slice returns the request of one container, main, on one card.
func Slice(memory device.MiB, cores device.CorePercent) *request.Pod {
	return MakeRequest().App("main", memory, cores).Obj()
}
