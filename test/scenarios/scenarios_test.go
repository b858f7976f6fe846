package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

func TestMalformedRowsAreRefusedWithTheFieldNamed(t *testing.T) {
	tests := map[string]struct {
		text string
		want string
	}{
		"misspelt field":         {text: "- {name: a, nodez: []}", want: `unknown field "nodez"`},
		"field given twice":      {text: "- {name: a, name: b}", want: `"name" already set`},
		"step of two things":     {text: "- {name: a, steps: [{sessions: 1, expect: {p: {}}}]}", want: "rows[a].steps[0]: Invalid value: [\"sessions\",\"expect\"]"},
		"empty step":             {text: "- {name: a, steps: [{}]}", want: "a step is exactly one thing"},
		"row that cannot fail":   {text: "- {name: a, steps: [{sessions: 1}]}", want: "a row that expects nothing cannot fail"},
		"unknown runner":         {text: "- {name: a, skip: {slurm: no}, steps: [{evicted: []}]}", want: `rows[a].skip: Unsupported value: "slurm"`},
		"skipped without reason": {text: "- {name: a, skip: {core: ''}, steps: [{evicted: []}]}", want: "rows[a].skip[core]: Required value"},
		"card that is not there": {text: "- {name: a, nodes: [{name: n, cards: 1, but: {n-1: {}}}], steps: [{evicted: []}]}", want: `nodes[0].but: Unsupported value: "n-1"`},
		"pod and job":            {text: "- {name: a, steps: [{submit: {pod: p, job: q}}, {evicted: []}]}", want: "is a pod or a job"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

// recorder collects what a run reports.
type recorder struct {
	testing.TB
	messages []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.messages = append(r.messages, fmt.Sprintf(format, args...))
}

// fixed is a runner and a cluster whose pods fare as the test says.
type fixed struct {
	Cluster
	pods map[string]Outcome
}

func (f fixed) Name() string                   { return "core" }
func (f fixed) Start(testing.TB, *Row) Cluster { return f }
func (f fixed) SetNode(*v1.Node)               {}
func (f fixed) Submit([]*Group, []*v1.Pod)     {}
func (f fixed) Session()                       {}
func (f fixed) Pods() map[string]Outcome       { return f.pods }
func (f fixed) Evictions() []string            { return []string{"b"} }
func (f fixed) Uses() map[string]Use           { return nil }
func (f fixed) Capacities() map[string]Use {
	return map[string]Use{"n1-0": {Shares: 2, Memory: 100, Cores: 100}}
}

func slice(memory device.MiB) map[string][]wire.Slice {
	return map[string][]wire.Slice{"main": {{UUID: "n1-0", Memory: memory}}}
}

func TestWhatARowDoesNotExpectIsReported(t *testing.T) {
	placed := map[string]Outcome{
		"a-0": {Node: "n1", Slices: slice(60)},
		"a-1": {Reason: "insufficient device memory: 20 MiB short"},
		"b":   {Node: "n1", Slices: slice(60)},
	}
	tests := map[string]struct {
		step string
		want string // empty: nothing is reported
	}{
		"as expected":             {step: "expect: {a: {placed: 1, nodes: [n1], cards: [n1-0], distinct: 1, pending: [memory, 20 MiB]}}"},
		"placed in part":          {step: "expect: {a: {}}", want: "1 of 2 pods are placed, want 2"},
		"placed at all":           {step: "expect: {b: {pending: []}}", want: "1 of 1 pods are placed, want 0"},
		"another reason":          {step: "expect: {a: {placed: 1, pending: [insufficient device cores]}}", want: "no pod gives all of"},
		"another node":            {step: "expect: {b: {nodes: [n2]}}", want: "nodes (-want,+got)"},
		"another card":            {step: "expect: {b: {cards: [n1-1]}}", want: "cards (-want,+got)"},
		"another number of cards": {step: "expect: {b: {distinct: 2}}", want: "has 1 cards"},
		"another container":       {step: "expect: {b: {containers: {other: [n1-0]}}}", want: "cards by container"},
		"another slice":           {step: "expect: {b: {each: {memory: 61}}}", want: "slice of container main on n1-0"},
		"another victim":          {step: "evicted: [none]", want: `evicted pods are ["b"], want []`},
		"other books":             {step: "use: {n1-0: {shares: 1}}", want: "use of n1-0"},
		"a card is sold twice":    {step: "sessions: 1", want: "card n1-0 has {Shares:2 Memory:100 Cores:100} and {Shares:2 Memory:120 Cores:0} of it are sold"},
		"a gang placed in part":   {step: "sessions: 1", want: "1 pods of group a are placed, which needs 2 together"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			rows, err := Decode([]byte(fmt.Sprintf(`
- name: row
  nodes: [{name: n1, cards: 1}]
  steps:
  - submit: {job: a, replicas: 2}
  - submit: {pod: b}
  - %s
  - evicted: [b]`, tc.step)))
			if err != nil {
				t.Fatal(err)
			}
			r := &recorder{TB: t}
			Run(r, fixed{pods: placed}, &rows[0], 0)
			got := strings.Join(r.messages, "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("reported %q, want %q", got, tc.want)
			}
		})
	}
}

// TestEveryIssueHasItsRow holds the list of issues against the rows: each row that an issue names is
// there and cites it, and each issue that a row cites is listed with that row.
func TestEveryIssueHasItsRow(t *testing.T) {
	topics, err := All()
	if err != nil {
		t.Fatal(err)
	}
	cites := map[string][]string{}
	for _, topic := range topics {
		for _, row := range topic.Rows {
			cites[row.Name] = row.Issues
		}
	}
	listed := map[string][]string{}
	for _, issue := range Issues {
		if (len(issue.Rows) == 0) == (issue.Elsewhere == "") {
			t.Errorf("issue %s needs either a row or a reason why none can hold it", issue.Numbers[0])
		}
		for _, number := range issue.Numbers {
			if listed[number] != nil {
				t.Errorf("issue %s is listed twice", number)
			}
			listed[number] = append([]string{}, issue.Rows...)
		}
		for _, name := range issue.Rows {
			if !slices.ContainsFunc(cites[name], func(n string) bool { return slices.Contains(issue.Numbers, n) }) {
				t.Errorf("row %q is not there, or does not cite one of %s", name, issue.Numbers)
			}
		}
	}
	for name, numbers := range cites {
		for _, number := range numbers {
			if !slices.Contains(listed[number], name) {
				t.Errorf("row %q cites %s, whose entry does not name the row", name, number)
			}
		}
	}
}
