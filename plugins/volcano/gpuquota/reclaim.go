package gpuquota

import (
	"cmp"
	"math"
	"slices"

	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/plugins/util"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
)

// preemptive says whether a queue may take from others for a task.
func (p *plugin) preemptive(obj, candidate any) bool {
	queue, okQueue := obj.(*api.QueueInfo)
	task, okTask := candidate.(*api.TaskInfo)
	if !okQueue || !okTask {
		return false
	}
	verdict := p.tree.MayReclaim(p.books.queues, queue.Name, p.ask(task))
	if !verdict.OK() {
		p.quota.adapter.Log().V(4).Info("Queue may not reclaim", "queue", queue.Name, "task", task.Name, "verdict", verdict.String())
	}
	return verdict.OK()
}

// reclaimable says which pods of other queues may make room. Volcano evicts only whom all plugins of
// the tier agree on. It has no say about pods without devices, and none for a reclaimer without.
//
// It also puts the list in order, which the plugins after it in the tier are given too: they count down
// what a queue has too much of, pod by pod, and would otherwise agree on other pods than this one.
func (p *plugin) reclaimable(reclaimer *api.TaskInfo, reclaimees []*api.TaskInfo) ([]*api.TaskInfo, int) {
	ask := p.ask(reclaimer)
	if ask.IsZero() || !p.tree.Limited() {
		return nil, util.Abstain
	}
	var victims []*api.TaskInfo
	var candidates []quota.Candidate
	byID, gangs := map[string]*api.TaskInfo{}, map[string]quota.Gang{}
	for _, task := range reclaimees {
		job := p.ssn.Jobs[task.Job]
		if job == nil {
			continue
		}
		charge := p.charge(task)
		if charge.IsZero() {
			victims = append(victims, task)
			continue
		}
		c := candidate(task, string(job.Queue), charge)
		candidates, byID[c.ID] = append(candidates, c), task
		gangs[c.Job] = quota.Gang{Spare: int(job.ReadyTaskNum() - job.MinAvailable), Charge: p.jobs[job.UID]}
	}
	place := map[*api.TaskInfo]int{}
	for i, c := range quota.Rank(candidates, gangs) {
		place[byID[c.ID]] = i - len(candidates)
	}
	slices.SortStableFunc(reclaimees, func(a, b *api.TaskInfo) int { return cmp.Compare(place[a], place[b]) })
	for _, v := range p.tree.Victims(p.books.queues, p.queueOf(reclaimer), ask, candidates, gangs) {
		victims = append(victims, byID[v.ID])
	}
	return victims, util.Permit
}

func candidate(task *api.TaskInfo, queue string, charge quota.Vector) quota.Candidate {
	c := quota.Candidate{
		ID: string(task.UID), Queue: queue, Job: string(task.Job), Charge: charge, Priority: task.Priority, Created: math.MaxInt64,
	}
	if !task.Pod.CreationTimestamp.IsZero() {
		c.Created = task.Pod.CreationTimestamp.UnixNano()
	}
	return c
}

// queueOrder serves the queue with the smaller share of its devices first. Queue priorities stand
// before it.
func (p *plugin) queueOrder(l, r any) int {
	first, okFirst := l.(*api.QueueInfo)
	second, okSecond := r.(*api.QueueInfo)
	if !okFirst || !okSecond {
		return 0
	}
	if a, b := first.Queue.Spec.Priority, second.Queue.Spec.Priority; a != b {
		return int(b) - int(a)
	}
	if !p.tree.Limited() {
		return 0
	}
	return p.tree.Order(p.books.queues, first.Name, second.Name)
}
