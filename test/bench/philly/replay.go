package main

import (
	"container/heap"
	"fmt"
	"slices"
)

// A placer decides where the pods of a job go. It owns the state of the cluster.
type placer interface {
	// place starts the job: on all the cards it asks, or on none.
	place(j *job) bool
	// end gives back the cards of a job that was placed.
	end(j *job)
}

// outcome is what one replay came to.
type outcome struct {
	completion []seconds // of each job, from submission to its end, ascending
	// idle are the card-seconds without a job from the first arrival to the last end; idleWaiting those
	// of them in which at least one job waited.
	idle, idleWaiting float64
}

// mean returns the mean job completion time.
func (o *outcome) mean() float64 {
	sum := 0.0
	for _, c := range o.completion {
		sum += float64(c)
	}
	return sum / float64(len(o.completion))
}

// p99 returns the completion time that 99 of 100 jobs do not exceed.
func (o *outcome) p99() float64 {
	return float64(o.completion[(len(o.completion)*99+99)/100-1])
}

// running orders the jobs that run by when they end; ties by arrival.
type running []ending

type ending struct {
	at  seconds
	job int
}

func (r running) Len() int { return len(r) }
func (r running) Less(i, k int) bool {
	return r[i].at < r[k].at || r[i].at == r[k].at && r[i].job < r[k].job
}
func (r running) Swap(i, k int) { r[i], r[k] = r[k], r[i] }
func (r *running) Push(x any)   { *r = append(*r, x.(ending)) }
func (r *running) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// replay is one run of a trace over a cluster.
type replay struct {
	jobs   []job
	placer placer
	cards  int

	now     seconds
	busy    int // cards
	arrived int // jobs, of the list
	waiting []int
	running running
	outcome outcome
}

// run replays jobs, sorted by arrival, on a cluster of that many cards. Whenever jobs arrived or ended,
// every job that waits is tried once, in the order of arrival, and one that finds no place lets the
// next one try, as Volcano's allocate does among jobs of one queue and priority.
func run(jobs []job, cards int, p placer) (outcome, error) {
	if len(jobs) == 0 {
		return outcome{}, fmt.Errorf("the trace has no jobs")
	}
	r := replay{jobs: jobs, placer: p, cards: cards, now: jobs[0].submit}
	for r.arrived < len(jobs) || len(r.running) > 0 {
		r.advance()
		r.schedule()
	}
	if len(r.waiting) > 0 {
		return outcome{}, fmt.Errorf("job %s asks %d cards and never fits on %d", jobs[r.waiting[0]].id, jobs[r.waiting[0]].cards, cards)
	}
	slices.Sort(r.outcome.completion)
	return r.outcome, nil
}

// advance goes to the next moment at which jobs arrive or end, and takes all of that moment.
func (r *replay) advance() {
	next := seconds(-1)
	if r.arrived < len(r.jobs) {
		next = r.jobs[r.arrived].submit
	}
	if len(r.running) > 0 && (next < 0 || r.running[0].at < next) {
		next = r.running[0].at
	}
	idle := float64(r.cards-r.busy) * float64(next-r.now)
	r.outcome.idle += idle
	if len(r.waiting) > 0 {
		r.outcome.idleWaiting += idle
	}
	r.now = next
	for len(r.running) > 0 && r.running[0].at <= r.now {
		j := &r.jobs[heap.Pop(&r.running).(ending).job]
		r.placer.end(j)
		r.busy -= j.cards
		r.outcome.completion = append(r.outcome.completion, r.now-j.submit)
	}
	for ; r.arrived < len(r.jobs) && r.jobs[r.arrived].submit <= r.now; r.arrived++ {
		r.waiting = append(r.waiting, r.arrived)
	}
}

// schedule tries every job that waits. While jobs only start, a number of cards that found no place
// finds none again.
func (r *replay) schedule() {
	failed := map[int]bool{}
	left := r.waiting[:0]
	for _, i := range r.waiting {
		j := &r.jobs[i]
		if failed[j.cards] || !r.placer.place(j) {
			failed[j.cards] = true
			left = append(left, i)
			continue
		}
		r.busy += j.cards
		heap.Push(&r.running, ending{at: r.now + j.duration, job: i})
	}
	r.waiting = left
}
