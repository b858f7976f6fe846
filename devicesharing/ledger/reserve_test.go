package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

var full = sharingtest.Slice(sharingtest.CardMemory, 100)

// reserve pipelines pod p onto node n's only card, which pod v leaves, and lets it wait.
func reserve(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	bind(t, l, "v", "n", full)
	l.Evicting("v")
	if _, v := l.Hold("p", "n", full, ledger.HoldOptions{Future: true, Name: "p"}); !v.OK() {
		t.Fatal(v)
	}
	if err := l.Reserve("p", 100); err != nil {
		t.Fatal(err)
	}
}

func TestLifeOfAReservation(t *testing.T) {
	take := func(t *testing.T, l *ledger.Ledger) wire.Allocation { return hold(t, l, "p", "n", full) }
	tests := map[string]struct {
		act func(*testing.T, *ledger.Ledger)
		// want is whether the reservation is there at the end, wantState what the pod is.
		want      bool
		wantState ledger.State
	}{
		"the end of a session keeps it":            {act: func(_ *testing.T, l *ledger.Ledger) { l.EndSession(); l.EndSession(); l.EndSession() }, want: true, wantState: ledger.Held},
		"it ends with its time":                    {act: func(_ *testing.T, l *ledger.Ledger) { l.Expire(100) }},
		"it does not end before":                   {act: func(_ *testing.T, l *ledger.Ledger) { l.Expire(99) }, want: true, wantState: ledger.Held},
		"it ends with its pod":                     {act: func(_ *testing.T, l *ledger.Ledger) { l.Forget("p") }},
		"it ends when it is given up":              {act: func(_ *testing.T, l *ledger.Ledger) { l.Unreserve("p"); l.Unreserve("p") }},
		"a second one keeps the first time limit":  {act: func(_ *testing.T, l *ledger.Ledger) { _ = l.Reserve("p", 1000); l.Expire(100) }},
		"a hold that is released makes it wait":    {act: func(t *testing.T, l *ledger.Ledger) { l.Forget("v"); take(t, l); l.Release("p") }, want: true, wantState: ledger.Held},
		"a hold that is not committed lets it be":  {act: func(t *testing.T, l *ledger.Ledger) { l.Forget("v"); take(t, l); l.EndSession() }, want: true, wantState: ledger.Held},
		"an assumed pod whose Binding fails waits": {act: func(t *testing.T, l *ledger.Ledger) { l.Forget("v"); take(t, l); _, _ = l.Assume("p"); l.Release("p") }, want: true, wantState: ledger.Held},
		"an assumed pod outlives its time": {act: func(t *testing.T, l *ledger.Ledger) {
			l.Forget("v")
			take(t, l)
			_, _ = l.Assume("p")
			l.Expire(100)
		}, wantState: ledger.Assumed},
		"a bound pod has none": {act: func(t *testing.T, l *ledger.Ledger) {
			l.Forget("v")
			a := take(t, l)
			_, _ = l.Assume("p")
			l.Observe(ledger.PodState{UID: "p", Node: "n", Allocation: a, Request: full})
			l.Release("p")
			l.Expire(100)
		}, wantState: ledger.Bound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			reserve(t, l)
			tc.act(t, l)
			if got := len(l.Reservations()) == 1; got != tc.want {
				t.Errorf("reserved %t, want %t", got, tc.want)
			}
			if _, state, _ := l.Held("p"); state != tc.wantState {
				t.Errorf("state %q, want %q", state, tc.wantState)
			}
		})
	}
}

func TestReservedCardsAreForTheirPodOnly(t *testing.T) {
	l := newLedger()
	l.SetNode(sharingtest.MakeNode("m", 1))
	reserve(t, l)
	l.Forget("v")
	l.EndSession()
	if v := l.Fits("n", half); v.OK() {
		t.Error("the reserved card fits somebody else")
	}
	if v := l.FitsFuture("n", half); v.OK() {
		t.Error("the reserved card will fit somebody else")
	}
	if v := l.FitsFor("p", "n", full); !v.OK() {
		t.Errorf("the reserved card does not fit its pod: %s", v)
	}
	if v := l.FitsFor("p", "m", full); v.Reason != fit.ReasonElsewhere {
		t.Errorf("on another node the pod is told %q", v)
	}
	if _, v := l.Hold("p", "m", full, ledger.HoldOptions{}); v.Reason != fit.ReasonElsewhere {
		t.Errorf("a hold on another node says %q", v)
	}
	if !l.Try("p", "n", full, nil).Fits() {
		t.Error("in a trial the pod is in its own way")
	}
}

func TestReservedCardsAreTakenFirst(t *testing.T) {
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("n", 3))
	bind(t, l, "a", "n", full)
	bind(t, l, "b", "n", full)
	bind(t, l, "v", "n", full) // on n-2
	l.Evicting("v")
	want, _ := l.Hold("p", "n", full, ledger.HoldOptions{Future: true})
	if err := l.Reserve("p", 100); err != nil {
		t.Fatal(err)
	}
	l.EndSession()
	l.Forget("a") // frees n-0, which any policy would prefer
	l.Forget("v")
	if diff := cmp.Diff(want, hold(t, l, "p", "n", full)); diff != "" {
		t.Errorf("allocation (-reserved,+held):\n%s", diff)
	}
}

func TestOnlyWhatIsHeldCanBeReserved(t *testing.T) {
	l := newLedger()
	if err := l.Reserve("p", 1); !errors.Is(err, ledger.ErrNotHeld) {
		t.Errorf("reserve nothing: %v", err)
	}
	bind(t, l, "p", "n", half)
	if err := l.Reserve("p", 1); !errors.Is(err, ledger.ErrNotHeld) {
		t.Errorf("reserve a bound pod: %v", err)
	}
}
