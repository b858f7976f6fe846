package main

import (
	"fmt"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

const (
	clusterNodes = 5000
	quarter      = sharingtest.CardMemory / 4
)

// use is the quarters in use of each card of a node. The nodes of a cluster are built by these in turn.
type use []int

var (
	empty  = use{0, 0, 0, 0, 0, 0, 0, 0}
	ragged = use{4, 3, 2, 1, 0, 0, 3, 4}
	full   = use{4, 4, 4, 4, 4, 4, 4, 4}
)

// part is pods of a gang that are alike: so many cards each, and quarters of these.
type part struct {
	pods, cards, quarters int
}

// benchCase is a gang, all of it needed, on a cluster.
type benchCase struct {
	name    string
	cluster []use
	gang    []part
	// racks of 25 nodes, 200 of them, are preferred.
	racks bool
	// rejected: the gang has no place.
	rejected bool
}

var mixed = []part{{pods: 5000, cards: 1, quarters: 1}, {pods: 3000, cards: 1, quarters: 2},
	{pods: 1500, cards: 1, quarters: 4}, {pods: 500, cards: 4, quarters: 4}}

var cases = []benchCase{
	{name: "plan_10k", cluster: []use{empty}, gang: []part{{pods: 10000, cards: 1, quarters: 1}}},
	{name: "plan_10k_ragged", cluster: []use{empty, ragged, full}, gang: []part{{pods: 10000, cards: 1, quarters: 1}}},
	{name: "plan_10k_mixed", cluster: []use{empty, ragged}, gang: mixed},
	{name: "plan_10k_racks", cluster: []use{empty, ragged, full}, gang: []part{{pods: 10000, cards: 1, quarters: 1}}, racks: true},
	{name: "plan_64", cluster: []use{empty, ragged, full}, gang: []part{{pods: 64, cards: 1, quarters: 1}}},
	{name: "plan_1", cluster: []use{empty, ragged, full}, gang: []part{{pods: 1, cards: 1, quarters: 1}}},
	{name: "reject_1", cluster: []use{full}, gang: []part{{pods: 1, cards: 1, quarters: 1}}, rejected: true},
	{name: "reject_64", cluster: []use{full}, gang: []part{{pods: 64, cards: 1, quarters: 1}}, rejected: true},
	{name: "reject_10k", cluster: []use{ragged, full, full, full}, gang: []part{{pods: 10000, cards: 1, quarters: 2}}, rejected: true},
}

// nodes returns the nodes of the cluster.
func (c *benchCase) nodes() []packing.Node {
	some := packing.Resources{MilliCPU: 128000, Memory: 1 << 40, Pods: 110}
	nodes := make([]packing.Node, clusterNodes)
	for i := range nodes {
		n := packing.Node{Name: fmt.Sprintf("node-%04d", i), Free: some, Capacity: some}
		for k, q := range c.cluster[i%len(c.cluster)] {
			card := sharingtest.MakeCard(fmt.Sprintf("GPU-%s-%d", n.Name, k)).Index(k)
			n.Cards.Cards = append(n.Cards.Cards, card.Used(quarter.Mul(q), device.CorePercent(25*q), device.Shares(q)))
		}
		nodes[i] = n
	}
	return nodes
}

// pool returns a pool of the nodes whose recent mix is the gang itself.
func (c *benchCase) pool(nodes []packing.Node) *packing.Pool {
	p := packing.New(packing.Options{})
	for i := range nodes {
		p.Set(nodes[i])
	}
	for _, part := range c.gang {
		p.Observe(p.Intern(part.shape()), part.pods)
	}
	return p
}

func (a part) shape() packing.Shape {
	r := sharingtest.MakeRequest().Ask("main", request.App, a.cards, quarter.Mul(a.quarters), device.CorePercent(25*a.quarters))
	return packing.Shape{Resources: packing.Resources{MilliCPU: 1000, Memory: 4 << 30, Pods: 1}, Request: r.Obj()}
}

// plan returns the gang, for the pool.
func (c *benchCase) plan(p *packing.Pool) gang.Gang {
	var g gang.Gang
	for i, part := range c.gang {
		role := gang.Role{Name: fmt.Sprintf("role-%d", i), Shape: p.Intern(part.shape())}
		for k := range part.pods {
			role.Members = append(role.Members, fmt.Sprintf("uid-%d-%d", i, k))
		}
		g.Roles = append(g.Roles, role)
		g.MinAvailable += part.pods
	}
	if c.racks {
		g.Tiers = []gang.Tier{racks(25)}
	}
	return g
}

func racks(size int) gang.Tier {
	t := gang.Tier{Name: "rack"}
	for i := range clusterNodes {
		if i%size == 0 {
			t.Domains = append(t.Domains, gang.Domain{Name: fmt.Sprintf("rack-%03d", i/size), Nodes: &packing.Set{}})
		}
		t.Domains[i/size].Nodes.Add(i)
	}
	return t
}

// check returns an error when the gang did not fare as it must.
func (c *benchCase) check(r gang.Result) error {
	if c.rejected != (r.Reject != nil) {
		return fmt.Errorf("case %s: rejected %+v, want rejected %t", c.name, r.Reject, c.rejected)
	}
	return nil
}
