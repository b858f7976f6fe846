package packing

// MaxReplicas returns a number of pods of the shape that the node does not exceed as it is, at most
// limit. For pods whose cards one container takes, that many fit if the right cards are chosen.
func (p *Pool) MaxReplicas(i int, s ShapeID, limit int) int {
	n, shape := &p.nodes[i], &p.shapes[s]
	if !n.present {
		return 0
	}
	limit = n.Free.replicas(shape.Resources, limit)
	if shape.Request == nil || limit == 0 {
		return limit
	}
	return n.Cards.MaxReplicas(p.options.Book, shape.Request, limit)
}

// IdleReplicas is MaxReplicas of the node when nothing runs on it and its cards are healthy.
func (p *Pool) IdleReplicas(i int, s ShapeID, limit int) int {
	n, shape := &p.nodes[i], &p.shapes[s]
	if !n.present {
		return 0
	}
	if n.Capacity != (Resources{}) {
		limit = n.Capacity.replicas(shape.Resources, limit)
	}
	if shape.Request == nil || limit == 0 {
		return limit
	}
	return n.Cards.IdleReplicas(shape.Request, limit)
}

// replicas returns how often o fits into r, at most limit.
func (r Resources) replicas(o Resources, limit int) int {
	for _, part := range [...][2]int64{{r.MilliCPU, o.MilliCPU}, {r.Memory, o.Memory}, {r.Pods, o.Pods}} {
		if have, asked := part[0], part[1]; asked > 0 {
			limit = int(min(int64(limit), max(0, have)/asked))
		}
	}
	return limit
}

// Intersect returns the nodes that are in both sets. A nil set is all nodes.
func Intersect(a, b *Set) *Set {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	both := &Set{words: make([]uint64, min(len(a.words), len(b.words)))}
	for i := range both.words {
		both.words[i] = a.words[i] & b.words[i]
	}
	return both
}
