package quota_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
)

func TestQueueReclaimsUpToWhatItDeserves(t *testing.T) {
	tests := map[string]struct {
		limits map[string]quota.Limits
		used   map[string]int
		ask    int
		want   quota.Reason
	}{
		"nothing deserved: others decide":  {ask: 1},
		"within":                           {limits: map[string]quota.Limits{"physics": cards(-1, 4, -1)}, used: map[string]int{"physics": 3}, ask: 1},
		"beyond":                           {limits: map[string]quota.Limits{"physics": cards(-1, 4, -1)}, used: map[string]int{"physics": 4}, ask: 1, want: quota.ReasonDeserved},
		"a guarantee is deserved":          {limits: map[string]quota.Limits{"physics": cards(-1, 1, 4)}, used: map[string]int{"physics": 3}, ask: 1},
		"the wall stands before":           {limits: map[string]quota.Limits{"physics": cards(3, -1, -1)}, used: map[string]int{"physics": 3}, ask: 1, want: quota.ReasonCapability},
		"the parent's share is not judged": {limits: map[string]quota.Limits{"science": cards(-1, 0, -1)}, used: map[string]int{"physics": 3}, ask: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tree := company(tc.limits)
			if got := tree.MayReclaim(used(tree, tc.used), "physics", card(tc.ask)); got.Reason != tc.want {
				t.Errorf("reason %q, want %q", got.Reason, tc.want)
			}
		})
	}
}

func TestVictims(t *testing.T) {
	pod := func(id, queue, job string) quota.Candidate {
		return quota.Candidate{ID: id, Queue: queue, Job: job, Charge: card(1)}
	}
	slots := quota.Limits{Deserved: bounds(map[quota.Dimension]uint64{quota.Cores: 100})}
	tests := map[string]struct {
		limits     map[string]quota.Limits
		used       map[string]int
		reclaimer  string
		ask        int
		candidates []quota.Candidate
		gangs      map[string]quota.Gang
		want       []string
	}{
		"a queue above what it deserves gives down to it": {
			limits: map[string]quota.Limits{"sales": cards(-1, 2, -1), "science": cards(-1, 8, -1)}, used: map[string]int{"sales": 4},
			reclaimer: "physics", ask: 4,
			candidates: []quota.Candidate{pod("a", "sales", "j"), pod("b", "sales", "j"), pod("c", "sales", "j"), pod("d", "sales", "j")},
			gangs:      map[string]quota.Gang{"j": {Spare: 4, Charge: card(4)}},
			want:       []string{"a", "b"}},
		"a queue at what it deserves gives none": {
			limits: map[string]quota.Limits{"sales": cards(-1, 2, -1)}, used: map[string]int{"sales": 2}, reclaimer: "physics", ask: 1,
			candidates: []quota.Candidate{pod("a", "sales", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 1, Charge: card(2)}}},
		"never below its guarantee": {
			limits: map[string]quota.Limits{"sales": cards(-1, -1, 3)}, used: map[string]int{"sales": 4}, reclaimer: "physics", ask: 2,
			candidates: []quota.Candidate{pod("a", "sales", "j"), pod("b", "sales", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 2, Charge: card(4)}},
			want: []string{"a"}},
		"a queue that claims nothing gives all": {
			used: map[string]int{"sales": 2}, reclaimer: "physics", ask: 2,
			candidates: []quota.Candidate{pod("a", "sales", "j"), pod("b", "sales", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 2, Charge: card(2)}},
			want: []string{"a", "b"}},
		"too much of what is not asked does not count": {
			limits: map[string]quota.Limits{"sales": slots}, used: map[string]int{"sales": 2}, reclaimer: "physics", ask: 1,
			candidates: []quota.Candidate{pod("a", "sales", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 1, Charge: card(2)}}},
		"spare pods of gangs go before whole gangs": {
			limits: map[string]quota.Limits{"sales": cards(-1, 0, -1)}, used: map[string]int{"sales": 6}, reclaimer: "physics", ask: 1,
			candidates: []quota.Candidate{pod("a", "sales", "whole"), pod("b", "sales", "whole"), pod("c", "sales", "elastic")},
			gangs:      map[string]quota.Gang{"whole": {Charge: card(2)}, "elastic": {Spare: 1, Charge: card(4)}},
			want:       []string{"c"}},
		"whole gangs follow where spare pods free too little": {
			limits: map[string]quota.Limits{"sales": cards(-1, 0, -1)}, used: map[string]int{"sales": 6}, reclaimer: "physics", ask: 2,
			candidates: []quota.Candidate{pod("a", "sales", "whole"), pod("b", "sales", "whole"), pod("c", "sales", "elastic")},
			gangs:      map[string]quota.Gang{"whole": {Charge: card(2)}, "elastic": {Spare: 1, Charge: card(4)}},
			want:       []string{"c", "a", "b"}},
		"a gang goes as a whole or not at all": {
			limits: map[string]quota.Limits{"sales": cards(-1, -1, 3)}, used: map[string]int{"sales": 4}, reclaimer: "physics", ask: 1,
			candidates: []quota.Candidate{pod("a", "sales", "whole"), pod("b", "sales", "whole")},
			gangs:      map[string]quota.Gang{"whole": {Charge: card(4)}}},
		"lower priority goes first, then the younger": {
			limits: map[string]quota.Limits{"sales": cards(-1, 0, -1)}, used: map[string]int{"sales": 3}, reclaimer: "physics", ask: 3,
			candidates: []quota.Candidate{
				{ID: "old", Queue: "sales", Job: "j", Charge: card(1), Created: 1}, {ID: "young", Queue: "sales", Job: "j", Charge: card(1), Created: 2},
				{ID: "low", Queue: "sales", Job: "j", Charge: card(1), Priority: -1}},
			gangs: map[string]quota.Gang{"j": {Spare: 3, Charge: card(3)}}, want: []string{"low", "young", "old"}},
		"a team within its part is safe though its department has too much": {
			limits: map[string]quota.Limits{"science": cards(-1, 2, -1), "physics": cards(-1, 4, -1)}, used: map[string]int{"physics": 4}, reclaimer: "sales", ask: 1,
			candidates: []quota.Candidate{pod("a", "physics", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 4, Charge: card(4)}}},
		"a team above its part is safe while its department is not": {
			limits: map[string]quota.Limits{"science": cards(-1, 8, -1), "physics": cards(-1, 2, -1)}, used: map[string]int{"physics": 4}, reclaimer: "sales", ask: 1,
			candidates: []quota.Candidate{pod("a", "physics", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 4, Charge: card(4)}}},
		"between teams only the teams are judged": {
			limits: map[string]quota.Limits{"science": cards(-1, 8, -1), "physics": cards(-1, 2, -1)}, used: map[string]int{"physics": 4}, reclaimer: "biology", ask: 1,
			candidates: []quota.Candidate{pod("a", "physics", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 4, Charge: card(4)}},
			want: []string{"a"}},
		"a department above its part takes nothing from others": {
			limits: map[string]quota.Limits{"science": cards(-1, 2, -1), "sales": cards(-1, 0, -1)}, used: map[string]int{"biology": 2, "sales": 2}, reclaimer: "physics", ask: 1,
			candidates: []quota.Candidate{pod("a", "sales", "j")}, gangs: map[string]quota.Gang{"j": {Spare: 2, Charge: card(2)}}},
		"victims elsewhere do not open a full department": {
			limits: map[string]quota.Limits{"science": cards(2, -1, -1), "sales": cards(-1, 0, -1)}, used: map[string]int{"biology": 2, "sales": 2}, reclaimer: "physics", ask: 1,
			candidates: []quota.Candidate{pod("a", "sales", "j"), pod("b", "biology", "k")},
			gangs:      map[string]quota.Gang{"j": {Spare: 2, Charge: card(2)}, "k": {Spare: 2, Charge: card(2)}},
			want:       []string{"b"}},
		"its own pods are not reclaimed": {
			used: map[string]int{"physics": 2}, reclaimer: "physics", ask: 1, candidates: []quota.Candidate{pod("a", "physics", "j")},
			gangs: map[string]quota.Gang{"j": {Spare: 2, Charge: card(2)}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tree := company(tc.limits)
			sums := used(tree, tc.used)
			before := sums.Clone()
			var got []string
			for _, v := range tree.Victims(sums, tc.reclaimer, card(tc.ask), tc.candidates, tc.gangs) {
				got = append(got, v.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("victims (-want,+got):\n%s", diff)
			}
			if diff := cmp.Diff(before, sums); diff != "" {
				t.Errorf("the sums changed (-before,+after):\n%s", diff)
			}
		})
	}
}

// Whatever the order of the candidates, the victims are the same, and no queue falls below its
// guarantee.
func TestVictimsDoNotDependOnTheOrderOfCandidates(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		limits := map[string]quota.Limits{"sales": cards(-1, rnd.IntN(5), rnd.IntN(4)), "biology": cards(-1, rnd.IntN(5), rnd.IntN(4)), "science": cards(-1, 6, -1)}
		tree := company(limits)
		sums := used(tree, map[string]int{"sales": 5, "biology": 5})
		var candidates []quota.Candidate
		gangs := map[string]quota.Gang{}
		for i, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "k"} {
			queue := []string{"sales", "biology"}[i%2]
			job := queue + []string{"1", "2"}[i/2%2]
			candidates = append(candidates, quota.Candidate{ID: id, Queue: queue, Job: job, Charge: card(1), Created: int64(rnd.IntN(3))})
			g := gangs[job]
			gangs[job] = quota.Gang{Spare: rnd.IntN(3), Charge: g.Charge.Add(card(1))}
		}
		first := tree.Victims(sums, "physics", card(2), candidates, gangs)
		for range 5 {
			rnd.Shuffle(len(candidates), func(i, k int) { candidates[i], candidates[k] = candidates[k], candidates[i] })
			if diff := cmp.Diff(first, tree.Victims(sums, "physics", card(2), candidates, gangs)); diff != "" {
				t.Fatalf("seed %d: victims of another order (-first,+now):\n%s", seed, diff)
			}
		}
		after := sums.Clone()
		for _, v := range first {
			tree.Remove(after, v.Queue, v.Charge)
		}
		for queue, l := range limits {
			if g, _ := l.Guarantee.Of(quota.Cards); tree.Used(after, queue)[quota.Cards] < min(g, tree.Used(sums, queue)[quota.Cards]) {
				t.Errorf("seed %d: queue %s fell below its guarantee", seed, queue)
			}
		}
	}
}

func TestQueuesWithASmallerShareComeFirst(t *testing.T) {
	tests := map[string]struct {
		limits        map[string]quota.Limits
		used          map[string]int
		first, second string
		want          int
	}{
		"smaller part of what is deserved": {limits: map[string]quota.Limits{"sales": cards(-1, 8, -1), "science": cards(-1, 4, -1)}, used: map[string]int{"sales": 3, "science": 2}, first: "sales", second: "science", want: -1},
		"equal":                            {used: map[string]int{"sales": 1, "science": 2}, first: "sales", second: "science"},
		"unused before used":               {used: map[string]int{"sales": 1}, first: "sales", second: "science", want: 1},
		"departments decide between teams of two": {limits: map[string]quota.Limits{"science": cards(-1, 10, -1), "physics": cards(-1, 1, -1), "sales": cards(-1, 10, -1)},
			used: map[string]int{"physics": 2, "sales": 3}, first: "physics", second: "sales", want: -1},
		"use of what is not deserved is all of it": {limits: map[string]quota.Limits{"sales": cards(-1, 0, -1), "science": cards(-1, 2, -1)}, used: map[string]int{"sales": 1, "science": 1}, first: "sales", second: "science", want: 1},
		"a queue and its parent":                   {used: map[string]int{"physics": 1}, first: "physics", second: "science"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tree := company(tc.limits)
			sums := used(tree, tc.used)
			if got := tree.Order(sums, tc.first, tc.second); got != tc.want {
				t.Errorf("order %d, want %d", got, tc.want)
			}
			if got := tree.Order(sums, tc.second, tc.first); got != -tc.want {
				t.Errorf("reverse order %d, want %d", got, -tc.want)
			}
		})
	}
}
