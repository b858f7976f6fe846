package fit

import (
	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// Serves reports whether a pod with this selector may have the card at all.
func (c *Card) Serves(s *request.Selector) bool { return c.allowed(s) }

// Placed is one container's part of one card.
type Placed struct {
	Amount device.Amount
	// Span is when the container runs beside the others of its pod.
	Span Span
	// Card carries no sums and no UUID. A card that the node does not register has no capacity.
	Card Card
}
