package gang_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// trial is a random cluster with a random gang. The cluster is kept as nodes, so that pools can be made
// of it again and in another order.
type trial struct {
	policy packing.Policy
	nodes  []packing.Node
	roles  []role
	min    int
	racks  [][]string
	bans   []ban
}

type ban struct {
	role int
	node string
}

func (tr *trial) pool() *packing.Pool { return poolOf(tr.policy, tr.nodes...) }

func (tr *trial) gang(p *packing.Pool) gang.Gang {
	g := gangOf(p, tr.min, tr.roles...)
	if tr.racks != nil {
		g.Tiers = []gang.Tier{tier(p, "rack", tr.racks...)}
	}
	for _, b := range tr.bans {
		i, _ := p.Index(b.node)
		g.Bans = append(g.Bans, gang.Ban{Role: b.role, Node: i})
	}
	return g
}

// size bounds a random trial.
type size struct {
	nodes, cards, roles, members int
}

func randomTrial(r *rand.Rand, s size) *trial {
	tr := &trial{policy: []packing.Policy{packing.Fragmentation, packing.Binpack, packing.Spread}[r.IntN(3)]}
	var rack []string
	for i := range 1 + r.IntN(s.nodes) {
		n := node(fmt.Sprintf("n%02d", i), randomUse(r, 1+r.IntN(s.cards))...)
		if r.IntN(3) == 0 {
			n.Free.MilliCPU = int64(r.IntN(5)) * 1000
		}
		for k := range n.Cards.Cards {
			n.Cards.Cards[k].Healthy = r.IntN(12) > 0
		}
		tr.nodes = append(tr.nodes, n)
		if rack = append(rack, n.Name); r.IntN(3) == 0 {
			tr.racks, rack = append(tr.racks, rack), nil
		}
	}
	for i := range 1 + r.IntN(s.roles) {
		tr.roles = append(tr.roles, randomRole(r, s, tr.nodes))
		tr.min += r.IntN(tr.roles[i].count + tr.roles[i].placed + 1)
		if r.IntN(4) == 0 {
			tr.bans = append(tr.bans, ban{role: i, node: tr.nodes[r.IntN(len(tr.nodes))].Name})
		}
	}
	if r.IntN(2) == 0 {
		tr.racks = nil
	}
	return tr
}

func randomUse(r *rand.Rand, cards int) []int {
	used := make([]int, cards)
	for i := range used {
		used[i] = max(0, r.IntN(7)-2)
	}
	return used
}

func randomRole(r *rand.Rand, s size, nodes []packing.Node) role {
	made := role{count: 1 + r.IntN(s.members), shape: shape(1+r.IntN(2)*r.IntN(2), quarter.Mul(1+r.IntN(4)))}
	if r.IntN(3) == 0 {
		made.placed = r.IntN(3)
	}
	if r.IntN(2) == 0 {
		made.min = r.IntN(made.count + made.placed + 1)
	}
	if r.IntN(4) == 0 {
		for _, n := range nodes {
			if r.IntN(2) == 0 {
				made.nodes = append(made.nodes, n.Name)
			}
		}
		made.nodes = append(made.nodes, nodes[0].Name)
	}
	return made
}

func eachTrial(t *testing.T, trials int, s size, check func(t *testing.T, tr *trial)) {
	t.Helper()
	for seed := range trials {
		tr := randomTrial(rand.New(rand.NewPCG(uint64(seed), 3)), s)
		check(t, tr)
		if t.Failed() {
			t.Fatalf("seed %d: %+v", seed, *tr)
		}
	}
}

// state is all of a pool that placing changes.
func state(p *packing.Pool) []packing.Node {
	var nodes []packing.Node
	for i := range p.Len() {
		nodes = append(nodes, packing.Node{Name: p.Name(i), Free: p.Free(i), Cards: p.Cards(i)})
	}
	return nodes
}

var medium = size{nodes: 10, cards: 4, roles: 3, members: 12}

func TestPlanLeavesNoTrace(t *testing.T) {
	eachTrial(t, 1500, medium, func(t *testing.T, tr *trial) {
		p := tr.pool()
		g := tr.gang(p)
		before := state(p)
		r := gang.Plan(p, g)
		if diff := cmp.Diff(before, state(p)); diff != "" {
			t.Fatalf("plan changed the pool (-before,+after):\n%s", diff)
		}
		gang.Explain(p, r, nil)
		r.Repair(p, nil, refuseFirst(r)...)
		if diff := cmp.Diff(before, state(p)); diff != "" {
			t.Fatalf("explain or repair changed the pool (-before,+after):\n%s", diff)
		}
		if diff := cmp.Diff(placed(p, r), placed(p, gang.Plan(p, g))); diff != "" {
			t.Fatalf("the second plan differs (-first,+second):\n%s", diff)
		}
	})
}

// refuseFirst bans the node of the first planned member.
func refuseFirst(r gang.Result) []gang.Ban {
	if len(r.Members) == 0 {
		return nil
	}
	return []gang.Ban{{Role: r.Members[0].Role, Node: r.Members[0].Node}}
}

func TestPlanIsSound(t *testing.T) {
	eachTrial(t, 1500, medium, func(t *testing.T, tr *trial) {
		p := tr.pool()
		r := gang.Plan(p, tr.gang(p))
		checkSound(t, tr, p, tr.bans, r)
		for range gang.MaxRepairs + 1 {
			bans := refuseFirst(r)
			if bans == nil {
				break
			}
			tr.bans = append(tr.bans, ban{role: bans[0].Role, node: p.Name(bans[0].Node)})
			was := r.Repairs
			r = r.Repair(p, nil, bans...)
			if was < gang.MaxRepairs {
				checkSound(t, tr, p, tr.bans, r)
			}
		}
	})
}

// checkSound replays a plan by the rules of sums alone, and compares with what the gang asks.
func checkSound(t *testing.T, tr *trial, p *packing.Pool, bans []ban, r gang.Result) {
	t.Helper()
	g := tr.gang(p)
	if r.Reject != nil {
		if len(r.Members) > 0 {
			t.Fatalf("rejected with a plan: %v", placed(p, r))
		}
		return
	}
	nodes := state(p)
	seen := map[string]bool{}
	inRole := make([]int, len(g.Roles))
	for i, m := range r.Members {
		if seen[m.UID] || !slices.Contains(g.Roles[m.Role].Members, m.UID) {
			t.Fatalf("member %s is planned twice or no member of its role", m.UID)
		}
		seen[m.UID] = true
		name := p.Name(m.Node)
		if !g.Roles[m.Role].Nodes.Has(m.Node) || slices.Contains(bans, ban{role: m.Role, node: name}) {
			t.Fatalf("member %s is planned on %s, which is not open to it", m.UID, name)
		}
		if i < r.Required {
			inRole[m.Role]++
		}
		take(t, &nodes[m.Node], tr.roles[m.Role].shape, m.Cards)
	}
	for _, uid := range r.Left {
		seen[uid] = true
	}
	checkMinimums(t, g, r, inRole)
	for i := range g.Roles {
		for _, uid := range g.Roles[i].Members {
			if !seen[uid] {
				t.Fatalf("member %s is neither planned nor left", uid)
			}
		}
	}
}

func checkMinimums(t *testing.T, g gang.Gang, r gang.Result, inRole []int) {
	t.Helper()
	total, minimums := r.Required, 0
	for i := range g.Roles {
		total += g.Roles[i].Placed
		minimums += g.Roles[i].Min
	}
	if total < g.MinAvailable {
		t.Fatalf("%d members run, the gang needs %d", total, g.MinAvailable)
	}
	for i := range g.Roles {
		if have := inRole[i] + g.Roles[i].Placed; minimums <= g.MinAvailable && have < g.Roles[i].Min {
			t.Fatalf("%d members of role %d run, it needs %d", have, i, g.Roles[i].Min)
		}
	}
}

// take adds a planned member to a node, by sums of its own, and fails when a card or the node overflows.
func take(t *testing.T, n *packing.Node, s packing.Shape, choices []fit.Choice) {
	t.Helper()
	n.Free.MilliCPU -= s.Resources.MilliCPU
	n.Free.Memory -= s.Resources.Memory
	n.Free.Pods -= s.Resources.Pods
	if n.Free.MilliCPU < 0 || n.Free.Memory < 0 || n.Free.Pods < 0 {
		t.Fatalf("node %s is over its resources: %+v", n.Name, n.Free)
	}
	c := s.Request.Containers[0]
	if len(choices) != c.Count {
		t.Fatalf("%d cards planned, %d asked", len(choices), c.Count)
	}
	for i, choice := range choices {
		card := &n.Cards.Cards[choice.Card]
		card.Now.Memory += c.Memory
		card.Now.Cores += c.Cores
		card.Now.Slots++
		twice := slices.ContainsFunc(choices[:i], func(o fit.Choice) bool { return o.Card == choice.Card })
		if twice || !card.Healthy || !card.Now.Within(card.Capacity) {
			t.Fatalf("card %s is taken twice, sick or over its capacity: %+v", card.UUID, card.Now)
		}
	}
}

func TestPlanDoesNotDependOnTheOrderOfNodes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	eachTrial(t, 700, medium, func(t *testing.T, tr *trial) {
		p := tr.pool()
		want := placed(p, gang.Plan(p, tr.gang(p)))
		r.Shuffle(len(tr.nodes), func(i, k int) { tr.nodes[i], tr.nodes[k] = tr.nodes[k], tr.nodes[i] })
		r.Shuffle(len(tr.racks), func(i, k int) { tr.racks[i], tr.racks[k] = tr.racks[k], tr.racks[i] })
		r.Shuffle(len(tr.bans), func(i, k int) { tr.bans[i], tr.bans[k] = tr.bans[k], tr.bans[i] })
		p = tr.pool()
		g := tr.gang(p)
		for i := range g.Tiers {
			nameBySet(p, g.Tiers[i].Domains)
		}
		got := placed(p, gang.Plan(p, g))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("members (-want,+got):\n%s", diff)
		}
	})
}

// nameBySet gives shuffled domains the names that they had in order.
func nameBySet(p *packing.Pool, domains []gang.Domain) {
	first := func(d gang.Domain) string {
		name := ""
		d.Nodes.Each(func(i int) bool {
			if n := p.Name(i); name == "" || n < name {
				name = n
			}
			return true
		})
		return name
	}
	order := slices.Clone(domains)
	slices.SortFunc(order, func(a, b gang.Domain) int { return cmpStrings(first(a), first(b)) })
	for i := range domains {
		at := slices.IndexFunc(order, func(d gang.Domain) bool { return d.Nodes == domains[i].Nodes })
		domains[i].Name = fmt.Sprintf("rack%d", at)
	}
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestPlanPlacesWhatFirstFitPlaces(t *testing.T) {
	could := 0
	eachTrial(t, 4000, medium, func(t *testing.T, tr *trial) {
		if !firstFit(tr) {
			return
		}
		could++
		p := tr.pool()
		if r := gang.Plan(p, tr.gang(p)); r.Reject != nil {
			t.Fatalf("first fit places the gang, the planner rejects it: %+v", *r.Reject)
		}
	})
	if could < 500 {
		t.Errorf("first fit placed %d gangs only: the trials show little", could)
	}
}

// firstFit reports whether plain first fit places what the gang needs: of each role its minimum, then,
// in the order of the roles, the rest of the gang's minimum; larger shapes first; each member on the
// first node, by name, on which it fits.
func firstFit(tr *trial) bool {
	p := tr.pool()
	g := tr.gang(p)
	counts := firstFitNeeds(g)
	order := make([]int, len(g.Roles))
	for i := range order {
		order[i] = i
	}
	weight := func(i int) int {
		c := tr.roles[i].shape.Request.Containers[0]
		return c.Count*1000 + int(c.Cores)
	}
	slices.SortStableFunc(order, func(a, b int) int { return weight(b) - weight(a) })
	for _, i := range order {
		for range counts[i] {
			ok := false
			for node := 0; node < p.Len() && !ok; node++ {
				if g.Roles[i].Nodes.Has(node) && !slices.Contains(g.Bans, gang.Ban{Role: i, Node: node}) {
					_, ok = p.Place(node, g.Roles[i].Shape)
				}
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

func firstFitNeeds(g gang.Gang) []int {
	counts := make([]int, len(g.Roles))
	minimums, left := 0, g.MinAvailable
	for i := range g.Roles {
		minimums += g.Roles[i].Min
		left -= g.Roles[i].Placed
	}
	for i := range g.Roles {
		if minimums <= g.MinAvailable {
			counts[i] = max(0, g.Roles[i].Min-g.Roles[i].Placed)
			left -= counts[i]
		}
	}
	for i := range g.Roles {
		more := max(0, min(left, len(g.Roles[i].Members)-counts[i]))
		counts[i] += more
		left -= more
	}
	if left > 0 {
		counts[0] += left // members that do not exist: cannot be placed
	}
	for i := range g.Roles {
		if counts[i] > len(g.Roles[i].Members) {
			counts[i] = 1 << 20
		}
	}
	return counts
}

func TestCountedRejectsAreProofs(t *testing.T) {
	rejects := map[string]int{}
	eachTrial(t, 6000, size{nodes: 3, cards: 3, roles: 2, members: 4}, func(t *testing.T, tr *trial) {
		p := tr.pool()
		r := gang.Plan(p, tr.gang(p)).Reject
		if r == nil || r.Role < 0 {
			return
		}
		if r.Counted {
			rejects["counted"]++
			if exhaustive(tr, tr.nodes) {
				t.Fatalf("rejected by count, but the gang can be placed: %+v", *r)
			}
		}
		if r.Code == fit.Never {
			rejects["never"]++
			if exhaustive(tr, idle(tr.nodes)) {
				t.Fatalf("rejected for good, but the gang fits on the idle cluster: %+v", *r)
			}
		} else {
			rejects["not now"]++
		}
	})
	for _, kind := range []string{"counted", "never", "not now"} {
		if rejects[kind] < 100 {
			t.Errorf("%d rejects %s: the trials show little", rejects[kind], kind)
		}
	}
}

func idle(nodes []packing.Node) []packing.Node {
	var all []packing.Node
	for _, n := range nodes {
		n.Free = n.Capacity
		n.Cards = fit.Node{Cards: slices.Clone(n.Cards.Cards)}
		for i := range n.Cards.Cards {
			c := &n.Cards.Cards[i]
			c.Healthy, c.Now, c.Future = true, device.Amount{}, device.Amount{}
		}
		all = append(all, n)
	}
	return all
}

// exhaustive reports whether any choice of members, nodes and cards meets the gang's minimums.
func exhaustive(tr *trial, nodes []packing.Node) bool {
	g := tr.gang(poolOf(tr.policy, tr.nodes...))
	x := &everyWay{tr: tr, nodes: idleCopy(nodes), seen: map[string]bool{}}
	minimums := 0
	total := g.MinAvailable
	for i := range g.Roles {
		minimums += g.Roles[i].Min
		total -= g.Roles[i].Placed
	}
	x.left = make([]int, len(g.Roles))
	x.strict = make([]int, len(g.Roles))
	for i := range g.Roles {
		x.left[i] = len(g.Roles[i].Members)
		if minimums <= g.MinAvailable {
			x.strict[i] = max(0, g.Roles[i].Min-g.Roles[i].Placed)
		}
	}
	x.total = total
	return x.search()
}

func idleCopy(nodes []packing.Node) []packing.Node {
	all := slices.Clone(nodes)
	for i := range all {
		all[i].Cards = fit.Node{Cards: slices.Clone(all[i].Cards.Cards)}
	}
	return all
}

// everyWay is a search without any skill. It remembers the states that led nowhere.
type everyWay struct {
	tr           *trial
	nodes        []packing.Node
	left, strict []int // by role: pending members, needed members
	total        int   // needed members
	seen         map[string]bool
}

func (x *everyWay) search() bool {
	if x.total <= 0 && !slices.ContainsFunc(x.strict, func(s int) bool { return s > 0 }) {
		return true
	}
	key := x.key()
	if x.seen[key] {
		return false
	}
	x.seen[key] = true
	for role := range x.left {
		if x.left[role] > 0 && x.anywhere(role) {
			return true
		}
	}
	return false
}

func (x *everyWay) key() string {
	key := fmt.Sprint(x.left, x.strict, x.total)
	for i := range x.nodes {
		key += fmt.Sprint(x.nodes[i].Free.MilliCPU)
		for k := range x.nodes[i].Cards.Cards {
			key += fmt.Sprint(",", x.nodes[i].Cards.Cards[k].Now.Memory)
		}
	}
	return key
}

func (x *everyWay) anywhere(role int) bool {
	for i := range x.nodes {
		r := &x.tr.roles[role]
		if r.nodes != nil && !slices.Contains(r.nodes, x.nodes[i].Name) ||
			slices.Contains(x.tr.bans, ban{role: role, node: x.nodes[i].Name}) ||
			x.nodes[i].Free.MilliCPU < r.shape.Resources.MilliCPU {
			continue
		}
		x.nodes[i].Free.MilliCPU -= r.shape.Resources.MilliCPU
		x.left[role]--
		x.strict[role]--
		x.total--
		found := x.cards(&x.nodes[i], &r.shape.Request.Containers[0], 0, r.shape.Request.Containers[0].Count)
		x.nodes[i].Free.MilliCPU += r.shape.Resources.MilliCPU
		x.left[role]++
		x.strict[role]++
		x.total++
		if found {
			return true
		}
	}
	return false
}

// cards tries every set of cards from the given one on.
func (x *everyWay) cards(n *packing.Node, c *request.Container, from, count int) bool {
	if count == 0 {
		return x.search()
	}
	for i := from; i < len(n.Cards.Cards); i++ {
		card := &n.Cards.Cards[i]
		before := card.Now
		card.Now = before.Add(device.Amount{Memory: c.Memory, Cores: c.Cores, Slots: 1})
		whole := c.Cores >= device.WholeCard && before.Slots > 0
		found := card.Healthy && !whole && card.Now.Within(card.Capacity) && x.cards(n, c, i+1, count-1)
		card.Now = before
		if found {
			return true
		}
	}
	return false
}
