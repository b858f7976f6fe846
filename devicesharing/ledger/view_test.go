package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

// mirror is a copy of the cluster that is refreshed with View alone.
type mirror struct {
	generations map[string]uint64
	nodes       map[string]*fit.Node
}

// refresh brings the mirror up to date and compares it with copies that were never refreshed.
func (m *mirror) refresh(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	for _, name := range nodeNames {
		if m.nodes[name] == nil {
			m.nodes[name] = &fit.Node{}
		}
		generation, changed := l.View(name, m.generations[name], m.nodes[name])
		if changed == (generation == m.generations[name]) {
			t.Fatalf("node %s: generation %d after %d, changed %t", name, generation, m.generations[name], changed)
		}
		m.generations[name] = generation
		fresh := &fit.Node{}
		if again, _ := l.View(name, 0, fresh); again != generation {
			t.Fatalf("node %s: generation %d became %d without a change", name, generation, again)
		}
		if diff := cmp.Diff(fresh, m.nodes[name], cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("node %s (-fresh,+refreshed):\n%s", name, diff)
		}
	}
}

func TestViewTellsEveryChange(t *testing.T) {
	for seed := range int64(30) {
		w := newWorld(seed)
		m := &mirror{generations: map[string]uint64{}, nodes: map[string]*fit.Node{}}
		for range 300 {
			w.step(t)
			m.refresh(t, w.Ledger)
		}
	}
}

func TestViewCopies(t *testing.T) {
	l := newLedger()
	var n fit.Node
	first, _ := l.View("n", 0, &n)
	hold(t, l, "p", "n", half)
	if n.Cards[0].Now.Slots != 0 {
		t.Error("a change of the ledger reached a copy")
	}
	second, changed := l.View("n", first, &n)
	if !changed || n.Cards[0].Now.Slots != 1 {
		t.Errorf("after a hold the copy says %+v, changed %t", n.Cards[0].Now, changed)
	}
	if _, changed = l.View("n", second, &n); changed {
		t.Error("an unchanged node changed")
	}
	l.Release("p")
	l.RemoveNode("n")
	if generation, changed := l.View("n", second, &n); generation != 0 || !changed || len(n.Cards) != 0 {
		t.Errorf("a node that is gone has generation %d and %d cards, changed %t", generation, len(n.Cards), changed)
	}
	l.SetNode(sharingtest.MakeNode("n", 1))
	if again, _ := l.View("n", 0, &n); again <= second {
		t.Errorf("generation %d came back after %d", again, second)
	}
}
