package quota_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

// vector writes a charge in the order slots, MiB, cores, thousandths of cards.
func vector(slots, memory, cores, cards uint64) quota.Vector {
	return quota.Vector{quota.Slots: slots, quota.Memory: memory, quota.Cores: cores, quota.Cards: cards}
}

// fleet is cards of 80 GiB and of 40 GiB, and a sick one that is larger than both.
func fleet() *quota.Pool {
	pool := &quota.Pool{}
	for _, c := range []*sharingtest.CardBuilder{
		sharingtest.MakeCard("a"), sharingtest.MakeCard("b").Model("NVIDIA A100-PCIE-40GB").Memory(40960),
		sharingtest.MakeCard("c").Model("NVIDIA H200").Memory(163840).Sick(),
	} {
		pool.Add(c.Used(0, 0, 0))
	}
	return pool
}

func TestAskIsTheTotalOverCardsAndThePeakOverTime(t *testing.T) {
	ask := sharingtest.MakeRequest
	tests := map[string]struct {
		request *request.Pod
		want    quota.Vector
	}{
		"nothing":                                {request: nil},
		"memory and cores of one card":           {request: ask().App("main", 3000, 30).Obj(), want: vector(1, 3000, 30, 300)},
		"per-card values times cards":            {request: ask().Ask("main", request.App, 4, 10000, 20).Obj(), want: vector(4, 40000, 80, 4*200)},
		"the larger share decides, rounded up":   {request: ask().App("main", 8193, 10).Obj(), want: vector(1, 8193, 10, 101)},
		"whole cards of the largest kind":        {request: ask().Ask("main", request.App, 2, 0, 0).Percent(100).Obj(), want: vector(2, 163840, 0, 2000)},
		"half of a card":                         {request: ask().App("main", 0, 0).Percent(50).Obj(), want: vector(1, 40960, 0, 500)},
		"exclusive: all cores":                   {request: ask().App("main", 1000, 100).Obj(), want: vector(1, 1000, 100, 1000)},
		"no cores: none are charged":             {request: ask().App("main", 1000, 0).Obj(), want: vector(1, 1000, 0, 13)},
		"the largest card that may serve it":     {request: ask().App("main", 0, 0).Percent(50).Select(request.Selector{UseTypes: []string{"40GB"}}).Obj(), want: vector(1, 20480, 0, 500)},
		"a wanted card does not change its size": {request: ask().App("main", 0, 0).Percent(50).Select(request.Selector{UseUUIDs: []string{"x"}}).Obj(), want: vector(1, 40960, 0, 500)},
		"no card may serve it: absolute amounts count, a card of unknown size is whole": {
			request: ask().App("main", 100, 10).Select(request.Selector{UseTypes: []string{"H100"}}).Obj(), want: vector(1, 100, 10, 1000)},
		"containers together": {request: ask().App("main", 1000, 10).App("side", 2000, 20).Obj(), want: vector(2, 3000, 30, 300)},
		"init containers by their peak": {
			request: ask().Ask("fetch", request.Init, 1, 9000, 0).Ask("check", request.Init, 2, 100, 5).App("main", 4000, 50).Obj(),
			want:    vector(2, 9000, 50, 500)},
		"a sidecar runs beside what follows it": {
			request: ask().Ask("before", request.Init, 1, 5000, 0).Ask("side", request.Sidecar, 1, 1000, 10).
				Ask("after", request.Init, 1, 5000, 0).App("main", 3000, 10).Obj(),
			want: vector(2, 6000, 20, 200)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, quota.Ask(tc.request, fleet())); diff != "" {
				t.Errorf("charge (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestPlacedPodIsChargedByItsRealCards(t *testing.T) {
	small := sharingtest.MakeCard("b").Memory(40960).Used(0, 0, 0)
	alone := sharingtest.MakeCard("x").Mode(device.ModeExclusive).Used(0, 0, 0)
	scaled := sharingtest.MakeCard("y").Cores(200).Used(0, 0, 0)
	on := func(card fit.Card, memory device.MiB, cores device.CorePercent) fit.Placed {
		return fit.Placed{Card: card, Amount: device.Amount{Memory: memory, Cores: cores, Slots: 1}}
	}
	tests := map[string]struct {
		placed []fit.Placed
		want   quota.Vector
	}{
		"half of a small card":         {placed: []fit.Placed{on(small, 20480, 0)}, want: vector(1, 20480, 0, 500)},
		"two cards":                    {placed: []fit.Placed{on(small, 20480, 10), on(small, 20480, 10)}, want: vector(2, 40960, 20, 1000)},
		"a card in exclusive mode":     {placed: []fit.Placed{on(alone, 100, 0)}, want: vector(1, 100, 100, 1000)},
		"all shares of a card":         {placed: []fit.Placed{{Card: small, Amount: device.Amount{Memory: 100, Slots: 10}}}, want: vector(1, 100, 100, 1000)},
		"scaled cores are smaller":     {placed: []fit.Placed{on(scaled, 819, 100)}, want: vector(1, 819, 100, 500)},
		"a card that nobody registers": {placed: []fit.Placed{on(fit.Card{Gone: true}, 8192, 0)}, want: vector(1, 8192, 0, 100)},
		"containers that never meet":   {placed: []fit.Placed{{Card: small, Amount: device.Amount{Memory: 4096, Slots: 1}}, {Card: small, Amount: device.Amount{Memory: 8192, Slots: 1}, Span: fit.Span{First: 1, Last: 1}}}, want: vector(1, 8192, 0, 200)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, quota.Charge(tc.placed, fleet())); diff != "" {
				t.Errorf("charge (-want,+got):\n%s", diff)
			}
		})
	}
}

// What a pod is asked for must be what it is charged when it lands on the cards that were assumed.
func TestChargeOnTheLargestCardIsTheAsk(t *testing.T) {
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("node1", 4))
	pool := &quota.Pool{}
	l.EachCard(func(_ string, c fit.Card) { pool.Add(c) })
	if !pool.Uniform() || pool.Total() != vector(40, 4*81920, 400, 4000) {
		t.Fatalf("pool is %+v", pool.Total())
	}
	requests := map[string]*request.Pod{
		"slice":          sharingtest.Slice(3000, 30),
		"whole":          sharingtest.MakeRequest().Ask("main", request.App, 2, 0, 0).Percent(100).Obj(),
		"with init":      sharingtest.MakeRequest().Ask("init", request.Init, 1, 7000, 0).App("main", 5000, 10).Obj(),
		"card to itself": sharingtest.Slice(3000, 30).WithPolicy(request.Policy{Card: score.Mutex}),
		"two at once":    sharingtest.MakeRequest().App("a", 5000, 10).App("b", 6000, 10).Obj(),
	}
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			if _, state := l.Slices(name, nil); state != "" {
				t.Fatalf("state %q before the hold", state)
			}
			if _, v := l.Hold(name, "node1", r, ledger.HoldOptions{}); !v.OK() {
				t.Fatal(v)
			}
			defer l.Release(name)
			placed, state := l.Slices(name, nil)
			if state != ledger.Held {
				t.Errorf("state %q, want held", state)
			}
			if diff := cmp.Diff(quota.Ask(r, pool), quota.Charge(placed, pool)); diff != "" {
				t.Errorf("charge (-asked,+charged):\n%s", diff)
			}
		})
	}
}

func TestGangNeedsItsMinimumOfTheCheapestPods(t *testing.T) {
	small, big := vector(1, 1000, 0, 100), vector(1, 9000, 0, 900)
	tests := map[string]struct {
		shapes []quota.Shape
		min    int
		want   quota.Vector
	}{
		"all of it":                         {shapes: []quota.Shape{{Charge: big, Replicas: 2}, {Charge: small, Replicas: 3}}, min: 5, want: vector(5, 21000, 0, 2100)},
		"the cheapest":                      {shapes: []quota.Shape{{Charge: big, Replicas: 2}, {Charge: small, Replicas: 3}}, min: 2, want: vector(2, 2000, 0, 200)},
		"roles have minima of their own":    {shapes: []quota.Shape{{Charge: big, Replicas: 2, MinAvailable: 1}, {Charge: small, Replicas: 3}}, min: 2, want: vector(2, 10000, 0, 1000)},
		"minima of roles exceed the gang's": {shapes: []quota.Shape{{Charge: big, Replicas: 2, MinAvailable: 2}, {Charge: small, Replicas: 3}}, min: 1, want: vector(2, 18000, 0, 1800)},
		"more than there is":                {shapes: []quota.Shape{{Charge: small, Replicas: 1, MinAvailable: 4}}, min: 9, want: small},
		"nothing need run":                  {shapes: []quota.Shape{{Charge: small, Replicas: 4}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, quota.GangCharge(tc.shapes, tc.min)); diff != "" {
				t.Errorf("charge (-want,+got):\n%s", diff)
			}
		})
	}
}
