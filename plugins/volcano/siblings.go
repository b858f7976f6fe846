package volcano

import (
	"slices"
	"sync"

	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// siblings knows which cards the pods of a group have, for groups whose pods must not share cards. They
// are kept apart by what every request has anyway: the list of cards that it excludes.
type siblings struct {
	ledger *ledger.Ledger
	jobs   map[api.JobID]*api.JobInfo

	mu     sync.Mutex
	groups map[api.JobID]*group // guarded by mu, with all in them
}

// group is the cards of one job's pods.
type group struct {
	held map[string][]string // UUIDs by pod UID
	// apart are the requests that exclude the cards, until those change.
	apart map[*request.Pod]*request.Pod
}

func newSiblings(l *ledger.Ledger, jobs map[api.JobID]*api.JobInfo) *siblings {
	return &siblings{ledger: l, jobs: jobs, groups: map[api.JobID]*group{}}
}

// apart returns the request of a pod without the cards that other pods of its job have. It is safe for
// the parallel predicates.
func (s *siblings) apart(task *api.TaskInfo, r *request.Pod) *request.Pod {
	if !r.Policy.Apart || s.jobs[task.Job] == nil {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[task.Job]
	if g == nil {
		g = s.collect(s.jobs[task.Job])
		s.groups[task.Job] = g
	}
	uid := podUID(task.Pod)
	if _, own := g.held[uid]; own {
		return r.Without(g.others(uid))
	}
	if g.apart[r] == nil {
		g.apart[r] = r.Without(g.others(uid))
	}
	return g.apart[r]
}

// collect asks the ledger for the cards of a job's pods.
func (s *siblings) collect(job *api.JobInfo) *group {
	g := &group{held: map[string][]string{}, apart: map[*request.Pod]*request.Pod{}}
	for _, task := range job.Tasks {
		if a, _, ok := s.ledger.Held(podUID(task.Pod)); ok {
			g.held[podUID(task.Pod)] = uuidsOf(a)
		}
	}
	return g
}

// took notes the cards that a pod got.
func (s *siblings) took(task *api.TaskInfo, a wire.Allocation) {
	s.change(task, func(g *group) { g.held[podUID(task.Pod)] = uuidsOf(a) })
}

// gave notes that a pod has no cards any more. A victim keeps them until it is gone.
func (s *siblings) gave(task *api.TaskInfo) {
	s.change(task, func(g *group) { delete(g.held, podUID(task.Pod)) })
}

func (s *siblings) change(task *api.TaskInfo, apply func(*group)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[task.Job]; g != nil {
		apply(g)
		clear(g.apart)
	}
}

// others returns the cards of all pods but one, in order.
func (g *group) others(uid string) []string {
	var uuids []string
	for pod, cards := range g.held {
		if pod != uid {
			uuids = append(uuids, cards...)
		}
	}
	slices.Sort(uuids)
	return slices.Compact(uuids)
}

func uuidsOf(a wire.Allocation) []string {
	var uuids []string
	for _, all := range a.Containers {
		for _, s := range all {
			uuids = append(uuids, s.UUID)
		}
	}
	return uuids
}
