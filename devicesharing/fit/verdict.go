// Package fit judges whether a request fits on the cards of one node, and chooses them.
package fit

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

// Verdict says whether a request fits, and if not, why and by how much. The numbers are of the one
// resource that the reason names, on the best card of those that may serve the container.
type Verdict struct {
	Code   Code
	Reason Reason
	// Container is the container that does not fit.
	Container string
	// Detail is the UUID, type or mode that the reason is about.
	Detail string
	// Requested is per card, in the unit of the resource.
	Requested, Used, Capacity uint64
	// Count is how many cards the container asks, Cards how many were looked at, Matching how many of
	// them meet the reason's condition.
	Count, Cards, Matching int
}

// OK reports whether the request fits.
func (v Verdict) OK() bool { return v.Code == Fits }

// String returns a sentence for users; empty when the request fits.
func (v Verdict) String() string { return string(v.Reason) }
