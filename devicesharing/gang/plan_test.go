package gang_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

const (
	quarter = sharingtest.CardMemory / 4
	whole   = sharingtest.CardMemory
)

var plenty = packing.Resources{MilliCPU: 64000, Memory: 512 << 30, Pods: 110}

// node returns a node with one card for each number of quarters in use.
func node(name string, quarters ...int) packing.Node {
	n := packing.Node{Name: name, Free: plenty, Capacity: plenty}
	for i, q := range quarters {
		card := sharingtest.MakeCard(fmt.Sprintf("%s-%d", name, i)).Index(i)
		n.Cards.Cards = append(n.Cards.Cards, card.Used(quarter.Mul(q), device.CorePercent(25*q), device.Shares(q)))
	}
	return n
}

func poolOf(policy packing.Policy, nodes ...packing.Node) *packing.Pool {
	p := packing.New(packing.Options{Policy: policy})
	for _, n := range nodes {
		p.Set(n)
	}
	return p
}

// shape asks count cards, with that much memory and a like part of the cores of each, and one CPU.
func shape(count int, memory device.MiB) packing.Shape {
	cores := device.CorePercent(memory * 100 / whole)
	return packing.Shape{
		Resources: packing.Resources{MilliCPU: 1000, Memory: 1 << 30, Pods: 1},
		Request:   sharingtest.MakeRequest().Ask("main", request.App, count, memory, cores).Obj(),
	}
}

func set(p *packing.Pool, names ...string) *packing.Set {
	s := &packing.Set{}
	for _, name := range names {
		if i, ok := p.Index(name); ok {
			s.Add(i)
		}
	}
	return s
}

// members are the UIDs ROLE-0 to ROLE-(n-1).
func members(role string, n int) []string {
	uids := make([]string, n)
	for i := range uids {
		uids[i] = fmt.Sprintf("%s-%d", role, i)
	}
	return uids
}

// role is a role in a test: its name is its place.
type role struct {
	count, placed, min int
	shape              packing.Shape
	nodes              []string // none: all
}

func (r role) in(p *packing.Pool, name string) gang.Role {
	made := gang.Role{Name: name, Shape: p.Intern(r.shape), Members: members(name, r.count), Placed: r.placed, Min: r.min}
	if r.nodes != nil {
		made.Nodes = set(p, r.nodes...)
	}
	return made
}

func gangOf(p *packing.Pool, minAvailable int, roles ...role) gang.Gang {
	g := gang.Gang{MinAvailable: minAvailable}
	for i, r := range roles {
		g.Roles = append(g.Roles, r.in(p, string(rune('a'+i))))
	}
	return g
}

// tier makes a tier of domains d0, d1 and so on.
func tier(p *packing.Pool, name string, domains ...[]string) gang.Tier {
	t := gang.Tier{Name: name}
	for i, names := range domains {
		t.Domains = append(t.Domains, gang.Domain{Name: fmt.Sprintf("%s%d", name, i), Nodes: set(p, names...)})
	}
	return t
}

// placed lists UID@NODE in the order of the plan.
func placed(p *packing.Pool, r gang.Result) []string {
	var list []string
	for _, m := range r.Members {
		list = append(list, m.UID+"@"+p.Name(m.Node))
	}
	return list
}

func TestPlanPlacesRequiredMembersAndThenTheOthers(t *testing.T) {
	tests := map[string]struct {
		nodes        []packing.Node
		minAvailable int
		roles        []role
		want         []string
		wantRequired int
		wantLeft     []string
	}{
		"a pod alone is a gang of one": {
			nodes:        []packing.Node{node("n1", 0), node("n2", 2)},
			minAvailable: 1, roles: []role{{count: 1, shape: shape(1, quarter)}},
			want: []string{"a-0@n2"}, wantRequired: 1,
		},
		"a node is filled before the next": {
			nodes:        []packing.Node{node("n1", 0), node("n2", 0)},
			minAvailable: 6, roles: []role{{count: 6, shape: shape(1, quarter)}},
			want: []string{"a-0@n1", "a-1@n1", "a-2@n1", "a-3@n1", "a-4@n2", "a-5@n2"}, wantRequired: 6,
		},
		"the hard role is placed first": {
			nodes:        []packing.Node{node("n1", 0, 0), node("n2", 0, 1)},
			minAvailable: 4, roles: []role{{count: 3, shape: shape(1, quarter)}, {count: 1, shape: shape(2, whole)}},
			want: []string{"b-0@n1", "a-0@n2", "a-1@n2", "a-2@n2"}, wantRequired: 4,
		},
		"of roles alike in size the one with fewer nodes is placed first": {
			nodes:        []packing.Node{node("n1", 0), node("n2", 0)},
			minAvailable: 2, roles: []role{
				{count: 1, shape: shape(1, whole)},
				{count: 1, shape: shape(1, whole), nodes: []string{"n1"}},
			},
			want: []string{"b-0@n1", "a-0@n2"}, wantRequired: 2,
		},
		"members beyond the minimum come last": {
			nodes:        []packing.Node{node("n1", 0)},
			minAvailable: 2, roles: []role{{count: 6, shape: shape(1, quarter)}},
			want: []string{"a-0@n1", "a-1@n1", "a-2@n1", "a-3@n1"}, wantRequired: 2, wantLeft: []string{"a-4", "a-5"},
		},
		"members that have their place count": {
			nodes:        []packing.Node{node("n1", 2)},
			minAvailable: 3, roles: []role{{count: 2, placed: 1, shape: shape(1, quarter)}},
			want: []string{"a-0@n1", "a-1@n1"}, wantRequired: 2,
		},
		"nothing is required of a gang that runs": {
			nodes:        []packing.Node{node("n1", 3)},
			minAvailable: 1, roles: []role{{count: 2, placed: 1, shape: shape(1, quarter)}},
			want: []string{"a-0@n1"}, wantLeft: []string{"a-1"},
		},
		"the minimum of a later role is required before the surplus of an earlier one": {
			nodes:        []packing.Node{node("n1", 0)},
			minAvailable: 3, roles: []role{{count: 4, min: 1, shape: shape(1, quarter)}, {count: 2, min: 2, shape: shape(1, quarter)}},
			want: []string{"a-0@n1", "b-0@n1", "b-1@n1", "a-1@n1"}, wantRequired: 3, wantLeft: []string{"a-2", "a-3"},
		},
		"minimums of roles beyond the gang's do not hold": {
			nodes:        []packing.Node{node("n1", 2)},
			minAvailable: 2, roles: []role{{count: 2, min: 1, shape: shape(1, quarter)}, {count: 2, min: 2, shape: shape(1, quarter)}},
			want: []string{"a-0@n1", "a-1@n1"}, wantRequired: 2, wantLeft: []string{"b-0", "b-1"},
		},
		"another role makes up the gang's minimum where the preferred one does not fit": {
			nodes:        []packing.Node{node("n1", 1)},
			minAvailable: 2, roles: []role{{count: 2, shape: shape(1, whole)}, {count: 2, shape: shape(1, quarter)}},
			want: []string{"b-0@n1", "b-1@n1"}, wantRequired: 2, wantLeft: []string{"a-0", "a-1"},
		},
		"a role stays on its nodes": {
			nodes:        []packing.Node{node("n1", 0), node("n2", 0)},
			minAvailable: 1, roles: []role{{count: 1, shape: shape(1, quarter), nodes: []string{"n2"}}},
			want: []string{"a-0@n2"}, wantRequired: 1,
		},
		"members without cards are planned too": {
			nodes:        []packing.Node{node("n1", 0)},
			minAvailable: 2, roles: []role{
				{count: 1, shape: packing.Shape{Resources: packing.Resources{MilliCPU: 2000, Pods: 1}}},
				{count: 1, shape: shape(1, quarter)},
			},
			want: []string{"b-0@n1", "a-0@n1"}, wantRequired: 2,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := poolOf(packing.Binpack, tc.nodes...)
			r := gang.Plan(p, gangOf(p, tc.minAvailable, tc.roles...))
			if r.Reject != nil {
				t.Fatalf("rejected: %+v", *r.Reject)
			}
			if diff := cmp.Diff(tc.want, placed(p, r)); diff != "" {
				t.Errorf("members (-want,+got):\n%s", diff)
			}
			if r.Required != tc.wantRequired {
				t.Errorf("required: got %d, want %d", r.Required, tc.wantRequired)
			}
			if diff := cmp.Diff(tc.wantLeft, r.Left); diff != "" {
				t.Errorf("left (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestPlanNamesTheCards(t *testing.T) {
	p := poolOf(packing.Binpack, node("n1", 4, 0, 0))
	r := gang.Plan(p, gangOf(p, 1, role{count: 1, shape: shape(2, whole)}))
	want := []gang.Member{{UID: "a-0", Cards: []fit.Choice{
		{Card: 1, Amount: device.Amount{Memory: whole, Cores: 100, Slots: 1}},
		{Card: 2, Amount: device.Amount{Memory: whole, Cores: 100, Slots: 1}},
	}}}
	if diff := cmp.Diff(want, r.Members); diff != "" {
		t.Errorf("members (-want,+got):\n%s", diff)
	}
}

func TestMembersAreStackedAsThePolicyChooses(t *testing.T) {
	nodes := []packing.Node{node("n1", 0, 3), node("n2", 0, 2), node("n3", 0, 0)}
	tests := map[string]struct {
		policy packing.Policy
		want   []string
	}{
		"packing fills open cards of other nodes before it opens one": {
			policy: packing.Binpack, want: []string{"a-0@n1", "a-1@n2", "a-2@n2", "a-3@n1", "a-4@n1"},
		},
		"fragmentation keeps idle cards for who needs them": {
			policy: packing.Fragmentation, want: []string{"a-0@n1", "a-1@n2", "a-2@n2", "a-3@n1", "a-4@n1"},
		},
		"spreading takes the emptiest node for each": {
			policy: packing.Spread, want: []string{"a-0@n3", "a-1@n3", "a-2@n2", "a-3@n1", "a-4@n3"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := poolOf(tc.policy, nodes...)
			p.Observe(p.Intern(shape(1, whole)), 1)
			r := gang.Plan(p, gangOf(p, 5, role{count: 5, shape: shape(1, quarter)}))
			if diff := cmp.Diff(tc.want, placed(p, r)); diff != "" {
				t.Errorf("members (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestElasticMembersOpenNoCardWhereOthersAreOpen(t *testing.T) {
	tests := map[string]struct {
		policy packing.Policy
		nodes  []packing.Node
		roles  []role
		want   []string
	}{
		"they join the gang's card where required members would spread": {
			policy: packing.Spread, nodes: []packing.Node{node("n1", 0), node("n2", 0), node("n3", 0)},
			roles: []role{{count: 5, shape: shape(1, quarter)}},
			want:  []string{"a-0@n1", "a-1@n1", "a-2@n1", "a-3@n1", "a-4@n2"},
		},
		"they go to an open card of another node before they open one on the gang's": {
			policy: packing.Binpack, nodes: []packing.Node{node("n1", 0, 0, 0), node("n2", 3)},
			roles: []role{{count: 1, shape: shape(2, 2*quarter)}, {count: 6, shape: shape(1, quarter)}},
			want:  []string{"a-0@n1", "b-0@n1", "b-1@n1", "b-2@n1", "b-3@n1", "b-4@n2", "b-5@n1"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := poolOf(tc.policy, tc.nodes...)
			r := gang.Plan(p, gangOf(p, 1, tc.roles...))
			if diff := cmp.Diff(tc.want, placed(p, r)); diff != "" {
				t.Errorf("members (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestPlanPrefersTheTightestDomain(t *testing.T) {
	nodes := []packing.Node{node("n1", 0), node("n2", 0), node("n3", 0), node("n4", 2), node("n5", 0), node("n6", 0)}
	racks := [][]string{{"n1", "n2"}, {"n3", "n4"}, {"n5", "n6"}}
	tests := map[string]struct {
		members, size int
		shape         packing.Shape
		wantDomain    string
		wantNodes     map[string]int
	}{
		"the domain that is filled best": {
			members: 6, shape: shape(1, quarter), wantDomain: "rack1", wantNodes: map[string]int{"n4": 2, "n3": 4},
		},
		"a wider domain where no tight one holds all": {
			members: 12, shape: shape(1, quarter), wantDomain: "zone0", wantNodes: map[string]int{"n1": 4, "n2": 4, "n4": 2, "n3": 2},
		},
		"few domains where none holds all": {
			members: 18, shape: shape(1, quarter),
			wantNodes: map[string]int{"n1": 4, "n2": 4, "n3": 4, "n4": 2, "n5": 4},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := poolOf(packing.Binpack, nodes...)
			g := gangOf(p, tc.members, role{count: tc.members, shape: tc.shape})
			g.Tiers = []gang.Tier{tier(p, "rack", racks...), tier(p, "zone", []string{"n1", "n2", "n3", "n4"}, []string{"n5", "n6"})}
			r := gang.Plan(p, g)
			if r.Reject != nil {
				t.Fatalf("rejected: %+v", *r.Reject)
			}
			got := map[string]int{}
			for _, m := range r.Members {
				got[p.Name(m.Node)]++
			}
			if diff := cmp.Diff(tc.wantNodes, got); diff != "" {
				t.Errorf("nodes (-want,+got):\n%s", diff)
			}
			if r.Domain != tc.wantDomain {
				t.Errorf("domain: got %q, want %q", r.Domain, tc.wantDomain)
			}
		})
	}
}

func TestHardTopologyIsNotPlanned(t *testing.T) {
	p := poolOf(packing.Binpack, node("n1", 0))
	g := gangOf(p, 1, role{count: 1, shape: shape(1, quarter)})
	g.Hard = true
	r := gang.Plan(p, g)
	if r.Skip != gang.SkipHardTopology || len(r.Members) > 0 || r.Reject != nil {
		t.Errorf("got %+v, want a skip and nothing else", r)
	}
}
