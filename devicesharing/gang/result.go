package gang

import (
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// Skip says why nothing was planned although nothing is wrong. The texts are shown to users and stable.
type Skip string

// SkipHardTopology: the scheduler walks the domains of the gang itself.
const SkipHardTopology Skip = "hard topology is not planned"

// Result is a plan, or why there is none.
type Result struct {
	// Members are those with a planned place, in the order in which they are to be placed.
	Members []Member
	// Required is how many of Members, from the first, the gang cannot run without.
	Required int
	// Left are the UIDs of those without a plan: beyond the minimum and without room, or given up after
	// MaxRepairs. The scheduler's own scoring decides about them.
	Left []string
	// Tier and Domain name the tightest domain that holds all required members; empty when none does.
	Tier, Domain string
	// Skip is set when the gang is none of the planner's business; then all else is empty.
	Skip Skip
	// Reject is set when the required members find no place; then there are no Members.
	Reject *Reject
	// Repairs is how often the plan was repaired.
	Repairs int

	gang Gang
}

// Member is one member with its planned place.
type Member struct {
	UID   string
	Role  int
	Node  int
	Cards []fit.Choice
}

// Reject says that the required members find no place.
type Reject struct {
	// Code is fit.Never when no eviction could help: the gang does not fit on the nodes of its roles,
	// banned ones too, when they are idle and healthy. Only then may a scheduler refuse the gang for good;
	// fit.NotNow must not keep it from preemption. Nodes that a role may not use for the moment only, say
	// cordoned ones, are not known to the planner: where there are any, Never is up to the caller.
	Code fit.Code
	// Role is the first of the roles that are short, and Shape its shape. Role is -1 where members are
	// missing, that is, not created yet.
	Role  int
	Shape packing.ShapeID
	// Needed is how many pending members must be placed at once, Fits how many of these find a place:
	// of the members of one shape where Counted, else of all shapes.
	Needed, Fits int
	// Counted is true when the count of places proves the refusal. Else every way of placing that the
	// planner knows failed, which proves nothing.
	Counted bool
}
