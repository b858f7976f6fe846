package actions

import (
	"cmp"
	"slices"

	"volcano.sh/volcano/pkg/scheduler/api"
)

// room is a node from which candidates are taken away in thought, devices and everything else.
type room struct {
	need   *api.Resource
	future *api.Resource
	// ample: the rest suffices without any victim, only devices are short.
	ample      bool
	trial      Trial // nil: no devices are asked for
	candidates []*api.TaskInfo
}

func (c *contest) newRoom(task *api.TaskInfo, node *api.NodeInfo, candidates []*api.TaskInfo) *room {
	future := node.FutureIdle()
	return &room{
		need: task.InitResreq, future: future, ample: task.InitResreq.LessEqual(future, api.Zero), candidates: candidates,
		trial: c.devices.Try(task, node.Name, candidates),
	}
}

func (r *room) fits() bool {
	return (r.ample || r.need.LessEqual(r.future, api.Zero)) && (r.trial == nil || r.trial.Fits())
}

func (r *room) remove(i int) {
	if !r.ample {
		r.future.Add(r.candidates[i].Resreq)
	}
	if r.trial != nil {
		r.trial.Remove(i)
	}
}

func (r *room) restore(i int) {
	if !r.ample {
		r.future.SubWithoutAssert(r.candidates[i].Resreq)
	}
	if r.trial != nil {
		r.trial.Restore(i)
	}
}

// hopeless reports whether not even all candidates together make room.
func (r *room) hopeless() bool {
	for i := range r.candidates {
		r.remove(i)
	}
	fits := r.fits()
	for i := range r.candidates {
		r.restore(i)
	}
	return !fits
}

func (r *room) seeds() [][]int {
	if r.trial == nil {
		return [][]int{nil}
	}
	return r.trial.Seeds()
}

// grow completes a set until the task fits, cheapest candidates first, then spares whom it can, dearest
// first. The room is as before when it returns.
func (r *room) grow(seed []int) (set []int, ok bool) {
	in := make([]bool, len(r.candidates))
	for _, i := range seed {
		in[i] = true
		r.remove(i)
	}
	for i := 0; i < len(in) && !r.fits(); i++ {
		if !in[i] {
			in[i] = true
			r.remove(i)
		}
	}
	ok = r.fits()
	for i := len(in) - 1; i >= 0; i-- {
		if !in[i] {
			continue
		}
		r.restore(i)
		if ok && r.fits() {
			in[i] = false
		} else {
			r.remove(i)
		}
	}
	for i := range in {
		if in[i] {
			set = append(set, i)
			r.restore(i)
		}
	}
	return set, ok
}

// victims returns the cheapest set of tasks whose eviction lets the task onto the node, with its cost. An
// empty set says that what is free, or terminating, suffices.
func (c *contest) victims(task *api.TaskInfo, node *api.NodeInfo) (best []*api.TaskInfo, rest []*api.TaskInfo, at cost, ok bool) {
	all := c.candidates(task, node)
	allowed := c.together(task, all)
	single := allowed
	if len(allowed) < len(all) && c.devices.Try(task, node.Name, nil) != nil {
		single = c.apart(task, all)
	}
	if len(single) > len(allowed) {
		best, at, ok = c.cheapest(task, node, single, func(set []*api.TaskInfo) bool { return len(c.together(task, set)) == len(set) })
	}
	if !ok {
		best, at, ok = c.cheapest(task, node, allowed, func([]*api.TaskInfo) bool { return true })
	}
	rest = slices.DeleteFunc(slices.Clone(allowed), func(t *api.TaskInfo) bool { return slices.Contains(best, t) })
	return best, rest, at, ok
}

// cheapest searches the candidates for the cheapest set that is valid.
func (c *contest) cheapest(task *api.TaskInfo, node *api.NodeInfo, candidates []*api.TaskInfo,
	valid func([]*api.TaskInfo) bool) (best []*api.TaskInfo, at cost, ok bool) {
	r := c.newRoom(task, node, candidates)
	if r.fits() {
		return nil, c.price(node, nil), true
	}
	if r.hopeless() {
		return nil, cost{}, false
	}
	var chosen []int
	for _, seed := range r.seeds() {
		set, fits := r.grow(seed)
		if !fits {
			continue
		}
		tasks := make([]*api.TaskInfo, len(set))
		for k, i := range set {
			tasks[k] = candidates[i]
		}
		p := c.price(node, tasks)
		if ok && cmp.Or(p.compare(at), slices.Compare(set, chosen)) >= 0 || !valid(tasks) {
			continue
		}
		best, chosen, at, ok = tasks, set, p, true
	}
	return best, at, ok
}

func (c *contest) price(node *api.NodeInfo, victims []*api.TaskInfo) cost {
	p := price(c.ssn, victims)
	p.node, p.foreign = node.Name, c.foreign(node)
	return p
}
