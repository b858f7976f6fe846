package core

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/test/scenarios"
)

// planning is one group and the nodes as they are before it is placed.
type planning struct {
	c        *cluster
	pool     *packing.Pool
	gang     gang.Gang
	requests map[string]*request.Pod // by pod UID
}

// newPlanning makes the gang of a group: its pods by role, with what each role may use.
func (c *cluster) newPlanning(g *scenarios.Group, members []*v1.Pod) *planning {
	p := &planning{c: c, pool: packing.New(packing.Options{}), requests: map[string]*request.Pod{}}
	for _, name := range scenarios.SortedKeys(c.nodes) {
		var cards fit.Node
		c.ledger.View(name, 0, &cards)
		p.pool.Set(packing.Node{Name: name, Cards: cards})
	}
	p.gang = gang.Gang{MinAvailable: g.Min, Tiers: p.tiers()}
	for _, m := range members {
		p.add(g, m)
	}
	return p
}

// add counts a pod in the role that it has.
func (p *planning) add(g *scenarios.Group, pod *v1.Pod) {
	name := pod.Annotations[scenarios.RoleKey]
	i := slices.IndexFunc(p.gang.Roles, func(r gang.Role) bool { return r.Name == name })
	if i < 0 {
		r, _ := request.Parse(pod, p.c.options)
		if r != nil {
			r = r.WithPolicy(r.Policy.Or(p.c.queues[g.Queue]).Or(p.c.policy))
		}
		shape := p.pool.Intern(packing.Shape{Request: r})
		p.pool.Observe(shape, 1)
		i = len(p.gang.Roles)
		p.gang.Roles = append(p.gang.Roles, gang.Role{Name: name, Shape: shape, Min: g.MinByRole[name], Nodes: p.open(pod)})
	}
	role := &p.gang.Roles[i]
	if pod.Spec.NodeName != "" {
		role.Placed++
		return
	}
	uid := string(pod.UID)
	role.Members = append(role.Members, uid)
	p.requests[uid] = p.pool.Shape(role.Shape).Request
}

// open returns the nodes that a pod may use as far as its devices do not matter.
func (p *planning) open(pod *v1.Pod) *packing.Set {
	return p.set(p.c.candidates(pod))
}

func (p *planning) set(names []string) *packing.Set {
	s := &packing.Set{}
	for _, name := range names {
		if i, ok := p.pool.Index(name); ok {
			s.Add(i)
		}
	}
	return s
}

// tiers returns the topology of the row, the tightest tier first.
func (p *planning) tiers() []gang.Tier {
	domains := slices.SortedFunc(slices.Values(p.c.hyperNodes), func(a, b scenarios.HyperNode) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Name, b.Name))
	})
	nodes := map[string][]string{}
	var tiers []gang.Tier
	for i, d := range domains {
		for _, member := range d.Members {
			if below, ok := nodes[member]; ok {
				nodes[d.Name] = append(nodes[d.Name], below...)
			} else {
				nodes[d.Name] = append(nodes[d.Name], member)
			}
		}
		if i == 0 || d.Tier != domains[i-1].Tier {
			tiers = append(tiers, gang.Tier{})
		}
		last := &tiers[len(tiers)-1]
		last.Domains = append(last.Domains, gang.Domain{Name: d.Name, Nodes: p.set(nodes[d.Name])})
	}
	return tiers
}

// hold takes what is planned for a pod.
func (p *planning) hold(pod *v1.Pod, m *gang.Member) {
	var cards []fit.Chosen
	for _, choice := range m.Cards {
		cards = append(cards, fit.Chosen{Container: choice.Container, UUID: p.pool.CardUUID(m.Node, choice.Card)})
	}
	o := ledger.HoldOptions{Cards: cards, Namespace: pod.Namespace, Name: pod.Name}
	if _, v := p.c.ledger.Hold(m.UID, p.pool.Name(m.Node), p.requests[m.UID], o); !v.OK() {
		p.c.Fatalf("pod %s is planned on node %s, which refuses to hold it: %s", pod.Name, p.pool.Name(m.Node), v)
	}
}

// alone says why one more pod finds no place, after all that was held.
func (p *planning) alone(g *scenarios.Group, pod *v1.Pod) string {
	after := p.c.newPlanning(&scenarios.Group{Queue: g.Queue, Min: 1}, []*v1.Pod{pod})
	return gang.Explain(after.pool, gang.Plan(after.pool, after.gang), nil).String()
}
