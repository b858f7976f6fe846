package fit

import "github.com/basalt-gpu/basalt/devicesharing/request"

// A pod lives through phases: one for each init container that runs to its end, and a last one in
// which the app containers run. A container occupies its cards in a span of phases: an init container
// in its own, app containers in the last, a sidecar from the init container it precedes to the last.
// What a pod takes of a card is the largest sum over the phases.

// Span is the phases, first to last, in which a container runs.
type Span struct {
	First, Last uint8
}

// maxPhases bounds the phases told apart. The containers of a pod with more are counted as if all ran
// at once: too much rather than too little.
const maxPhases = 250

// Spans appends the span of each container to dst and returns it with the number of phases.
func Spans(containers []request.Container, dst []Span) ([]Span, int) {
	inits := 0
	for i := range containers {
		if containers[i].Kind == request.Init {
			inits++
		}
	}
	if inits >= maxPhases {
		inits = 0
	}
	last := uint8(inits)
	next := uint8(0)
	for i := range containers {
		s := Span{First: last, Last: last}
		switch {
		case inits == 0:
		case containers[i].Kind == request.Init:
			s = Span{First: next, Last: next}
			next++
		case containers[i].Kind == request.Sidecar:
			s.First = next
		}
		dst = append(dst, s)
	}
	return dst, inits + 1
}
