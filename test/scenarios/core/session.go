package core

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/test/scenarios"
)

// Session implements scenarios.Cluster: one job after the other, by priority, then by age.
func (c *cluster) Session() {
	groups := slices.Clone(c.groups)
	slices.SortFunc(groups, func(a, b *scenarios.Group) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	for _, g := range groups {
		c.schedule(g)
	}
	c.ledger.EndSession()
}

// schedule places the pods of a group that have no node as the planner says.
func (c *cluster) schedule(g *scenarios.Group) {
	var members, pending []*v1.Pod
	for _, m := range slices.SortedFunc(slices.Values(g.Pods), func(a, b *v1.Pod) int { return cmp.Compare(a.Name, b.Name) }) {
		p := c.pods[m.Name]
		if p == nil {
			continue // deleted
		}
		members = append(members, p)
		if p.Spec.NodeName == "" {
			pending = append(pending, p)
		}
	}
	if len(pending) == 0 || !c.valid(pending) {
		return
	}
	p := c.newPlanning(g, members)
	plan := gang.Plan(p.pool, p.gang)
	if plan.Reject != nil {
		why := gang.Explain(p.pool, plan, nil).String()
		for _, pod := range pending {
			c.reasons[pod.Name] = why
		}
		return
	}
	c.place(p, g, pending, plan)
}

// place holds and binds what is planned, and tells the others why they wait.
func (c *cluster) place(p *planning, g *scenarios.Group, pending []*v1.Pod, plan gang.Result) {
	byUID := map[string]*v1.Pod{}
	for _, pod := range pending {
		byUID[string(pod.UID)] = pod
	}
	for i := range plan.Members {
		p.hold(byUID[plan.Members[i].UID], &plan.Members[i])
	}
	for _, uid := range plan.Left {
		c.reasons[byUID[uid].Name] = p.alone(g, byUID[uid])
	}
	for i := range plan.Members {
		c.bind(byUID[plan.Members[i].UID])
	}
}

// valid reports whether all pods of a group ask for what can be asked.
func (c *cluster) valid(pending []*v1.Pod) bool {
	valid := true
	for _, p := range pending {
		delete(c.reasons, p.Name)
		if _, errs := request.Parse(p, c.options); len(errs) > 0 {
			c.reasons[p.Name] = "invalid device request: " + errs.ToAggregate().Error()
			valid = false
		}
	}
	return valid
}

// bind does what the binder and the API server do together.
func (c *cluster) bind(p *v1.Pod) {
	allocation, err := c.ledger.Assume(string(p.UID))
	if err != nil {
		c.Fatal(err)
	}
	if c.refused[p.Name] {
		c.ledger.Release(string(p.UID))
		c.reasons[p.Name] = "binding refused"
		return
	}
	text, err := wire.EncodeAllocation(allocation)
	if err != nil {
		c.Fatal(err)
	}
	p.Spec.NodeName = allocation.Node
	p.Annotations[wire.AllocationKey] = text
	if c.delayed {
		c.unseen[p.Name] = true
		return
	}
	c.observe(p.Name)
}
