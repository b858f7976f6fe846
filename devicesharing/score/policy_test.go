package score_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// chain parses a chain that is known to be right.
func chain(text string) score.CardPolicy {
	p, err := score.ParseCardPolicy(text)
	if err != nil {
		panic(err)
	}
	return p
}

func TestCardPoliciesAreChains(t *testing.T) {
	tests := map[string]struct {
		text string
		want string // the chain as it is written back
	}{
		"nothing is the default":                    {"", ""},
		"blanks and commas are nothing":             {" , ,", ""},
		"one policy":                                {"binpack", "binpack"},
		"keys keep their order":                     {"numa,spread", "numa,spread"},
		"all keys":                                  {"spread,numa,binpack", "spread,numa,binpack"},
		"blanks around names":                       {" numa , binpack ", "numa,binpack"},
		"repeated names count once":                 {"binpack,mutex,binpack,mutex,numa", "mutex,binpack,numa"},
		"conditions stand before the keys":          {"binpack,topology-aware,numa,mutex", "mutex,topology-aware,binpack,numa"},
		"a chain of conditions alone keeps no keys": {"topology-aware", "topology-aware"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := score.ParseCardPolicy(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, p.String()); diff != "" {
				t.Errorf("chain (-want,+got):\n%s", diff)
			}
			if again := chain(p.String()); again != p {
				t.Errorf("what is written back means %q, not %q", again, p)
			}
		})
	}
}

func TestChainsSayWhatTheyWant(t *testing.T) {
	p := chain("mutex,numa,binpack")
	if !p.Mutex() || p.Topology() || !p.Gathers() || p.Keys() != chain("numa,binpack") {
		t.Errorf("%q wants mutex %t, links %t, one NUMA node %t, order %q", p, p.Mutex(), p.Topology(), p.Gathers(), p.Keys())
	}
	if p := chain("topology-aware,binpack,numa"); p.Mutex() || !p.Topology() || p.Gathers() {
		t.Errorf("%q wants mutex %t, links %t, one NUMA node %t", p, p.Mutex(), p.Topology(), p.Gathers())
	}
}

func TestUnknownPoliciesAreRefused(t *testing.T) {
	if _, err := score.ParseCardPolicy("binpack,Spread"); err == nil || !strings.Contains(err.Error(), `"Spread"`) {
		t.Errorf("a card policy in capitals gives %v", err)
	}
	if p, err := score.ParseNodePolicy(" spread "); err != nil || p != score.NodeSpread {
		t.Errorf("a node policy with blanks is %q, %v", p, err)
	}
	if _, err := score.ParseNodePolicy("mutex"); err == nil || !strings.Contains(err.Error(), `"mutex"`) {
		t.Errorf("a card policy as node policy gives %v", err)
	}
}

func TestWeights(t *testing.T) {
	tests := map[string]struct {
		text    string
		want    score.Weights
		wantErr string // a part of the error
	}{
		"the published form":        {text: "slot=1,core=1,memory=3", want: score.Weights{Slot: 1, Core: 1, Memory: 3}},
		"any order, with blanks":    {text: " memory = 3, slot=0 ,core=2", want: score.Weights{Core: 2, Memory: 3}},
		"nothing":                   {text: "", wantErr: "must be slot=N,core=N,memory=N"},
		"one is missing":            {text: "slot=1,core=1", wantErr: "all three are needed"},
		"one is there twice":        {text: "slot=1,slot=1,core=1,memory=1", wantErr: `"slot" is none of them or repeated`},
		"one that is not published": {text: "slot=1,core=1,memory=1,numa=1", wantErr: `"numa"`},
		"a negative weight":         {text: "slot=-1,core=1,memory=1", wantErr: `slot is "-1"`},
		"a fraction":                {text: "slot=1,core=0.5,memory=1", wantErr: `core is "0.5"`},
		"a weight beyond all use":   {text: "slot=1,core=1000001,memory=1", wantErr: "from 0 to 1000000"},
		"a weight without a number": {text: "slot,core=1,memory=1", wantErr: `slot is ""`},
		"all zero":                  {text: "slot=0,core=0,memory=0", wantErr: "at least one must be above zero"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := score.ParseWeights(tc.text)
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("weights (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestWeightsShiftTheUse(t *testing.T) {
	used := device.Amount{Memory: 80000, Cores: 50}
	if got := (score.Weights{Memory: 1}).Use(used, whole); got != score.Full {
		t.Errorf("by memory alone the use is %d, want %d", got, score.Full)
	}
	if got := (score.Weights{Slot: 1, Core: 1, Memory: 3}).Use(used, whole); got != 700 {
		t.Errorf("the use is %d, want (3*1000 + 500 + 0) / 5", got)
	}
	if got := (score.Weights{Slot: 1}).Use(used, device.Amount{Memory: 80000}); got != 0 {
		t.Errorf("by what the card does not have the use is %d, want 0", got)
	}
}
