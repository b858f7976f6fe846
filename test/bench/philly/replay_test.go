package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTraceIsReadByTimeOfArrival(t *testing.T) {
	tests := map[string]struct {
		text    string
		want    []job
		wantErr string
	}{
		"jobs without cards are dropped, the rest is sorted": {
			text: "job_id,user,num_gpu,submit_time,duration\nb,u,2,3,5\na,u,1,1,7\nc,u,0,0,1\n",
			want: []job{{id: "a", cards: 1, submit: 60, duration: 420}, {id: "b", cards: 2, submit: 180, duration: 300}},
		},
		"a number that is none names line, column and value": {
			text:    "job_id,num_gpu,submit_time,duration\na,1,0,1\nb,1,x,1\n",
			wantErr: `line 3: submit_time: "x" is no number of zero or more`,
		},
		"a column that is not there is named": {
			text:    "job_id,submit_time,duration\na,0,1\n",
			wantErr: "line 2: no column num_gpu",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := trace{unit: 60}.parse(strings.NewReader(tc.text))
			if message := fmt.Sprint(err); err != nil && message != tc.wantErr || err == nil && tc.wantErr != "" {
				t.Fatalf("error: got %q, want %q", message, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(job{})); diff != "" {
				t.Errorf("jobs (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestJobsAreCutIntoPods(t *testing.T) {
	c := cluster{nodes: 9, cards: 8}
	tests := map[string]struct {
		cards    int
		together bool
		want     []int
	}{
		"up to a node in one pod":            {cards: 4, together: true, want: []int{4}},
		"up to a node in pods of one card":   {cards: 4, want: []int{1, 1, 1, 1}},
		"a whole node in pods of one card":   {cards: 8, want: []int{1, 1, 1, 1, 1, 1, 1, 1}},
		"above a node in pods of a node":     {cards: 16, want: []int{8, 8}},
		"the rest of a large job is one pod": {cards: 12, want: []int{8, 4}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, c.pods(tc.cards, tc.together)); diff != "" {
				t.Errorf("pods (-want,+got):\n%s", diff)
			}
		})
	}
}

// placers are all placements, on idle nodes.
func placers(c cluster, together bool) map[string]placer {
	return map[string]placer{
		"planned":  newPlanned(c, together),
		"fullest":  newGreedy(c, fullest, together, 1),
		"emptiest": newGreedy(c, emptiest, together, 1),
		"any":      newGreedy(c, anyNode, together, 1),
	}
}

func TestReplayTimesJobsAndIdleCards(t *testing.T) {
	jobs := []job{
		{id: "a", cards: 2, submit: 0, duration: 10},
		{id: "b", cards: 2, submit: 1, duration: 5}, // waits for a
		{id: "c", cards: 1, submit: 2, duration: 3}, // passes b
	}
	for name, p := range placers(cluster{nodes: 1, cards: 3}, true) {
		t.Run(name, func(t *testing.T) {
			got, err := run(jobs, 3, p)
			if err != nil {
				t.Fatal(err)
			}
			// One card is idle while a runs, but for 2 to 5 when c has it, and one while b runs. b waits from 1 to 10.
			want := outcome{completion: []seconds{3, 10, 14}, idle: 7 + 5, idleWaiting: 6}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("outcome (-want,+got):\n%s", diff)
			}
			if got.mean() != 9 || got.p99() != 14 {
				t.Errorf("mean %g and p99 %g, want 9 and 14", got.mean(), got.p99())
			}
		})
	}
}

func TestReplayRefusesJobsThatNeverFit(t *testing.T) {
	for name, p := range placers(cluster{nodes: 1, cards: 2}, false) {
		t.Run(name, func(t *testing.T) {
			_, err := run([]job{{id: "a", cards: 5, duration: 1}}, 2, p)
			if want := "job a asks 5 cards and never fits on 2"; fmt.Sprint(err) != want {
				t.Errorf("error: got %v, want %s", err, want)
			}
		})
	}
}

func TestAJobIsPlacedWhollyOrNotAtAll(t *testing.T) {
	for name, p := range placers(cluster{nodes: 2, cards: 2}, false) {
		t.Run(name, func(t *testing.T) {
			small := &job{id: "small", cards: 1}
			large := &job{id: "large", cards: 4}
			if !p.place(small) || p.place(large) {
				t.Fatal("the small job must fit, the large one beside it not")
			}
			p.end(small)
			if !p.place(large) {
				t.Error("the large job does not fit on the idle cluster: the refused one left something behind")
			}
		})
	}
}
