package gpuquota

import (
	"fmt"
	"strconv"
	"sync"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/plugins/volcano"
)

// judge says whether a task that is charged v may be placed, by its queue, all parents, and its
// namespace.
func (p *plugin) judge(b books, task *api.TaskInfo, v quota.Vector) quota.Verdict {
	if verdict := p.tree.Allows(b.queues, p.queueOf(task), v); !verdict.OK() {
		return verdict
	}
	return p.spaces.allows(b, task.Pod, v)
}

// refuse makes a verdict the reason why a task is not placed.
func (p *plugin) refuse(task *api.TaskInfo, v quota.Verdict) {
	job := p.ssn.Jobs[task.Job]
	if job == nil {
		return
	}
	// The limit and who set it stay; what is used changes from second to second.
	key := string(v.Reason) + v.Owner + v.Quota + v.Dimension.String() + v.Problem + strconv.FormatUint(v.Limit, 10)
	p.quota.adapter.Refuse(job, task, key, v.String)
}

// allocatable is the wall: Volcano asks it before it looks for a node.
func (p *plugin) allocatable(_ *api.QueueInfo, task *api.TaskInfo) bool {
	ask := p.ask(task)
	if ask.IsZero() {
		return true
	}
	p.spaces.load(task.Namespace)
	verdict := p.judge(p.books, task, ask)
	if !verdict.OK() {
		p.refuse(task, verdict)
	}
	return verdict.OK()
}

// nodePools are the cards of each node, made when they are first asked for.
type nodePools struct {
	once   sync.Once
	byNode map[string]*quota.Pool // written once, then only read
}

func (n *nodePools) of(a *volcano.Adapter, node string) *quota.Pool {
	n.once.Do(func() {
		n.byNode = map[string]*quota.Pool{}
		a.Ledger().EachCard(func(name string, c fit.Card) {
			pool := n.byNode[name]
			if pool == nil {
				pool = &quota.Pool{}
				n.byNode[name] = pool
			}
			pool.Add(c)
		})
	})
	if pool := n.byNode[node]; pool != nil {
		return pool
	}
	return &quota.Pool{}
}

// predicate judges a task by the cards of one node, where cards differ from node to node: on smaller
// cards the same memory is a larger part of a card. It runs in parallel and only reads.
func (p *plugin) predicate(task *api.TaskInfo, node *api.NodeInfo) error {
	if !p.counted(task) {
		return nil
	}
	ask := quota.Ask(p.quota.adapter.Request(task.Pod), p.nodes.of(p.quota.adapter, node.Name))
	verdict := p.judge(p.books, task, ask)
	if verdict.OK() {
		return nil
	}
	return api.NewFitErrWithStatus(task, node, &api.Status{
		Code: api.Unschedulable, Reason: volcano.Plain(verdict.String()), Plugin: PluginName,
	})
}

// overused reports whether nothing that waits in a queue may be placed. Volcano then leaves the queue
// alone without a word, so the tasks are told here. Only the queue's own limits are judged: a parent's
// may change when a sibling gives back.
func (p *plugin) overused(obj any) bool {
	queue, ok := obj.(*api.QueueInfo)
	if !ok || p.tree.AllowsItself(p.books.queues, queue.Name, p.leastAsk(queue.UID)).OK() {
		return false
	}
	for _, job := range p.ssn.Jobs {
		if job.Queue != queue.UID {
			continue
		}
		for _, task := range job.TaskStatusIndex[api.Pending] {
			p.allocatable(queue, task)
		}
	}
	return true
}

// leastAsk is what every waiting task of a queue asks at least.
func (p *plugin) leastAsk(queue api.QueueID) quota.Vector {
	if least, known := p.least[queue]; known {
		return least
	}
	first, least := true, quota.Vector{}
	for _, job := range p.ssn.Jobs {
		if job.Queue != queue {
			continue
		}
		for _, task := range job.TaskStatusIndex[api.Pending] {
			ask := p.ask(task)
			if first {
				first, least = false, ask
			}
			least = least.Min(ask)
		}
	}
	p.least[queue] = least
	return least
}

// allocated charges what Volcano placed, or let off. Volcano replays events on clones of tasks and
// repeats them, so everything goes by UID. It is the last to refuse: some of Volcano's actions place
// without asking allocatable, and only now the cards are known.
func (p *plugin) allocated(event *framework.Event) {
	task := event.Task
	last, known := p.changed[task.UID]
	if known && last.charged || !known && volcano.LetOff(task) || !p.counted(task) {
		return
	}
	p.spaces.load(task.Namespace)
	if known && volcano.LetOff(task) {
		p.book(task, last.charge)
		return
	}
	charge := p.charge(task)
	if verdict := p.judge(p.books, task, charge); !verdict.OK() {
		p.refuse(task, verdict)
		event.Err = fmt.Errorf("charge quota: %s", verdict)
		return
	}
	p.book(task, charge)
}

func (p *plugin) book(task *api.TaskInfo, charge quota.Vector) {
	c := change{charge: charge, charged: true, spaces: p.spaces.of(task.Pod)}
	p.changed[task.UID] = c
	p.books.add(p, task, c)
	p.jobs[task.Job] = p.jobs[task.Job].Add(charge)
}

// deallocated takes back what allocated charged, or what a victim has.
func (p *plugin) deallocated(event *framework.Event) {
	task := event.Task
	last, known := p.changed[task.UID]
	if known && !last.charged || !known && !volcano.Evicted(task) || !p.counted(task) {
		return
	}
	if !known {
		p.spaces.load(task.Namespace)
		last = change{charge: p.charge(task), spaces: p.spaces.of(task.Pod)}
	}
	last.charged = false
	p.changed[task.UID] = last
	p.books.remove(p, task, last)
	p.jobs[task.Job] = p.jobs[task.Job].Sub(last.charge)
}

func (b books) add(p *plugin, task *api.TaskInfo, c change) {
	p.tree.Add(b.queues, p.queueOf(task), c.charge)
	for _, key := range c.spaces {
		b.spaces[key] = b.spaces[key].Add(c.charge)
	}
}

func (b books) remove(p *plugin, task *api.TaskInfo, c change) {
	p.tree.Remove(b.queues, p.queueOf(task), c.charge)
	for _, key := range c.spaces {
		b.spaces[key] = b.spaces[key].Sub(c.charge)
	}
}

// placed reports whether a pod of the API counts as having devices in the session, whatever its
// queue or scheduler.
func (p *plugin) placed(pod *v1.Pod) bool {
	if c, known := p.changed[api.TaskID(pod.UID)]; known {
		return c.charged
	}
	return pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil &&
		pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed
}
