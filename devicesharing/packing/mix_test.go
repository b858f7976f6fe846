package packing

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// cluster is a pool of nodes with cards of 1000 MiB.
func cluster(nodes ...Node) *Pool {
	p := New(Options{})
	for _, n := range nodes {
		p.Set(n)
	}
	return p
}

func plain(name, model string, milliCPU int64, used ...device.MiB) Node {
	n := Node{Name: name, Free: Resources{MilliCPU: milliCPU, Memory: 1000, Pods: 100}}
	for i, u := range used {
		use := device.Amount{Memory: u, Slots: device.Shares(min(u, 1))}
		n.Cards.Cards = append(n.Cards.Cards, fit.Card{
			UUID: fmt.Sprintf("%s-%d", name, i), Index: i, Model: model, Mode: device.ModeHAMiCore, Healthy: true,
			Capacity: device.Amount{Memory: 1000, Cores: 100, Slots: 100}, Now: use, Future: use,
		})
	}
	return n
}

func ask(milliCPU int64, count int, memory device.MiB, models ...string) Shape {
	s := Shape{Resources: Resources{MilliCPU: milliCPU, Memory: 1, Pods: 1}}
	if count > 0 {
		s.Request = &request.Pod{Containers: []request.Container{{Name: "main", Count: count, Memory: memory}}}
		s.Request.Selector.UseTypes = models
	}
	return s
}

func TestPodsGoWhereTheMixLosesLeast(t *testing.T) {
	type seen struct {
		shape  Shape
		weight int
	}
	tests := map[string]struct {
		nodes []Node
		mix   []seen
		pod   Shape
		want  string
		card  int
	}{
		"without a mix, the fuller node": {
			nodes: []Node{plain("a", "A100", 8000, 0), plain("b", "A100", 8000, 500)}, pod: ask(0, 1, 100), want: "b",
		},
		"between equals, the first name": {
			nodes: []Node{plain("b", "A100", 8000, 0), plain("a", "A100", 8000, 0)}, pod: ask(0, 1, 100), want: "a",
		},
		"a slice leaves the card whose rest others can use": {
			nodes: []Node{plain("a", "A100", 8000, 500, 700)}, mix: []seen{{ask(0, 1, 500), 1}}, pod: ask(0, 1, 300), want: "a", card: 1,
		},
		"a slice that fills a card up opens none": {
			nodes: []Node{plain("a", "A100", 8000, 0), plain("b", "A100", 8000, 700)},
			mix:   []seen{{ask(0, 1, 1000), 1}, {ask(0, 1, 300), 9}}, pod: ask(0, 1, 300), want: "b",
		},
		"a pod that may have any model leaves the one that others must have": {
			nodes: []Node{plain("a", "T4", 8000, 0, 0), plain("b", "A100", 8000, 0, 0)},
			mix:   []seen{{ask(0, 1, 1000, "T4"), 1}, {ask(0, 1, 1000), 1}}, pod: ask(0, 1, 1000), want: "b",
		},
		"one card is not taken of the only node with four free": {
			nodes: []Node{plain("a", "A100", 8000, 0, 0, 0, 0), plain("b", "A100", 8000, 0, 0)},
			mix:   []seen{{ask(0, 4, 1000), 1}, {ask(0, 1, 1000), 4}}, pod: ask(0, 1, 1000), want: "b",
		},
		"a pod without cards leaves the CPU that cards need": {
			nodes: []Node{plain("a", "A100", 8000, 0, 0), plain("b", "A100", 8000, 0)},
			mix:   []seen{{ask(4000, 1, 1000), 1}}, pod: ask(4000, 0, 0), want: "b",
		},
		"a pod without cards goes to a node without cards": {
			nodes: []Node{plain("a", "A100", 8000, 0), plain("b", "", 8000)}, mix: []seen{{ask(4000, 1, 1000), 1}},
			pod: ask(1000, 0, 0), want: "b",
		},
		"a pod with much CPU goes where there is much for each card": {
			nodes: []Node{plain("a", "A100", 8000, 0, 0), plain("b", "A100", 16000, 0, 0)},
			mix:   []seen{{ask(4000, 1, 1000), 1}}, pod: ask(8000, 1, 1000), want: "b",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := cluster(tc.nodes...)
			for _, m := range tc.mix {
				p.Observe(p.Intern(m.shape), m.weight)
			}
			s := p.Intern(tc.pod)
			node, ok := p.Best(s, nil)
			if !ok || p.Name(node) != tc.want {
				t.Fatalf("got node %q (%v), want %q", p.Name(node), ok, tc.want)
			}
			pl, _ := p.Place(node, s)
			if tc.pod.Request != nil && pl.Choices[0].Card != tc.card {
				t.Errorf("got card %d, want %d", pl.Choices[0].Card, tc.card)
			}
		})
	}
}

func TestTheMixIsBounded(t *testing.T) {
	p := cluster(plain("a", "A100", 8000, 0, 0))
	for i := range 500 {
		p.Observe(p.Intern(ask(int64(i), 1, device.MiB(1+i))), 1+i%7)
	}
	s := p.Intern(ask(0, 1, 1))
	p.refresh()
	if _, ok := p.Best(s, nil); !ok || len(p.mix.classes) != maxClasses || len(p.mix.steps) != maxSteps {
		t.Errorf("%d classes and %d steps, want %d and %d", len(p.mix.classes), len(p.mix.steps), maxClasses, maxSteps)
	}
}

func TestTheMixForgets(t *testing.T) {
	p := cluster(plain("a", "A100", 8000, 0, 0))
	old, recent := p.Intern(ask(1, 1, 1)), p.Intern(ask(2, 1, 2))
	p.Observe(old, 100)
	for range 100 {
		p.Observe(recent, window/8)
	}
	if diff := cmp.Diff([]ShapeID{recent}, p.mix.live); diff != "" {
		t.Errorf("live shapes (-want,+got):\n%s", diff)
	}
	if p.mix.total > window || p.mix.weights[recent] != p.mix.total {
		t.Errorf("weight %g of %g in all, window %d", p.mix.weights[recent], p.mix.total, window)
	}
}

func TestAPlacementOnANodeThatWasSetAnewIsForgotten(t *testing.T) {
	p := cluster(plain("a", "A100", 8000, 0))
	s := p.Intern(ask(1000, 1, 500))
	pl, _ := p.Place(0, s)
	p.Set(plain("a", "A100", 8000, 0))
	p.Undo(pl)
	if got := p.Free(0).MilliCPU; got != 8000 {
		t.Errorf("%d milli-CPU free, want 8000", got)
	}
}

func TestDecisionsAllocateNothing(t *testing.T) {
	p := cluster(plain("a", "A100", 8000, 0, 0), plain("b", "T4", 8000, 0, 500))
	card, none := p.Intern(ask(1000, 1, 500)), p.Intern(ask(1000, 0, 0))
	for _, tc := range []struct {
		shape ShapeID
		want  float64 // what is placed on cards is told by a list of choices
	}{{card, 1}, {none, 0}} {
		p.Observe(tc.shape, 1)
		p.Best(tc.shape, nil)
		got := testing.AllocsPerRun(1000, func() {
			i, _ := p.Best(tc.shape, nil)
			pl, _ := p.Place(i, tc.shape)
			p.Undo(pl)
		})
		if got > tc.want {
			t.Errorf("shape %+v: %g allocations, want %g", p.Shape(tc.shape), got, tc.want)
		}
	}
}

// BenchmarkStack is the planner's use: a large gang of one shape on a large, empty cluster.
func BenchmarkStack(b *testing.B) {
	p := New(Options{})
	for i := range 5000 {
		p.Set(plain(fmt.Sprintf("node-%04d", i), "A100", 96000, 0, 0, 0, 0, 0, 0, 0, 0))
	}
	s := p.Intern(ask(1000, 1, 250))
	p.Observe(s, 1)
	var placed []Placement
	b.ReportAllocs()
	for b.Loop() {
		i, ok := p.Best(s, nil)
		if !ok {
			for _, pl := range placed {
				p.Undo(pl)
			}
			placed = placed[:0]
			continue
		}
		pl, _ := p.Place(i, s)
		placed = append(placed, pl)
	}
}
