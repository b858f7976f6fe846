package packing

import (
	"math"
	"math/bits"
)

// maxRanked bounds the nodes in all rankings together: some 30 MB.
const maxRanked = 1 << 20

// ranking is the nodes by how good they are for one shape: a tournament, in which every inner place
// holds the better of the two below. What changed since it was last asked is played again.
type ranking struct {
	shape ShapeID
	epoch uint32
	seen  int    // changes taken in, counted from the first of all
	used  uint64 // when it was last asked
	size  int    // places for nodes, a power of two
	grade []grade
	// winners holds the inner places from 1; place k is above 2k and 2k+1, nodes stand from size on.
	winners []int32
}

// grade is a score in one number, less is better: there is one for each node and shape, and decisions
// spend their time on comparing them.
type grade uint64

// unfit is the grade of a node that the shape does not fit on.
const unfit grade = math.MaxUint64

const (
	// harmScale is how finely harm is told apart: below it is the noise of sums.
	harmScale = 64
	roomBits  = 24
	harmLimit = 1 << (63 - roomBits)
	roomLimit = 1 << (roomBits - 1)
)

// grade returns the score in one number. What is beyond the limits counts as the limit.
func (v Score) grade() grade {
	harm := int64(max(-harmLimit, min(math.Round(v.Harm*harmScale), harmLimit-2)))
	room := max(-roomLimit, min(v.Room, roomLimit-1))
	return grade(harm+harmLimit)<<roomBits | grade(room+roomLimit)
}

// Best returns the node of the set on which the shape fits and does the least harm; a nil set is all
// nodes.
func (p *Pool) Best(s ShapeID, among *Set) (int, bool) {
	if p.stale() {
		p.refresh()
	}
	r := p.ranked(s)
	best := int32(-1)
	switch {
	case among == nil:
		best = r.winners[1]
	case among.Len()*few < len(p.nodes):
		best = p.scan(r, among)
	default:
		best = p.search(r, 1, among, best)
	}
	return int(best), best >= 0
}

// few is how much smaller than the pool a set must be to be looked at node by node: in the tournament
// nearly all winners would be strangers to it.
const few = 16

// scan returns the best node of the set.
func (p *Pool) scan(r *ranking, among *Set) int32 {
	best := int32(-1)
	among.Each(func(i int) bool {
		if i < len(p.nodes) {
			best = p.better(r, best, r.winner(r.size+i))
		}
		return true
	})
	return best
}

// search returns the best node of the set at or below a place, or what was best before if that is better.
func (p *Pool) search(r *ranking, place int, among *Set, best int32) int32 {
	w := r.winner(place)
	if w < 0 || best >= 0 && p.better(r, best, w) == best {
		return best
	}
	if among.Has(int(w)) {
		return w
	}
	if place >= r.size {
		return best
	}
	return p.search(r, 2*place+1, among, p.search(r, 2*place, among, best))
}

// ranked returns the ranking for a shape, up to date.
func (p *Pool) ranked(s ShapeID) *ranking {
	r := p.shapes[s].ranking
	if r == nil {
		r = p.newRanking(s)
	}
	p.clock++
	r.used = p.clock
	if r.epoch != p.epoch || r.size < len(p.nodes) || r.seen < p.dropped {
		p.rank(r)
		return r
	}
	// Only the last of the changes of a node counts, and all are judged as they are now.
	changes := p.changes[r.seen-p.dropped:]
	for _, i := range changes {
		if p.asked[i] != p.clock {
			p.asked[i] = p.clock
			p.replay(r, int(i))
		}
	}
	r.seen += len(changes)
	return r
}

// newRanking makes room for a ranking; the one that was asked longest ago goes when there are too many.
func (p *Pool) newRanking(s ShapeID) *ranking {
	if len(p.rankings) > 0 && (len(p.rankings)+1)*len(p.nodes) > p.maxRanked {
		oldest := 0
		for i := range p.rankings {
			if p.rankings[i].used < p.rankings[oldest].used {
				oldest = i
			}
		}
		last := len(p.rankings) - 1
		p.shapes[p.rankings[oldest].shape].ranking = nil
		p.rankings[oldest], p.rankings[last] = p.rankings[last], nil
		p.rankings = p.rankings[:last]
	}
	r := &ranking{shape: s, epoch: p.epoch - 1}
	p.shapes[s].ranking = r
	p.rankings = append(p.rankings, r)
	return r
}

// rank plays the whole tournament.
func (p *Pool) rank(r *ranking) {
	if r.size < len(p.nodes) || r.size == 0 {
		r.size = 1 << max(1, bits.Len(uint(max(len(p.nodes), 1)-1)))
		r.winners = make([]int32, r.size)
		r.grade = make([]grade, r.size)
	}
	r.epoch, r.seen = p.epoch, p.dropped+len(p.changes)
	p.twins = zeroed(p.twins, 2*r.size)
	alike := p.judge == nil && p.shapes[r.shape].onlyByKind() && !p.shapes[r.shape].looksAtPlaces()
	for i := range r.grade {
		switch {
		case i >= len(p.nodes):
			r.grade[i] = unfit
		case alike:
			r.grade[i] = p.gradeLike(r, i)
		default:
			r.grade[i] = p.gradeOf(r.shape, i)
		}
	}
	for place := r.size - 1; place >= 1; place-- {
		r.winners[place] = p.better(r, r.winner(2*place), r.winner(2*place+1))
	}
}

// twin is a node that others may be equal to.
type twin struct {
	print uint64
	node  int32 // from 1
}

// gradeLike returns the grade of a node, from a node before it that has the same left if there is one.
func (p *Pool) gradeLike(r *ranking, i int) grade {
	p.look(i)
	t := &p.twins[p.prints[i]%uint64(len(p.twins))]
	if t.node > 0 && t.print == p.prints[i] {
		return r.grade[t.node-1]
	}
	*t = twin{print: p.prints[i], node: int32(i + 1)}
	return p.gradeOf(r.shape, i)
}

// replay plays the matches of a node again.
func (p *Pool) replay(r *ranking, i int) {
	before := r.grade[i]
	r.grade[i] = p.gradeOf(r.shape, i)
	if before == unfit && r.grade[i] == unfit {
		return
	}
	for place := (r.size + i) / 2; place >= 1; place /= 2 {
		w := p.better(r, r.winner(2*place), r.winner(2*place+1))
		if w == r.winners[place] && w != int32(i) {
			return // nothing above depends on this node
		}
		r.winners[place] = w
	}
}

func (p *Pool) gradeOf(s ShapeID, i int) grade {
	v, _, ok := p.score(i, &p.shapes[s])
	if !ok {
		return unfit
	}
	return v.grade()
}

// winner returns the best node at or below a place; -1 if the shape fits on none.
func (r *ranking) winner(place int) int32 {
	if place < r.size {
		return r.winners[place]
	}
	if i := place - r.size; r.grade[i] != unfit {
		return int32(i)
	}
	return -1
}

// better returns the better of two nodes, either of which may be -1.
func (p *Pool) better(r *ranking, a, b int32) int32 {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	x, y := r.grade[a], r.grade[b]
	if y < x || y == x && p.nodes[b].Name < p.nodes[a].Name {
		return b
	}
	return a
}
