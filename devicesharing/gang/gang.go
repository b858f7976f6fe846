package gang

import "github.com/basalt-gpu/basalt/devicesharing/packing"

// Gang is what is to be planned at once. A pod that is in no gang is a gang of one.
type Gang struct {
	// Roles in the order in which the caller prefers them when not all members are needed.
	Roles []Role
	// MinAvailable is how many members must run over all roles. Those that have a place count.
	MinAvailable int
	// Tiers are the topology domains that the gang prefers, the tightest tier first. None means that
	// topology does not matter.
	Tiers []Tier
	// Hard says that the gang must not leave a domain. Such a gang is not planned: the scheduler tries
	// its domains one by one, and a planned node outside of the one on trial would be in its way.
	Hard bool
	// Bans are nodes that refused a role for reasons the pool does not know.
	Bans []Ban
}

// Role is the members of a gang that are alike.
type Role struct {
	Name  string
	Shape packing.ShapeID
	// Members are the UIDs of those without a place, in the order in which they are to get one.
	Members []string
	// Placed is how many members have a place already.
	Placed int
	// Min is how many members of this role must run, those with a place included. The minimums of the
	// roles hold only where they do not exceed Gang.MinAvailable together, as in Volcano.
	Min int
	// Nodes are the nodes that the role may use; nil is all of them.
	Nodes *packing.Set
}

// Tier is topology domains of one size.
type Tier struct {
	Name    string
	Domains []Domain
}

// Domain is nodes that are near each other. Domains of a tier have no node in common.
type Domain struct {
	Name  string
	Nodes *packing.Set
}

// Ban keeps a role off a node.
type Ban struct {
	Role, Node int
}

// need is how many of a gang's pending members must be placed.
type need struct {
	strict []int // by role: what its own minimum still lacks
	extra  int   // beyond those, of any role
}

func (n need) total() int {
	total := n.extra
	for _, s := range n.strict {
		total += s
	}
	return total
}

// needs counts what the minimums still lack.
func (g *Gang) needs() need {
	n := need{strict: make([]int, len(g.Roles))}
	placed, minimums := 0, 0
	for i := range g.Roles {
		placed += g.Roles[i].Placed
		minimums += g.Roles[i].Min
	}
	n.extra = g.MinAvailable - placed
	if minimums <= g.MinAvailable {
		for i := range g.Roles {
			n.strict[i] = max(0, g.Roles[i].Min-g.Roles[i].Placed)
			n.extra -= n.strict[i]
		}
	}
	n.extra = max(0, n.extra)
	return n
}

// missing returns how many members are needed but do not exist.
func (g *Gang) missing(n need) int {
	missing, spare := 0, 0
	for i := range g.Roles {
		pending := len(g.Roles[i].Members)
		missing += max(0, n.strict[i]-pending)
		spare += max(0, pending-n.strict[i])
	}
	return missing + max(0, n.extra-spare)
}
