package volcano_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/plugins/volcano"
	"github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

const ourActions = "allocate, preempt, reclaim"

func waiting(c *volcanotest.Cluster) (uids []string) {
	for _, r := range c.Adapter.Ledger().Reservations() {
		uids = append(uids, r.UID+" on "+r.Node)
	}
	return uids
}

// fullNodes are nodes whose cards each run one pod of a gang of its own.
func fullNodes(nodes, cards int) (objects []any) {
	for n := range nodes {
		node := fmt.Sprintf("node%d", n)
		objects = append(objects, tokens(node, cards, 10*cards))
		for card := range cards {
			objects = append(objects, runs(fmt.Sprintf("old-%d-%d", n, card), node, on(node, card, 81920, 100)))
		}
	}
	return objects
}

func TestGangWaitsForItsCardsAndGetsThem(t *testing.T) {
	objects := append([]any{low, high, wants("new", 4, whole).Objects()}, fullNodes(2, 4)...)
	c := volcanotest.New(t, volcanotest.Objects(objects...)...)
	conf := evicting(ourActions)
	for range 30 {
		c.Session(conf)
		c.Settle()
	}
	victims := c.Evictions()
	if len(victims) != 4 {
		t.Fatalf("evicted %v, want four pods", victims)
	}
	if n := len(waiting(c)); n != 4 {
		t.Errorf("%d reservations, want 4", n)
	}
	// Newcomers do not get the cards, not even when some are free.
	c.Create(volcanotest.MakeGang("thief", 1, half).Objects()...)
	c.Finish(victims[:2]...)
	c.Session(conf)
	c.Settle()
	if n := len(c.Bound()); n != 0 {
		t.Errorf("%d pods are bound before the gang is complete", n)
	}
	c.Finish(victims[2:]...)
	c.Session(conf)
	c.Settle()
	for i := range 4 {
		if c.Bound()[fmt.Sprintf("new-%d", i)] == nil {
			t.Errorf("new-%d is not bound", i)
		}
	}
	if diff := cmp.Diff([]string(nil), waiting(c)); diff != "" {
		t.Errorf("reservations at the end (-want,+got):\n%s", diff)
	}
	for _, n := range c.Adapter.Ledger().Snapshot().Nodes {
		for _, card := range n.Cards {
			if card.Overcommitted {
				t.Errorf("card %s is over-committed", card.UUID)
			}
		}
	}
}

func TestWhatTerminatesAnywayNeedsNoVictim(t *testing.T) {
	leaving := volcanotest.MakeGang("old", 1, half).Each(func(_ int, p *volcanotest.PodBuilder) {
		p.Bound("node1", on("node1", 0, 81920, 100)).Terminating(metav1.Now())
	}).Objects()
	c := volcanotest.New(t, volcanotest.Objects(low, high, tokens("node1", 2, 20), leaving,
		runs("other", "node1", on("node1", 1, 81920, 100)), wants("new", 1, whole).Objects())...)
	evicted(t, c, 3, evicting(ourActions))
	if diff := cmp.Diff([]string{"uid-new-0 on node1"}, waiting(c)); diff != "" {
		t.Errorf("reservations (-want,+got):\n%s", diff)
	}
}

func TestDelayedDeletionsAreNotEvictedAgain(t *testing.T) {
	objects := append([]any{low, high, wants("new", 1, whole).Objects()}, fullNodes(1, 2)...)
	c := volcanotest.New(t, volcanotest.Objects(objects...)...)
	conf := evicting(ourActions)
	c.Settle()
	c.HoldPods(func(p *v1.Pod) bool { return p.DeletionTimestamp != nil || len(p.Status.Conditions) > 0 })
	for range 6 {
		c.Session(conf)
	}
	c.Deliver()
	evicted(t, c, 3, conf, "old-0-1-0")
}

func TestReservationsEnd(t *testing.T) {
	tests := map[string]func(c *volcanotest.Cluster, now *testclock.FakeClock){
		"with their pod":  func(c *volcanotest.Cluster, _ *testclock.FakeClock) { c.Delete("new-0") },
		"with their time": func(_ *volcanotest.Cluster, now *testclock.FakeClock) { now.Step(91 * time.Second) },
		"with their node": func(c *volcanotest.Cluster, _ *testclock.FakeClock) {
			c.ChangeNode("node0", func(n *v1.Node) { n.Annotations[wire.HAMiNodeRegisterKey] = "[]" })
			c.Until("the ledger knows of no card", func() bool {
				n, _ := c.Adapter.Ledger().NodeSnapshot("node0")
				return !slices.ContainsFunc(n.Cards, func(card ledger.CardSnapshot) bool { return !card.Unknown })
			})
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			now := testclock.NewFakeClock(time.Now())
			c := volcanotest.NewWith(t, volcano.Options{Requests: request.Defaults(), Clock: now},
				volcanotest.Objects(append([]any{low, high, wants("new", 1, whole).Objects()}, fullNodes(1, 1)...)...)...)
			evicted(t, c, 2, evicting(ourActions), "old-0-0-0")
			now.Step(80 * time.Second)
			c.Session(evicting(ourActions))
			if diff := cmp.Diff([]string{"uid-new-0 on node0"}, waiting(c)); diff != "" {
				t.Fatalf("reservations before (-want,+got):\n%s", diff)
			}
			end(c, now)
			c.Session(evicting("allocate"))
			if diff := cmp.Diff([]string(nil), waiting(c)); diff != "" {
				t.Errorf("reservations after (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestGangThatCannotBeServedLeavesNoTrace(t *testing.T) {
	objects := append([]any{low, high, wants("new", 5, whole).Objects()}, fullNodes(2, 2)...)
	c := volcanotest.New(t, volcanotest.Objects(objects...)...)
	c.Session(evicting("allocate"))
	before := c.Adapter.Ledger().Snapshot()
	evicted(t, c, 2, evicting(ourActions))
	if diff := cmp.Diff(before, c.Adapter.Ledger().Snapshot()); diff != "" {
		t.Errorf("ledger (-before,+after):\n%s", diff)
	}
}

func TestGangsLosePodsCheaply(t *testing.T) {
	card := func(node string, cards ...int) func(int) []wire.Slice {
		return func(i int) []wire.Slice { return []wire.Slice{on(node, cards[i], 81920, 100)} }
	}
	tests := map[string]struct {
		objects []any
		conf    string
		want    []string
	}{
		"what can be spared goes before what breaks a gang": {
			objects: []any{tokens("node1", 4, 40), running(volcanotest.MakeGang("tight", 2, half), card("node1", 0, 1), "node1"),
				running(volcanotest.MakeGang("loose", 2, half).MinMember(1), card("node1", 2, 3), "node1"), wants("new", 1, whole).Objects()},
			conf: evicting("allocate, preempt"), want: []string{"loose-1"},
		},
		"one gang is taken whole rather than two broken": {
			objects: []any{tokens("node1", 4, 40), running(volcanotest.MakeGang("a", 2, half), card("node1", 0, 2), "node1"),
				running(volcanotest.MakeGang("b", 2, half), card("node1", 1, 3), "node1"), wants("new", 2, whole).Objects()},
			conf: evicting("allocate, preempt"), want: []string{"b-0", "b-1"},
		},
		"the small gang goes before the large": {
			objects: []any{tokens("node1", 5, 50), running(volcanotest.MakeGang("b-large", 3, half), card("node1", 0, 1, 2), "node1"),
				running(volcanotest.MakeGang("a-small", 2, half), card("node1", 3, 4), "node1"), wants("new", 1, whole).Objects()},
			conf: evicting("allocate, preempt"), want: []string{"a-small-1"},
		},
		"a spare pod on the right card goes": {
			// Of three pods one can be spared; only one of the three is on a card that can be emptied.
			objects: []any{tokens("node1", 2, 20), stays("stay", "node1", on("node1", 0, 1000, 10)),
				running(volcanotest.MakeGang("a", 3, half).MinMember(2), func(i int) []wire.Slice {
					return []wire.Slice{on("node1", []int{1, 0, 0}[i], 30000, 10)}
				}, "node1"), wants("new", 1, whole).Objects()},
			conf: sparing("allocate, preempt"), want: []string{"a-0"},
		},
		"one pod with two cards goes rather than two": {
			objects: []any{tokens("node1", 4, 40), runs("a", "node1", on("node1", 0, 81920, 100)), runs("b", "node1", on("node1", 1, 81920, 100)),
				runs("pair", "node1", on("node1", 2, 81920, 100), on("node1", 3, 81920, 100)),
				wants("new", 1, volcanotest.Asks{volcanotest.ResourceGPU: "2"}).Objects()},
			conf: evicting("allocate, preempt"), want: []string{"pair-0"},
		},
		"one large pod goes rather than many small": {
			objects: []any{tokens("node1", 2, 20), runs("a", "node1", on("node1", 0, 30000, 10)), runs("b", "node1", on("node1", 0, 30000, 10)),
				runs("large", "node1", on("node1", 1, 81920, 10)), wants("new", 1, volcanotest.Slice(81920, 10)).Objects()},
			conf: evicting("allocate, preempt"), want: []string{"large-0"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := volcanotest.New(t, volcanotest.Objects(append([]any{low, high}, tc.objects...)...)...)
			evicted(t, c, 3, tc.conf, tc.want...)
		})
	}
}

// TestHalfBoundGangKeepsItsPlaces lets the API server refuse half of a gang: others must not take the
// cards before the rest is bound.
func TestHalfBoundGangKeepsItsPlaces(t *testing.T) {
	c := volcanotest.New(t, volcanotest.Objects(low, high, tokens("node1", 4, 40), volcanotest.MakeGang("torn", 4, whole).Priority("low", 1).Objects())...)
	c.RefuseBind(func(b *v1.Binding) error {
		if b.Name == "torn-2" || b.Name == "torn-3" {
			return errors.New("refused")
		}
		return nil
	})
	c.Session(evicting("allocate"))
	c.Until("two pods wait for their place", func() bool { return len(waiting(c)) == 2 && len(c.Bound()) == 2 })
	c.Create(wants("thief", 1, whole).Objects()...)
	c.RefuseBind(nil)
	c.Settle()
	c.Session(evicting("allocate"))
	c.Until("the gang is bound whole", func() bool { return len(c.Bound()) == 4 })
	if c.Bound()["thief-0"] != nil {
		t.Error("another pod took the place of a gang's member")
	}
}

func TestGangOfWhichNothingIsBoundKeepsNoPlaces(t *testing.T) {
	c := volcanotest.New(t, volcanotest.Objects(low, high, tokens("node1", 2, 20), volcanotest.MakeGang("torn", 2, whole).Priority("low", 1).Objects())...)
	c.RefuseBind(func(*v1.Binding) error { return errors.New("refused") })
	c.Session(evicting("allocate"))
	c.Until("both Bindings failed", func() bool { return len(waiting(c)) == 2 })
	c.RefuseBind(nil)
	c.Create(wants("first", 2, whole).Objects()...)
	c.Settle()
	c.Session(evicting("allocate"))
	c.Settle()
	if diff := cmp.Diff(map[ledger.State]int{ledger.Bound: 2}, c.States()); diff != "" || c.Bound()["first-0"] == nil {
		t.Errorf("bound %v, states (-want,+got):\n%s", c.Bound(), diff)
	}
}
