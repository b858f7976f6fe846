package fit

import (
	"fmt"
	"strings"
)

// Code is the kind of a verdict.
type Code int

const (
	// Fits says that the request fits.
	Fits Code = iota
	// NotNow says that another state of the node, or preemption, could help.
	NotNow
	// Never says that the request would not fit on the node even if it were idle and healthy.
	Never
)

// String returns the word for the code.
func (c Code) String() string {
	switch c {
	case Fits:
		return "fits"
	case NotNow:
		return "not now"
	default:
		return "never"
	}
}

// Verdict says whether a request fits, and if not, why and by how much. The amounts are of the one
// resource that the reason names, on the best card that may serve the container: with a Count of n,
// on the n-th best.
type Verdict struct {
	Code   Code
	Reason Reason
	// Container is the container that does not fit.
	Container string
	// Detail is the UUID, type, mode or node that the reason is about.
	Detail string
	// Requested is per card, in the unit of the resource.
	Requested, Used, Capacity uint64
	// Count is how many cards the container asks, Cards how many the node has, Matching how many of
	// them meet the condition that the reason names.
	Count, Cards, Matching int
}

// OK reports whether the request fits.
func (v Verdict) OK() bool { return v.Code == Fits }

// Free returns how much of the resource is free on the card that the verdict is about.
func (v Verdict) Free() uint64 {
	return v.Capacity - min(v.Used, v.Capacity)
}

// Short returns how much of the resource is missing on that card.
func (v Verdict) Short() uint64 {
	return v.Requested - min(v.Free(), v.Requested)
}

// String returns a sentence for users: resource, requested, free, shortfall and unit. It is empty
// when the request fits.
func (v Verdict) String() string {
	switch v.Reason {
	case "":
		return ""
	case ReasonMemory, ReasonCores, ReasonSlots:
		return v.amounts()
	case ReasonNoDevices, ReasonNoRequest:
		return string(v.Reason)
	case ReasonElsewhere:
		return fmt.Sprintf("%s: %s", v.Reason, v.Detail)
	}
	var s strings.Builder
	s.WriteString(string(v.Reason))
	if v.Detail != "" {
		fmt.Fprintf(&s, " (%s)", v.Detail)
	}
	fmt.Fprintf(&s, ": container %s asks %s", v.Container, countOf(v.Count))
	switch v.Reason {
	case ReasonContainers:
		fmt.Fprintf(&s, " beside the pod's other containers, the node has %d", v.Cards)
	case ReasonCount:
		fmt.Fprintf(&s, ", the node has %d, %d short", v.Cards, v.Count-v.Cards)
	default:
		fmt.Fprintf(&s, ", %d of the node's %d can serve it, %d short", v.Matching, v.Cards, max(v.Count-v.Matching, 0))
	}
	return s.String()
}

func (v Verdict) amounts() string {
	each := "per card"
	if v.Count > 1 {
		each = fmt.Sprintf("on each of %d cards", v.Count)
	}
	if v.Requested == 0 {
		return fmt.Sprintf("%s: container %s asks unsold cores %s, all %d percent of the best card are sold",
			v.Reason, v.Container, each, v.Capacity)
	}
	asks, unit := "", ""
	switch v.Reason {
	case ReasonMemory:
		asks, unit = " MiB", " MiB"
	case ReasonCores:
		asks, unit = " percent", " percent"
	default:
		asks = " share"
	}
	card, has := "best card", fmt.Sprintf("%d%s free", v.Free(), unit)
	if v.Code == Never {
		card, has = "largest card", fmt.Sprintf("%d%s", v.Capacity, unit)
	}
	if v.Count > 1 {
		card = fmt.Sprintf("number %d of the cards, best first,", v.Count)
	}
	return fmt.Sprintf("%s: container %s asks %d%s %s, %s has %s, %d%s short",
		v.Reason, v.Container, v.Requested, asks, each, card, has, v.Short(), unit)
}

func countOf(n int) string {
	if n == 1 {
		return "1 card"
	}
	return fmt.Sprintf("%d cards", n)
}
