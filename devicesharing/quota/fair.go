package quota

import (
	"cmp"
	"slices"
)

// MayReclaim reports whether a queue may take from others in order to place more: it must stay within
// its own wall, and in every dimension that it asks for and deserves a part of, within that part. A
// queue that reclaimed stays within what it deserves, so nobody reclaims from it in turn.
func (t *Tree) MayReclaim(s Sums, queue string, asked Vector) Verdict {
	i, ok := t.byName[queue]
	if !ok || asked.IsZero() {
		return Verdict{}
	}
	if v := t.nodes[i].allows(s[i], asked); !v.OK() {
		return v
	}
	return t.nodes[i].deserves(s[i], asked)
}

// deserves reports whether asked fits into what the queue deserves beside used.
func (n *node) deserves(used, asked Vector) Verdict {
	for _, d := range Dimensions() {
		fair, set := n.Limits.fair(d)
		if set && asked[d] > 0 && (used[d] > fair || asked[d] > fair-used[d]) {
			return Verdict{Reason: ReasonDeserved, Owner: n.Name, Dimension: d, Used: used[d], Asked: asked[d], Limit: fair}
		}
	}
	return Verdict{}
}

// Candidate is a running pod that may have to make room.
type Candidate struct {
	ID, Queue, Job string
	Charge         Vector
	Priority       int32
	// Created orders pods of equal priority: the younger one goes first. Any unit will do.
	Created int64
}

// Gang is the job of a candidate.
type Gang struct {
	// Spare is how many of its pods may go while it still runs.
	Spare int
	// Charge is what all its placed pods have.
	Charge Vector
}

// Rank orders candidates by who should go first: spare pods of gangs before the others, then lower
// priority, then the younger.
func Rank(candidates []Candidate, gangs map[string]Gang) []Candidate {
	sorted := slices.Clone(candidates)
	slices.SortFunc(sorted, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Created, a.Created),
			cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.ID, b.ID))
	})
	seen := map[string]int{}
	ranked, others := make([]Candidate, 0, len(sorted)), []Candidate(nil)
	for _, c := range sorted {
		if seen[c.Job] < gangs[c.Job].Spare {
			ranked = append(ranked, c)
		} else {
			others = append(others, c)
		}
		seen[c.Job]++
	}
	return append(ranked, others...)
}

// Victims returns the candidates that may make room for a pod of a queue, in the order in which they
// should go. Only queues that have more than they deserve, in a dimension that is asked for, give
// any, and never below their guarantee. The spare pods of gangs go first; only where they free less
// than is asked, whole gangs follow: of a gang that cannot run any more nothing should stay.
func (t *Tree) Victims(s Sums, reclaimer string, asked Vector, candidates []Candidate, gangs map[string]Gang) []Candidate {
	r, ok := t.byName[reclaimer]
	if !ok || asked.IsZero() {
		return nil
	}
	c := choice{tree: t, before: s, sums: s.Clone(), reclaimer: r, asked: asked, taken: map[string]Vector{}}
	rest := c.takeSpare(Rank(candidates, gangs), gangs)
	if !asked.Within(c.freed) {
		c.takeGangs(rest, gangs)
	}
	return c.victims
}

// choice is the state while victims are chosen.
type choice struct {
	tree      *Tree
	before    Sums
	sums      Sums // as if those chosen so far were gone
	reclaimer int
	asked     Vector
	victims   []Candidate
	freed     Vector
	taken     map[string]Vector // by job
}

// takeSpare takes spare pods of gangs and returns the candidates that it left.
func (c *choice) takeSpare(candidates []Candidate, gangs map[string]Gang) (rest []Candidate) {
	spare := map[string]int{}
	for _, v := range candidates {
		if _, seen := spare[v.Job]; !seen {
			spare[v.Job] = gangs[v.Job].Spare
		}
		if spare[v.Job] <= 0 || !c.mayTake(v.Queue, v.Charge) {
			rest = append(rest, v)
			continue
		}
		spare[v.Job]--
		c.take(v, v.Charge)
	}
	return rest
}

// takeGangs takes all candidates of gangs that may go as a whole.
func (c *choice) takeGangs(candidates []Candidate, gangs map[string]Gang) {
	decided := map[string]bool{}
	for i, first := range candidates {
		if decided[first.Job] {
			continue
		}
		decided[first.Job] = true
		whole := gangs[first.Job].Charge.Sub(c.taken[first.Job]).Max(first.Charge)
		if !c.mayTake(first.Queue, whole) {
			continue
		}
		c.take(first, whole)
		for _, v := range candidates[i+1:] {
			if v.Job == first.Job {
				c.victims = append(c.victims, v)
			}
		}
	}
}

func (c *choice) take(v Candidate, charge Vector) {
	c.victims = append(c.victims, v)
	c.freed = c.freed.Add(charge)
	c.taken[v.Job] = c.taken[v.Job].Add(charge)
	c.tree.Remove(c.sums, v.Queue, charge)
}

// mayTake judges the levels of both queues up to where their branches meet: above that nothing
// changes hands. What the reclaimer may have is judged without the victims chosen so far: the caller
// may evict some of them only.
func (c *choice) mayTake(queue string, charge Vector) bool {
	q, ok := c.tree.byName[queue]
	if !ok || q == c.reclaimer {
		return false
	}
	giving, taking := c.tree.branches(q, c.reclaimer)
	for _, i := range taking {
		if n := &c.tree.nodes[i]; !n.allows(c.before[i], c.asked).OK() || !n.deserves(c.before[i], c.asked).OK() {
			return false
		}
	}
	return c.keepsGuarantees(giving, charge) && c.hasTooMuch(giving, charge)
}

func (c *choice) keepsGuarantees(levels []int, charge Vector) bool {
	for _, i := range levels {
		left := c.sums[i].Sub(charge)
		for _, d := range Dimensions() {
			if g, set := c.tree.nodes[i].Limits.Guarantee.Of(d); set && charge[d] > 0 && left[d] < g {
				return false
			}
		}
	}
	return true
}

// hasTooMuch reports whether some dimension that is asked for and would be freed is above what all the
// levels deserve of it. Queues that deserve nothing in particular have no claim.
func (c *choice) hasTooMuch(levels []int, charge Vector) bool {
	claims := false
	for _, d := range Dimensions() {
		set, above := false, true
		for _, i := range levels {
			if fair, ok := c.tree.nodes[i].Limits.fair(d); ok {
				set, above = true, above && c.sums[i][d] > fair
			}
		}
		claims = claims || set
		if set && above && c.asked[d] > 0 && charge[d] > 0 {
			return true
		}
	}
	return !claims
}

// branches returns the levels of two queues, from below, up to the first that they have in common.
func (t *Tree) branches(a, b int) (aLevels, bLevels []int) {
	for a != b {
		if a >= 0 && (b < 0 || t.nodes[a].depth >= t.nodes[b].depth) {
			aLevels = append(aLevels, a)
			a = t.nodes[a].parent
		} else {
			bLevels = append(bLevels, b)
			b = t.nodes[b].parent
		}
	}
	return aLevels, bLevels
}

// Order says which of two queues is served first: the one with the smaller share of what it deserves,
// compared where their branches meet. It is negative for the first, positive for the second, and zero
// where their shares are equal.
func (t *Tree) Order(s Sums, first, second string) int {
	a, okA := t.byName[first]
	b, okB := t.byName[second]
	if !okA || !okB || a == b {
		return 0
	}
	aLevels, bLevels := t.branches(a, b)
	if len(aLevels) == 0 || len(bLevels) == 0 {
		return 0
	}
	a, b = aLevels[len(aLevels)-1], bLevels[len(bLevels)-1]
	return cmp.Compare(t.nodes[a].share(s[a]), t.nodes[b].share(s[b]))
}

// share is the largest part, over the dimensions, of what the queue deserves. Having what is deserved
// by nobody counts as all of it.
func (n *node) share(used Vector) float64 {
	most, claims := 0.0, false
	for _, d := range Dimensions() {
		fair, set := n.Limits.fair(d)
		claims = claims || set
		switch {
		case !set || used[d] == 0:
		case fair == 0:
			most = max(most, 1)
		default:
			most = max(most, float64(used[d])/float64(fair))
		}
	}
	if !claims && !used.IsZero() {
		return 1
	}
	return most
}
