package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// half is half of a card.
var half = sharingtest.Slice(40000, 50)

// newLedger has node n with one card, n-0.
func newLedger() *ledger.Ledger {
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("n", 1))
	return l
}

func hold(t *testing.T, l *ledger.Ledger, uid, node string, r *request.Pod) wire.Allocation {
	t.Helper()
	a, v := l.Hold(uid, node, r, ledger.HoldOptions{Name: uid})
	if !v.OK() {
		t.Fatalf("hold %s: %s", uid, v)
	}
	return a
}

// bind holds, assumes and observes a pod.
func bind(t *testing.T, l *ledger.Ledger, uid, node string, r *request.Pod) ledger.PodState {
	t.Helper()
	a := hold(t, l, uid, node, r)
	if _, err := l.Assume(uid); err != nil {
		t.Fatal(err)
	}
	p := ledger.PodState{UID: uid, Name: uid, Node: node, Allocation: a, Request: r}
	l.Observe(p)
	return p
}

// uses returns the use of node n's card n-0 in both books.
func uses(t *testing.T, l *ledger.Ledger) (now, future ledger.Use) {
	t.Helper()
	s, ok := l.NodeSnapshot("n")
	if !ok || len(s.Cards) == 0 {
		t.Fatal("node n has no card")
	}
	return s.Cards[0].Used, s.Cards[0].Future
}

var (
	nothing = ledger.Use{}
	oneHalf = ledger.Use{Slots: 1, Memory: 40000, Cores: 50}
	both    = ledger.Use{Slots: 2, Memory: 80000, Cores: 100}
)

func TestLifeOfAPod(t *testing.T) {
	tests := map[string]struct {
		act                 func(*testing.T, *ledger.Ledger)
		wantNow, wantFuture ledger.Use
		wantState           ledger.State // of pod p; empty: unknown
	}{
		"a hold takes its slice": {
			act:     func(t *testing.T, l *ledger.Ledger) { hold(t, l, "p", "n", half) },
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Held,
		},
		"a repeated hold takes nothing more": {
			act: func(t *testing.T, l *ledger.Ledger) {
				first, again := hold(t, l, "p", "n", half), hold(t, l, "p", "n", half)
				if diff := cmp.Diff(first, again); diff != "" {
					t.Errorf("allocation (-first,+again):\n%s", diff)
				}
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Held,
		},
		"a release gives it back": {
			act: func(t *testing.T, l *ledger.Ledger) { hold(t, l, "p", "n", half); l.Release("p"); l.Release("p") },
		},
		"the end of a session drops holds": {
			act: func(t *testing.T, l *ledger.Ledger) { hold(t, l, "p", "n", half); l.EndSession() },
		},
		"the end of a session keeps assumed pods": {
			act: func(t *testing.T, l *ledger.Ledger) {
				hold(t, l, "p", "n", half)
				if _, err := l.Assume("p"); err != nil {
					t.Fatal(err)
				}
				l.EndSession()
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Assumed,
		},
		"an assumed pod can be released": {
			act: func(t *testing.T, l *ledger.Ledger) {
				hold(t, l, "p", "n", half)
				if _, err := l.Assume("p"); err != nil {
					t.Fatal(err)
				}
				l.Release("p")
			},
		},
		"a bound pod is not released": {
			act:     func(t *testing.T, l *ledger.Ledger) { bind(t, l, "p", "n", half); l.Release("p"); l.EndSession() },
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a bound pod that is held again keeps what it has": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", half)
				hold(t, l, "p", "n", half)
				l.Release("p")
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a pod seen bound before it was assumed is bound": {
			act: func(t *testing.T, l *ledger.Ledger) {
				a := hold(t, l, "p", "n", half)
				l.Observe(ledger.PodState{UID: "p", Node: "n", Allocation: a, Request: half})
				if _, err := l.Assume("p"); err != nil {
					t.Error(err)
				}
				l.EndSession()
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a releasing pod keeps its cards now and frees them in the future": {
			act: func(t *testing.T, l *ledger.Ledger) {
				p := bind(t, l, "p", "n", half)
				p.Releasing = true
				l.Observe(p)
				l.Observe(p)
			},
			wantNow: oneHalf, wantState: ledger.Releasing,
		},
		"a forgotten pod has nothing": {
			act: func(t *testing.T, l *ledger.Ledger) { bind(t, l, "p", "n", half); l.Forget("p"); l.Forget("p") },
		},
		"a victim frees the future": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", half)
				l.Evicting("p")
				l.Evicting("p")
			},
			wantNow: oneHalf, wantState: ledger.Bound,
		},
		"a restored victim takes it back": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", half)
				l.Evicting("p")
				l.Restore("p")
				l.Restore("p")
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a victim that is held again is restored": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", half)
				l.Evicting("p")
				hold(t, l, "p", "n", half)
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a victim stays one through the end of its session": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", half)
				l.Evicting("p")
				l.EndSession()
			},
			wantNow: oneHalf, wantState: ledger.Bound,
		},
		"a victim whose deletion never comes is restored by the next session": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", half)
				l.Evicting("p")
				l.EndSession()
				l.EndSession()
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a hold is not evicted": {
			act:     func(t *testing.T, l *ledger.Ledger) { hold(t, l, "p", "n", half); l.Evicting("p") },
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Held,
		},
		"a pod that the API binds without an allocation keeps what it was given": {
			act: func(t *testing.T, l *ledger.Ledger) {
				hold(t, l, "p", "n", half)
				l.Observe(ledger.PodState{UID: "p", Node: "n"})
			},
			wantNow: oneHalf, wantFuture: oneHalf, wantState: ledger.Bound,
		},
		"a pod that the API binds elsewhere frees what it was given here": {
			act: func(t *testing.T, l *ledger.Ledger) {
				hold(t, l, "p", "n", half)
				l.Observe(ledger.PodState{UID: "p", Node: "other"})
			},
		},
		"an allocation for another node is not trusted": {
			act: func(t *testing.T, l *ledger.Ledger) {
				l.Observe(ledger.PodState{UID: "p", Node: "n", Allocation: wire.Allocation{Node: "m",
					Containers: map[string][]wire.Slice{"main": {{UUID: "n-0", Memory: 1}}}}})
			},
		},
		"a pod without a node is not counted": {
			act: func(t *testing.T, l *ledger.Ledger) {
				l.Observe(ledger.PodState{UID: "p", Allocation: wire.Allocation{
					Containers: map[string][]wire.Slice{"main": {{UUID: "n-0", Memory: 1}}}}})
			},
		},
		"another allocation in the API replaces ours": {
			act: func(t *testing.T, l *ledger.Ledger) {
				p := bind(t, l, "p", "n", half)
				p.Allocation.Containers = map[string][]wire.Slice{"main": {{UUID: "n-0", Memory: 80000, Cores: 100}}}
				l.Observe(p)
			},
			wantNow:    ledger.Use{Slots: 1, Memory: 80000, Cores: 100},
			wantFuture: ledger.Use{Slots: 1, Memory: 80000, Cores: 100}, wantState: ledger.Bound,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			tc.act(t, l)
			now, future := uses(t, l)
			if diff := cmp.Diff(tc.wantNow, now); diff != "" {
				t.Errorf("now (-want,+got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantFuture, future); diff != "" {
				t.Errorf("future (-want,+got):\n%s", diff)
			}
			if _, state, _ := l.Held("p"); state != tc.wantState {
				t.Errorf("state is %q, want %q", state, tc.wantState)
			}
			l.Forget("p")
			if now, future := uses(t, l); now != nothing || future != nothing {
				t.Errorf("a gone pod leaves %+v now, %+v in the future", now, future)
			}
		})
	}
}

func TestFutureHolds(t *testing.T) {
	l := newLedger()
	bind(t, l, "old", "n", sharingtest.Slice(60000, 50))
	l.Evicting("old")
	big := sharingtest.Slice(80000, 50)
	if l.Fits("n", big).OK() || !l.FitsFuture("n", big).OK() {
		t.Fatal("the victim's cards are free later, not now")
	}
	future := ledger.HoldOptions{Future: true}
	if _, v := l.Hold("p", "n", big, future); !v.OK() {
		t.Fatal(v)
	}
	if _, err := l.Assume("p"); !errors.Is(err, ledger.ErrFuture) {
		t.Errorf("assume of a waiting pod: %v, want %v", err, ledger.ErrFuture)
	}
	if v := l.Fits("n", sharingtest.Slice(20000, 50)); v.OK() {
		t.Error("what a waiting pod needs was given away")
	}
	if _, v := l.Hold("p", "n", big, ledger.HoldOptions{}); v.OK() {
		t.Error("a waiting pod got cards that others still have")
	}
	if now, later := uses(t, l); now.Memory != 60000 || later.Memory != 80000 {
		t.Errorf("after a vain hold %d MiB are used now and %d later, want 60000 and 80000", now.Memory, later.Memory)
	}
	l.Forget("old")
	if _, v := l.Hold("p", "n", big, ledger.HoldOptions{}); !v.OK() {
		t.Fatalf("the cards are free: %s", v)
	}
	if _, err := l.Assume("p"); err != nil {
		t.Error(err)
	}
	if now, later := uses(t, l); now != later || now.Memory != 80000 {
		t.Errorf("%+v are used now and %+v later, want 80000 MiB in both", now, later)
	}
}

func TestHoldRefusesWithoutTrace(t *testing.T) {
	l := newLedger()
	bind(t, l, "old", "n", half)
	before := l.Snapshot()
	for uid, r := range map[string]*request.Pod{
		"large": sharingtest.Slice(50000, 10), "never": sharingtest.Slice(90000, 10), "empty": sharingtest.MakeRequest().Obj(),
	} {
		if a, v := l.Hold(uid, "n", r, ledger.HoldOptions{}); v.OK() || a.Containers != nil {
			t.Errorf("hold %s gives %v", uid, a)
		}
	}
	if _, v := l.Hold("p", "unknown", half, ledger.HoldOptions{}); v.Code != fit.Never {
		t.Errorf("hold on an unknown node is %q, want %q", v.Code, fit.Never)
	}
	if _, v := l.Hold("old", "m", half, ledger.HoldOptions{}); v.Reason != fit.ReasonElsewhere {
		t.Errorf("hold of a bound pod elsewhere: %s", v)
	}
	if diff := cmp.Diff(before, l.Snapshot()); diff != "" {
		t.Errorf("state (-before,+after):\n%s", diff)
	}
}

func TestHoldMovesBetweenNodes(t *testing.T) {
	l := newLedger()
	l.SetNode(sharingtest.MakeNode("m", 1))
	hold(t, l, "p", "n", half)
	if _, v := l.Hold("p", "unknown", half, ledger.HoldOptions{}); v.OK() {
		t.Fatal("hold on an unknown node")
	}
	if a, _, _ := l.Held("p"); a.Node != "n" {
		t.Errorf("after a vain move the pod is on %q, want n", a.Node)
	}
	hold(t, l, "p", "m", half)
	if now, _ := uses(t, l); now != nothing {
		t.Errorf("the former node keeps %+v", now)
	}
	l.EndSession()
	if s := l.Snapshot(); len(s.Pods) != 0 {
		t.Errorf("pods after the session: %v", s.Pods)
	}
}

func TestNodesChangeUnderPods(t *testing.T) {
	slices := func(uuids ...string) wire.Allocation {
		a := wire.Allocation{Version: 1, Node: "n", Containers: map[string][]wire.Slice{}}
		for _, uuid := range uuids {
			a.Containers["main"] = append(a.Containers["main"], wire.Slice{UUID: uuid, Memory: 40000, Cores: 50})
		}
		return a
	}
	observe := func(l *ledger.Ledger, uid string, uuids ...string) {
		l.Observe(ledger.PodState{UID: uid, Node: "n", Allocation: slices(uuids...), Request: half})
	}
	cards := func(l *ledger.Ledger) map[string]ledger.CardSnapshot {
		m := map[string]ledger.CardSnapshot{}
		if s, ok := l.NodeSnapshot("n"); ok {
			for _, c := range s.Cards {
				m[c.UUID] = c
			}
		}
		return m
	}
	t.Run("a pod seen before its node counts once the node is there", func(t *testing.T) {
		l := ledger.New()
		observe(l, "p", "n-0", "n-1")
		if c := cards(l)["n-1"]; !c.Unknown || c.Used != oneHalf {
			t.Errorf("card is %+v", c)
		}
		if v := l.Fits("n", half); v.Reason != fit.ReasonNoDevices {
			t.Errorf("an unregistered node: %s", v)
		}
		l.SetNode(sharingtest.MakeNode("n", 2))
		if c := cards(l)["n-1"]; c.Unknown || c.Used != oneHalf || c.Index != 1 {
			t.Errorf("card is %+v", c)
		}
		l.Forget("p")
		if c := cards(l)["n-1"]; c.Used != nothing {
			t.Errorf("card is %+v", c)
		}
	})
	t.Run("a card that goes keeps its use and is not offered", func(t *testing.T) {
		l := newLedger()
		bind(t, l, "p", "n", half)
		l.SetNode(sharingtest.MakeNodeOf("n", sharingtest.MakeCard("new").Obj()))
		got := cards(l)
		if c := got["n-0"]; !c.Unknown || c.Used != oneHalf || c.Index != -1 {
			t.Errorf("gone card is %+v", c)
		}
		if a, _ := l.Hold("q", "n", sharingtest.Slice(1000, 10), ledger.HoldOptions{}); a.Containers["main"][0].UUID != "new" {
			t.Errorf("slice of %v, want one of the new card", a)
		}
		l.Forget("p")
		if _, ok := cards(l)["n-0"]; ok {
			t.Error("a gone card without use is still shown")
		}
		l.SetNode(sharingtest.MakeNode("n", 1))
		l.Forget("q")
		if got := cards(l); len(got) != 1 || got["n-0"].Unknown {
			t.Errorf("cards are %+v", got)
		}
	})
	t.Run("a sick card keeps its use and is not offered", func(t *testing.T) {
		l := newLedger()
		bind(t, l, "p", "n", half)
		l.SetNode(sharingtest.MakeNodeOf("n", sharingtest.MakeCard("n-0").Sick().Obj()))
		if v := l.Fits("n", half); v.Reason != fit.ReasonUnhealthy || v.Code != fit.NotNow {
			t.Errorf("verdict is %s", v)
		}
		l.SetNode(sharingtest.MakeNode("n", 1))
		if v := l.Fits("n", half); !v.OK() {
			t.Error(v)
		}
	})
	t.Run("a removed node keeps its pods", func(t *testing.T) {
		l := newLedger()
		bind(t, l, "p", "n", half)
		l.RemoveNode("n")
		if l.Fits("n", half).OK() {
			t.Error("a removed node offers cards")
		}
		if _, state, _ := l.Held("p"); state != ledger.Bound {
			t.Errorf("pod is %q", state)
		}
		l.SetNode(sharingtest.MakeNode("n", 1))
		if now, _ := uses(t, l); now != oneHalf {
			t.Errorf("%+v is used after the node came back", now)
		}
		l.RemoveNode("n")
		l.Forget("p")
		if s := l.Snapshot(); len(s.Nodes) != 0 {
			t.Errorf("nodes are %+v", s.Nodes)
		}
		l.RemoveNode("n")
	})
	t.Run("a card that the node does not have is reported", func(t *testing.T) {
		l := newLedger()
		observe(l, "p", "made-up")
		if c := cards(l)["made-up"]; !c.Unknown || c.Overcommitted || c.Used != oneHalf {
			t.Errorf("card is %+v", c)
		}
		if v := l.Fits("n", sharingtest.Slice(80000, 100)); !v.OK() {
			t.Error(v)
		}
	})
	t.Run("what two schedulers did is recorded", func(t *testing.T) {
		l := newLedger()
		bind(t, l, "p", "n", half)
		observe(l, "q", "n-0")
		if c := cards(l)["n-0"]; c.Overcommitted || c.Used != both {
			t.Errorf("card is %+v", c)
		}
		observe(l, "r", "n-0")
		if c := cards(l)["n-0"]; !c.Overcommitted || c.Used.Memory != 120000 {
			t.Errorf("card is %+v", c)
		}
		l.Forget("q")
		if c := cards(l)["n-0"]; c.Overcommitted || c.Used != both {
			t.Errorf("card is %+v", c)
		}
	})
	t.Run("absurd numbers do not overflow the sums", func(t *testing.T) {
		l := newLedger()
		for _, uid := range []string{"p", "q"} {
			l.Observe(ledger.PodState{UID: uid, Node: "n", Allocation: wire.Allocation{Node: "n", Containers: map[string][]wire.Slice{
				"main": {{UUID: "n-0", Memory: ^device.MiB(0), Cores: ^device.CorePercent(0)}}}}})
		}
		l.Forget("p")
		l.Forget("q")
		if now, future := uses(t, l); now != nothing || future != nothing {
			t.Errorf("%+v is left, %+v in the future", now, future)
		}
	})
}

func TestPhasesCountByPeak(t *testing.T) {
	r := sharingtest.MakeRequest().
		Ask("fetch", request.Init, 1, 70000, 60).
		Ask("proxy", request.Sidecar, 1, 10000, 10).
		Ask("warm", request.Init, 1, 60000, 20).
		App("main", 30000, 30).App("aux", 20000, 20).Obj()
	want := ledger.Use{Slots: 3, Memory: 70000, Cores: 60}
	l := newLedger()
	p := bind(t, l, "p", "n", r)
	if now, _ := uses(t, l); now != want {
		t.Errorf("use is %+v, want %+v", now, want)
	}
	t.Run("after a restart too", func(t *testing.T) {
		l := newLedger()
		l.Observe(p)
		if now, _ := uses(t, l); now != want {
			t.Errorf("use is %+v, want %+v", now, want)
		}
	})
	t.Run("without the request all containers run at once", func(t *testing.T) {
		l := newLedger()
		p := p
		p.Request = nil
		l.Observe(p)
		if now, _ := uses(t, l); now.Slots != 5 || now.Memory != 190000 {
			t.Errorf("use is %+v", now)
		}
	})
	t.Run("a container that the request lacks runs all the time", func(t *testing.T) {
		l := newLedger()
		p := p
		p.Allocation.Containers = map[string][]wire.Slice{
			"fetch": p.Allocation.Containers["fetch"], "stranger": {{UUID: "n-0", Memory: 10}}, "main": p.Allocation.Containers["main"],
		}
		l.Observe(p)
		if now, _ := uses(t, l); now.Slots != 2 || now.Memory != 70010 {
			t.Errorf("use is %+v", now)
		}
	})
}

func TestScorePacksByDefault(t *testing.T) {
	l := newLedger()
	l.SetNode(sharingtest.MakeNode("idle", 1))
	bind(t, l, "p", "n", half)
	if l.Score("n", half, "") <= l.Score("idle", half, "") {
		t.Error("the started node is not preferred")
	}
	if l.Score("n", half, "spread") >= l.Score("idle", half, "spread") {
		t.Error("spread does not prefer the idle node")
	}
	if got := l.Score("unknown", half, ""); got != 0 {
		t.Errorf("an unknown node scores %d", got)
	}
}

func TestAssumeOfAnUnknownPodFails(t *testing.T) {
	if _, err := ledger.New().Assume("p"); !errors.Is(err, ledger.ErrNotHeld) {
		t.Errorf("error is %v, want %v", err, ledger.ErrNotHeld)
	}
}
