package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// small is a slice that fits many times, mutex the same without neighbours.
var (
	small = sharingtest.Slice(1000, 10)
	mutex = small.WithPolicy(request.Policy{Card: score.Mutex})
)

func TestMutexKeepsOthersAway(t *testing.T) {
	tests := map[string]struct {
		act     func(*testing.T, *ledger.Ledger)
		request *request.Pod
		want    fit.Reason // empty: fits
	}{
		"an idle card is for a mutex pod": {act: func(*testing.T, *ledger.Ledger) {}, request: mutex},
		"a used card is not": {
			act:     func(t *testing.T, l *ledger.Ledger) { hold(t, l, "p", "n", small) },
			request: mutex, want: fit.ReasonBusy,
		},
		"nobody joins a held mutex pod": {
			act:     func(t *testing.T, l *ledger.Ledger) { hold(t, l, "p", "n", mutex) },
			request: small, want: fit.ReasonSlots,
		},
		"nobody joins a bound mutex pod": {
			act:     func(t *testing.T, l *ledger.Ledger) { bind(t, l, "p", "n", mutex) },
			request: small, want: fit.ReasonSlots,
		},
		"two mutex pods do not share": {
			act:     func(t *testing.T, l *ledger.Ledger) { bind(t, l, "p", "n", mutex) },
			request: mutex, want: fit.ReasonSlots,
		},
		"the card is free again after it": {
			act: func(t *testing.T, l *ledger.Ledger) {
				bind(t, l, "p", "n", mutex)
				l.Forget("p")
			},
			request: small,
		},
		"a restart knows of it by the allocation alone": {
			act: func(t *testing.T, l *ledger.Ledger) {
				before := newLedger()
				p := bind(t, before, "p", "n", mutex)
				text, err := wire.EncodeAllocation(p.Allocation)
				if err != nil {
					t.Fatal(err)
				}
				if p.Allocation, err = wire.DecodeAllocation(text); err != nil {
					t.Fatal(err)
				}
				p.Request = small
				l.Observe(p)
				if diff := cmp.Diff(before.Snapshot(), l.Snapshot()); diff != "" {
					t.Errorf("ledger (-before,+after):\n%s", diff)
				}
			},
			request: small, want: fit.ReasonSlots,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			tc.act(t, l)
			if v := l.Fits("n", tc.request); v.Reason != tc.want {
				t.Errorf("verdict %q, want reason %q", v, tc.want)
			}
		})
	}
}

func TestCordonedCardsKeepTheirPods(t *testing.T) {
	l := newLedger()
	bind(t, l, "p", "n", small)
	n := sharingtest.MakeNode("n", 1)
	n.Cards[0].Cordoned = true
	l.SetNode(n)
	if v := l.Fits("n", small); v.Reason != fit.ReasonCordoned || v.Code != fit.NotNow {
		t.Errorf("verdict %q (%s), want %q, which may change", v, v.Code, fit.ReasonCordoned)
	}
	if _, state, ok := l.Held("p"); !ok || state != ledger.Bound {
		t.Errorf("the pod on the card is %q", state)
	}
	l.SetNode(sharingtest.MakeNode("n", 1))
	if v := l.Fits("n", small); !v.OK() {
		t.Errorf("after the cordon: %s", v)
	}
}

// TestLinksFollowTheCards: pods keep the places of cards that are registered in another order.
func TestLinksFollowTheCards(t *testing.T) {
	l := ledger.New()
	n := sharingtest.MakeNode("n", 4)
	l.SetNode(n)
	hold(t, l, "p", "n", small)
	n.Cards[0], n.Cards[3] = n.Cards[3], n.Cards[0]
	n.Pairs = device.MakePairs(4, func(i, k int) device.PairScore {
		if i == 0 && k == 2 { // n-3 and n-2
			return 600
		}
		return 10
	})
	l.SetNode(n)
	two := sharingtest.MakeRequest().Ask("main", request.App, 2, 1000, 10).Obj()
	two.Policy.Card = score.Topology
	a, v := l.Hold("q", "n", two, ledger.HoldOptions{})
	if !v.OK() {
		t.Fatal(v)
	}
	got := map[string]bool{}
	for _, s := range a.Containers["main"] {
		got[s.UUID] = true
	}
	if diff := cmp.Diff(map[string]bool{"n-3": true, "n-2": true}, got); diff != "" {
		t.Errorf("cards (-want,+got):\n%s", diff)
	}
}
