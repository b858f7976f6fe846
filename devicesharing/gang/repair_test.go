package gang_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

func TestRepairKeepsWhatWasNotRefused(t *testing.T) {
	four := []packing.Node{node("n1", 2), node("n2", 2), node("n3", 2), node("n4", 2), node("n5", 2), node("n6", 2)}
	tests := map[string]struct {
		nodes                 []packing.Node
		minAvailable, members int
		tiers                 func(*packing.Pool) []gang.Tier
		refusals              [][]string // of role a, for each repair
		want                  []string
		wantRequired          int
		wantLeft              []string
		wantRepairs           int
		wantDomain            string
		wantReject            bool
	}{
		"members on other nodes stay": {
			nodes: four, minAvailable: 4, members: 4, refusals: [][]string{{"n1"}},
			want: []string{"a-2@n2", "a-3@n2", "a-0@n3", "a-1@n3"}, wantRequired: 4, wantRepairs: 1,
		},
		"bans add up": {
			nodes: four, minAvailable: 4, members: 4, refusals: [][]string{{"n1"}, {"n3"}},
			want: []string{"a-2@n2", "a-3@n2", "a-0@n4", "a-1@n4"}, wantRequired: 4, wantRepairs: 2,
		},
		"after three repairs the refused are left to scoring": {
			nodes: four, minAvailable: 4, members: 4, refusals: [][]string{{"n1"}, {"n3"}, {"n4"}, {"n5"}},
			want: []string{"a-2@n2", "a-3@n2"}, wantRequired: 2, wantLeft: []string{"a-0", "a-1"}, wantRepairs: 3,
		},
		"members beyond the minimum make way for required ones": {
			nodes: four[:2], minAvailable: 2, members: 4, refusals: [][]string{{"n1"}},
			want: []string{"a-0@n2", "a-1@n2"}, wantRequired: 2, wantLeft: []string{"a-2", "a-3"}, wantRepairs: 1,
		},
		"a gang that fits nowhere else is rejected": {
			nodes: four[:2], minAvailable: 4, members: 4, refusals: [][]string{{"n1"}},
			wantLeft: []string{"a-0", "a-1", "a-2", "a-3"}, wantRepairs: 1, wantReject: true,
		},
		"a refusal does not count against the idle cluster": {
			nodes: []packing.Node{node("n1", 0), node("n2", 0)}, minAvailable: 5, members: 5, refusals: [][]string{{"n1"}},
			wantLeft: []string{"a-0", "a-1", "a-2", "a-3", "a-4"}, wantRepairs: 1, wantReject: true,
		},
		"the gang stays in its domain": {
			nodes: four, minAvailable: 3, members: 3, refusals: [][]string{{"n4"}},
			tiers: func(p *packing.Pool) []gang.Tier {
				return []gang.Tier{tier(p, "rack", []string{"n1"}, []string{"n4", "n5", "n6"}, []string{"n2"}, []string{"n3"})}
			},
			want: []string{"a-2@n5", "a-0@n5", "a-1@n6"}, wantRequired: 3, wantRepairs: 1, wantDomain: "rack1",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := poolOf(packing.Binpack, tc.nodes...)
			g := gangOf(p, tc.minAvailable, role{count: tc.members, shape: shape(1, quarter)})
			if tc.tiers != nil {
				g.Tiers = tc.tiers(p)
			}
			r := gang.Plan(p, g)
			for _, nodes := range tc.refusals {
				var bans []gang.Ban
				for _, name := range nodes {
					i, _ := p.Index(name)
					bans = append(bans, gang.Ban{Role: 0, Node: i})
				}
				r = r.Repair(p, nil, bans...)
			}
			if diff := cmp.Diff(tc.want, placed(p, r)); diff != "" {
				t.Errorf("members (-want,+got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantLeft, r.Left); diff != "" {
				t.Errorf("left (-want,+got):\n%s", diff)
			}
			if r.Reject != nil && r.Reject.Code != fit.NotNow {
				t.Errorf("rejected for good because of a refusal that may be gone in the next session: %+v", *r.Reject)
			}
			got := [...]any{r.Required, r.Repairs, r.Domain, r.Reject != nil}
			want := [...]any{tc.wantRequired, tc.wantRepairs, tc.wantDomain, tc.wantReject}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("required, repairs, domain, rejected (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestRepairPlansAroundMembersThatHaveTheirPlace(t *testing.T) {
	p := poolOf(packing.Binpack, node("n1", 2), node("n2", 2), node("n3", 0))
	g := gangOf(p, 4, role{count: 5, shape: shape(1, quarter)})
	r := gang.Plan(p, g)
	first := r.Members[0]
	if _, ok := p.Place(first.Node, g.Roles[0].Shape); !ok {
		t.Fatal("the first member does not fit on its planned node")
	}
	n2, _ := p.Index("n2")
	r = r.Repair(p, func(uid string) bool { return uid == first.UID }, gang.Ban{Role: 0, Node: n2})
	if diff := cmp.Diff([]string{"a-1@n1", "a-2@n3", "a-3@n3", "a-4@n3"}, placed(p, r)); diff != "" {
		t.Errorf("members (-want,+got):\n%s", diff)
	}
	if r.Required != 3 {
		t.Errorf("required: got %d, want 3: four less the one that is placed", r.Required)
	}
}
