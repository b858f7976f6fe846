package gang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// Reason is why a node has no place for a member. The texts are shown to users and stable.
type Reason string

// The reasons beside those of package fit.
const (
	ReasonCPU          Reason = "insufficient cpu"
	ReasonMemory       Reason = "insufficient memory"
	ReasonPods         Reason = "too many pods"
	ReasonNotCandidate Reason = "node is not open to the role"
	ReasonBanned       Reason = "node refused the role"
)

// Shortage is the nodes that have no place for one more member, for one reason.
type Shortage struct {
	Reason Reason
	Nodes  int
	// Nearest is the node of these that is least short, and Verdict what it says.
	Nearest int
	Verdict packing.Verdict
	// Short is what the nearest node lacks, in the unit of the resource; zero where the reason is no
	// amount.
	Short uint64
}

// Explanation says what keeps a rejected gang from its places.
type Explanation struct {
	Role         string
	Needed, Fits int
	Missing      bool // members are missing, not places
	Shortages    []Shortage
	nearest      []string // names, as Shortages
	alone        bool     // one pod, which no gang waits for
}

// Why says why a node is not open to a role, for reasons that the pool does not know; "" for a node that
// is.
type Why func(role, node int) string

// Explain returns why the gang found no place: all that fits of it is placed, then every node is asked
// for one more member of the role that is short. The reasons on most nodes come first. It is much slower
// than the refusal itself. The pool is left as it was.
func Explain(pool *packing.Pool, r Result, why Why) Explanation {
	if r.Reject == nil {
		return Explanation{}
	}
	e := Explanation{Needed: r.Reject.Needed, Fits: r.Reject.Fits}
	if r.Reject.Role < 0 {
		e.Missing = true
		return e
	}
	p := planner{pool: pool, gang: &r.gang}
	p.compress(r.gang.needs())
	defer p.undo(0)
	p.try(attempt{first: true})
	e.alone = e.Needed == 1
	role := r.Reject.Role
	e.Role = r.gang.Roles[role].Name
	p.explain(role, why, &e)
	return e
}

func (p *planner) explain(role int, why Why, e *Explanation) {
	at := map[Reason]int{}
	for _, node := range p.byName() {
		if p.pool.Name(node) == "" {
			continue
		}
		s := p.shortage(role, node, why)
		i, known := at[s.Reason]
		switch {
		case s.Reason == "":
		case !known:
			at[s.Reason] = len(e.Shortages)
			e.Shortages = append(e.Shortages, s)
		default:
			known := &e.Shortages[i]
			nodes := known.Nodes + 1
			if s.nearer(known) {
				*known = s
			}
			known.Nodes = nodes
		}
	}
	slices.SortFunc(e.Shortages, func(a, b Shortage) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.Reason, b.Reason))
	})
	for i := range e.Shortages {
		e.nearest = append(e.nearest, p.pool.Name(e.Shortages[i].Nearest))
	}
}

// shortage returns what the node says to one more member of the role.
func (p *planner) shortage(role, node int, why Why) Shortage {
	r := &p.gang.Roles[role]
	s := Shortage{Nodes: 1, Nearest: node}
	if why != nil {
		s.Reason = Reason(why(role, node))
	}
	switch {
	case s.Reason != "":
		return s
	case !r.Nodes.Has(node):
		s.Reason = ReasonNotCandidate
		return s
	case slices.Contains(p.gang.Bans, Ban{Role: role, Node: node}):
		s.Reason = ReasonBanned
		return s
	}
	s.Verdict = p.pool.Fits(node, r.Shape)
	free, asked := p.pool.Free(node), p.pool.Shape(r.Shape).Resources
	switch s.Verdict.Scalar {
	case packing.ScalarCPU:
		s.Reason, s.Short = ReasonCPU, uint64(asked.MilliCPU-free.MilliCPU)
	case packing.ScalarMemory:
		s.Reason, s.Short = ReasonMemory, uint64(asked.Memory-free.Memory)
	case packing.ScalarPods:
		s.Reason, s.Short = ReasonPods, uint64(asked.Pods-free.Pods)
	default:
		s.Reason, s.Short = Reason(s.Verdict.Cards.Reason), s.Verdict.Cards.Short()
	}
	return s
}

// nearer reports whether a node is less short than another for the same reason: what could fit later
// before what never does, then less of the resource, then more cards that match.
func (s *Shortage) nearer(o *Shortage) bool {
	return cmp.Or(cmp.Compare(s.Verdict.Cards.Code, o.Verdict.Cards.Code), cmp.Compare(s.Short, o.Short),
		cmp.Compare(o.Verdict.Cards.Matching, s.Verdict.Cards.Matching)) < 0
}

// String returns a sentence for users.
func (e Explanation) String() string {
	if e.Needed == 0 {
		return ""
	}
	if e.Missing {
		return fmt.Sprintf("gang needs %d pending members, %d exist", e.Needed, e.Fits)
	}
	var s strings.Builder
	if !e.alone {
		fmt.Fprintf(&s, "gang needs places for %d members at once, %d fit", e.Needed, e.Fits)
		if len(e.Shortages) > 0 {
			fmt.Fprintf(&s, "; for one more of role %s: ", e.Role)
		}
	}
	for i := range e.Shortages {
		if i > 0 {
			s.WriteString("; ")
		}
		s.WriteString(e.Shortages[i].text(e.nearest[i]))
	}
	return s.String()
}

// text names the reason and how many nodes have it, and of the nearest of them what is missing.
func (s *Shortage) text(node string) string {
	nearest := fmt.Sprintf("%d nodes: closest is node %s", s.Nodes, node)
	count := fmt.Sprintf("%d nodes", s.Nodes)
	if s.Nodes == 1 {
		nearest, count = "node "+node, "1 node"
	}
	switch s.Reason {
	case ReasonCPU:
		return fmt.Sprintf("%s: %s, %dm short", nearest, s.Reason, s.Short)
	case ReasonMemory:
		return fmt.Sprintf("%s: %s, %d MiB short", nearest, s.Reason, (s.Short+1<<20-1)>>20)
	case Reason(fit.ReasonNoDevices), "":
	case Reason(s.Verdict.Cards.Reason):
		return fmt.Sprintf("%s: %s", nearest, s.Verdict.Cards)
	}
	return fmt.Sprintf("%s: %s", count, s.Reason)
}
