package packing

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// The oracle keeps nothing from one decision to the next: it looks at every node and tries every card,
// asks package fit about each class, and sums up what a node is worth before and after.

// slowWorth returns what a node is worth to the mix, less what is stranded on it.
func (p *Pool) slowWorth(cards []fit.Card, free Resources) float64 {
	step := p.mix.step(free.MilliCPU)
	worth, left := 0.0, int32(0)
	for i := range cards {
		left += p.slowFree(&cards[i])
	}
	for j := range p.mix.classes {
		c := &p.mix.classes[j]
		usable, admitting := int32(0), 0
		for i := range cards {
			_, room := cards[i].Room(p.options.Book, c.request, c.container())
			if room && cards[i].Allows(&c.request.Selector) {
				usable, admitting = usable+p.slowFree(&cards[i]), admitting+1
			}
		}
		if step >= 0 && admitting >= c.container().Count {
			worth += p.mix.worth[step][j] * float64(usable)
		}
	}
	return worth - p.mix.stranded(free, left)
}

func (p *Pool) slowFree(c *fit.Card) int32 {
	return p.kinds[p.kindOf(c)].free(c.Used(p.options.Book))
}

// slowHarm returns the least harm that the shape does on a node, trying every card for a container that
// asks one, and else with the cards that the pool chooses.
func (p *Pool) slowHarm(i int, s ShapeID) (float64, bool) {
	n, shape := &p.nodes[i], &p.shapes[s]
	if !p.Fits(i, s).OK() {
		return 0, false
	}
	before, free := p.slowWorth(n.Cards.Cards, n.Free), n.Free.sub(shape.Resources)
	after := func(choices []fit.Choice) float64 {
		cards := fit.Node{Cards: slices.Clone(n.Cards.Cards)}
		if shape.Request != nil {
			cards.Take(shape.Request, choices)
		}
		return before - p.slowWorth(cards.Cards, free)
	}
	r := shape.Request
	if r == nil || len(r.Containers) > 1 || r.Containers[0].Count > 1 || !ownChoice(r) {
		_, choices, _ := p.score(i, shape)
		return after(choices), true
	}
	best, found := 0.0, false
	for k := range n.Cards.Cards {
		c := &n.Cards.Cards[k]
		amount, room := c.Room(p.options.Book, r, &r.Containers[0])
		if !room || !c.Allows(&r.Selector) {
			continue
		}
		if h := after([]fit.Choice{{Card: k, Amount: amount}}); !found || h < best {
			best, found = h, true
		}
	}
	return best, found
}

// slowBest looks at every node.
func (p *Pool) slowBest(s ShapeID, among *Set) (int, bool) {
	best, bestGrade := -1, unfit
	for i := range p.nodes {
		if !among.Has(i) || !p.Fits(i, s).OK() {
			continue
		}
		v, _, _ := p.score(i, &p.shapes[s])
		if p.judge == nil && p.PolicyOf(s) == Fragmentation {
			v.Harm, _ = p.slowHarm(i, s)
		}
		if g := v.grade(); best < 0 || g < bestGrade || g == bestGrade && p.nodes[i].Name < p.nodes[best].Name {
			best, bestGrade = i, g
		}
	}
	return best, best >= 0
}

// world makes random nodes and shapes. Few sizes, so that much is equal.
type world struct {
	rng  *rand.Rand
	pool *Pool
	open []Placement
	all  []ShapeID
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.Intn(len(from))] }

func (w *world) node() Node {
	r := w.rng
	n := Node{Name: fmt.Sprintf("node-%d", r.Intn(24)), Free: Resources{
		MilliCPU: pick(r, int64(4000), 8000, 16000), Memory: pick(r, int64(16), 64), Pods: pick(r, int64(3), 20),
	}}
	model, mode := pick(r, "A100", "T4"), pick(r, device.ModeHAMiCore, device.ModeHAMiCore, device.ModeExclusive, device.ModeMIG)
	for i := range r.Intn(5) {
		c := fit.Card{
			UUID: fmt.Sprintf("%s-%d", n.Name, i), Index: i, NUMA: int32(r.Intn(2)), Model: model, Mode: mode, Healthy: r.Intn(8) > 0,
			Capacity: device.Amount{Memory: 8, Cores: pick(r, device.CorePercent(100), 100, 200), Slots: pick(r, device.Shares(4), 10)},
		}
		if r.Intn(3) == 0 {
			c.Now = device.Amount{Memory: device.MiB(r.Intn(6)), Cores: device.CorePercent(r.Intn(5) * 25), Slots: device.Shares(r.Intn(3))}
			c.Future = c.Now
		}
		n.Cards.Cards = append(n.Cards.Cards, c)
	}
	return n
}

func (w *world) shape() Shape {
	r := w.rng
	s := Shape{Resources: Resources{MilliCPU: pick(r, int64(0), 500, 1000, 4000), Memory: pick(r, int64(1), 8), Pods: 1}}
	if r.Intn(6) == 0 {
		return s
	}
	s.Request = &request.Pod{Policy: request.Policy{
		Node: pick(r, score.NodeDefault, "", "", "", score.NodeBinpack, score.NodeSpread),
		Card: pick(r, score.CardDefault, 0, 0, 0, score.Binpack, score.Spread, score.Mutex, score.NUMA, score.Topology),
	}}
	for i := range 1 + r.Intn(6)/5 {
		c := request.Container{
			Name: fmt.Sprintf("c%d", i), Count: pick(r, 1, 1, 1, 2, 3), Memory: device.MiB(1 + r.Intn(8)),
			Cores: pick(r, device.CorePercent(0), 0, 25, 50, 100),
		}
		if r.Intn(6) == 0 {
			c.Memory, c.Percent = 0, pick(r, 25, 100)
		}
		s.Request.Containers = append(s.Request.Containers, c)
	}
	s.Request.Selector = pick(r, request.Selector{}, request.Selector{}, request.Selector{},
		request.Selector{UseTypes: []string{"t4"}}, request.Selector{NoUseTypes: []string{"A100"}},
		request.Selector{UseUUIDs: []string{"node-1-0", "node-2-1"}}, request.Selector{NoUseUUIDs: []string{"node-3-0"}})
	return s
}

// step does one random thing.
func (w *world) step() {
	r, p := w.rng, w.pool
	switch k := r.Intn(12); {
	case k < 2:
		p.Set(w.node())
	case k == 2:
		p.Remove(fmt.Sprintf("node-%d", r.Intn(24)))
	case k < 5:
		p.Observe(pick(r, w.all...), r.Intn(4))
	case k < 7 && len(w.open) > 0:
		i := r.Intn(len(w.open))
		p.Undo(w.open[i])
		w.open = slices.Delete(w.open, i, i+1)
	case p.Len() > 0:
		if pl, ok := p.Place(r.Intn(p.Len()), pick(r, w.all...)); ok {
			w.open = append(w.open, pl)
		}
	}
}

// among returns nil or a random set.
func (w *world) among() *Set {
	if w.rng.Intn(2) == 0 {
		return nil
	}
	s := &Set{}
	for i := range w.pool.Len() {
		if w.rng.Intn(3) == 0 {
			s.Add(i)
		}
	}
	return s
}

func newWorld(seed int64) *world {
	w := &world{rng: rand.New(rand.NewSource(seed))}
	w.pool = New(Options{
		Policy: pick(w.rng, Fragmentation, Fragmentation, Fragmentation, Binpack, Spread), Book: pick(w.rng, fit.Now, fit.Future),
	})
	if w.rng.Intn(2) == 0 {
		w.pool.maxRanked = 60 // two or three rankings: they come and go
	}
	for range 8 {
		w.all = append(w.all, w.pool.Intern(w.shape()))
	}
	return w
}

// agree holds the pool against the oracle through random changes.
func agree(t *testing.T, seed int64) {
	w := newWorld(seed)
	for step := range 150 {
		w.step()
		s, among := pick(w.rng, w.all...), w.among()
		got, gotOK := w.pool.Best(s, among)
		want, wantOK := w.pool.slowBest(s, among)
		if got != want || gotOK != wantOK {
			t.Fatalf("seed %d, step %d, shape %+v: best is %d %v, looking at every node says %d %v", seed, step,
				w.pool.Shape(s), got, gotOK, want, wantOK)
		}
		if !gotOK {
			continue
		}
		if pl, ok := w.pool.Place(got, s); ok {
			w.open = append(w.open, pl)
		} else {
			t.Fatalf("seed %d, step %d: the best node refuses", seed, step)
		}
	}
}

func TestBestEqualsLookingAtEveryNode(t *testing.T) {
	for seed := range int64(300) {
		agree(t, seed)
	}
}

func FuzzBestEqualsLookingAtEveryNode(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(agree)
}

func TestPlaceSucceedsWhereFitsDoes(t *testing.T) {
	for seed := range int64(200) {
		w := newWorld(seed)
		for range 60 {
			w.step()
		}
		for i := range w.pool.Len() {
			for _, s := range w.all {
				fits := w.pool.Fits(i, s).OK()
				pl, ok := w.pool.Place(i, s)
				if ok != fits {
					t.Fatalf("seed %d, node %d, shape %+v: placed is %v, fits %v", seed, i, w.pool.Shape(s), ok, fits)
				}
				if ok {
					w.pool.Undo(pl)
				}
			}
		}
	}
}

func TestUndoOfAllLeavesTheNodesAsTheyWere(t *testing.T) {
	for seed := range int64(200) {
		w := newWorld(seed)
		for range 20 {
			w.pool.Set(w.node())
		}
		before := w.states()
		for range 100 {
			if pl, ok := w.pool.Place(w.rng.Intn(w.pool.Len()), pick(w.rng, w.all...)); ok {
				w.open = append(w.open, pl)
			}
		}
		w.rng.Shuffle(len(w.open), func(i, k int) { w.open[i], w.open[k] = w.open[k], w.open[i] })
		for _, pl := range w.open {
			w.pool.Undo(pl)
		}
		if diff := cmp.Diff(before, w.states()); diff != "" {
			t.Fatalf("seed %d: nodes (-want,+got):\n%s", seed, diff)
		}
	}
}

// states returns the nodes as they are.
func (w *world) states() []Node {
	var all []Node
	for i := range w.pool.Len() {
		all = append(all, Node{Name: w.pool.Name(i), Free: w.pool.Free(i), Cards: w.pool.Cards(i)})
	}
	return all
}

func TestTheSameCallsGiveTheSameAnswers(t *testing.T) {
	for seed := range int64(50) {
		a, b := newWorld(seed), newWorld(seed)
		for range 150 {
			a.step()
			b.step()
			s, set := pick(a.rng, a.all...), a.among()
			pick(b.rng, b.all...)
			b.among()
			x, _ := a.pool.Best(s, set)
			y, _ := b.pool.Best(s, set)
			if x != y {
				t.Fatalf("seed %d: %d and %d", seed, x, y)
			}
		}
		if diff := cmp.Diff(a.states(), b.states()); diff != "" {
			t.Fatalf("seed %d: nodes (-a,+b):\n%s", seed, diff)
		}
	}
}

func TestKindsAdmitWhatTheCardsDo(t *testing.T) {
	for seed := range int64(200) {
		w := newWorld(seed)
		for range 5 {
			w.pool.Set(w.node())
		}
		w.pool.judge = nil
		for _, s := range w.all {
			w.pool.Observe(s, 1)
		}
		w.pool.Best(w.all[0], nil)
		for i := range w.pool.nodes {
			n := &w.pool.nodes[i]
			for d := range n.cards {
				w.checkCard(t, seed, &n.Cards.Cards[d], n.cards[d].admits)
			}
		}
	}
}

func (w *world) checkCard(t *testing.T, seed int64, c *fit.Card, got classSet) {
	t.Helper()
	for j := range w.pool.mix.classes {
		class := &w.pool.mix.classes[j]
		_, room := c.Room(w.pool.options.Book, class.request, class.container())
		if want := room && c.Allows(&class.request.Selector); want != (got&(1<<j) != 0) {
			t.Fatalf("seed %d: card %+v admits %+v: got %v, want %v", seed, c, class, !want, want)
		}
	}
}
