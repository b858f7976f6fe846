package gpuquota

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"volcano.sh/apis/pkg/apis/scheduling"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/plugins/util"

	"github.com/basalt-gpu/basalt/devicesharing/quota"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// conditionReason is the reason of the PodGroup condition of a job that may not enter its queue.
const conditionReason = "DeviceQuotaExceeded"

// queued is what the jobs of each queue will take beside what they have: waiting for jobs that were let
// in and have not placed their minimum yet, elastic for what jobs have above theirs, which their queue
// can take back.
type queued struct {
	waiting, elastic quota.Sums
}

// enqueueable judges the whole gang before Volcano makes its pods. It abstains from what it does not
// refuse: to let a job in is for the plugins that see cpu and memory too.
func (p *plugin) enqueueable(obj any) int {
	job, ok := obj.(*api.JobInfo)
	if !ok || job.PodGroup == nil {
		return util.Abstain
	}
	gang, problem := p.gang(job)
	if problem != "" {
		p.refuseJob(job, problem, func() string { return problem })
		return util.Reject
	}
	if gang.IsZero() {
		return util.Abstain
	}
	p.spaces.load(job.Namespace)
	verdict := p.tree.Allows(p.expected(), string(job.Queue), gang)
	if verdict.OK() {
		verdict = p.spaces.allowsGang(p.books, job.Namespace, gang)
	}
	if !verdict.OK() {
		p.refuseJob(job, string(verdict.Reason)+verdict.Owner+strconv.FormatUint(verdict.Limit, 10), func() string {
			return fmt.Sprintf("the least that the gang needs is refused: %s", verdict)
		})
		return util.Reject
	}
	p.tree.Add(p.queued.waiting, string(job.Queue), gang)
	return util.Abstain
}

// expected is what queues will have when all that was let in is placed.
func (p *plugin) expected() quota.Sums {
	if p.queued == nil {
		p.queued = p.findQueued()
	}
	sums := p.books.queues.Clone()
	for i := range sums {
		sums[i] = sums[i].Add(p.queued.waiting[i]).Sub(p.queued.elastic[i])
	}
	return sums
}

func (p *plugin) findQueued() *queued {
	q := &queued{waiting: p.tree.NewSums(), elastic: p.tree.NewSums()}
	for _, job := range p.ssn.Jobs {
		if job.PodGroup == nil {
			continue
		}
		has, inqueue := p.jobs[job.UID], job.PodGroup.Status.Phase == scheduling.PodGroupInqueue
		if has.IsZero() && !inqueue {
			continue
		}
		gang, _ := p.gang(job)
		if inqueue {
			p.tree.Add(q.waiting, string(job.Queue), gang.Sub(has))
		}
		if !gang.IsZero() {
			p.tree.Add(q.elastic, string(job.Queue), has.Sub(gang))
		}
	}
	return q
}

// gang is the least that a job needs in order to run: by its gang request, else by the pods that
// exist, else by its minimal resources, which count per-card amounts once and are too little.
func (p *plugin) gang(job *api.JobInfo) (charge quota.Vector, problem string) {
	if text, ok := job.PodGroup.Annotations[wire.GangRequestKey]; ok {
		request, err := wire.DecodeGangRequest(text)
		if err != nil {
			return quota.Vector{}, fmt.Sprintf("annotation %s is refused: %v", wire.GangRequestKey, err)
		}
		shapes := make([]quota.Shape, 0, len(request.Shapes))
		for _, s := range request.Shapes {
			shapes = append(shapes, quota.Shape{Charge: quota.Ask(s.Pod(), p.pool), Replicas: s.Replicas, MinAvailable: s.MinAvailable})
		}
		return quota.GangCharge(shapes, request.MinAvailable), ""
	}
	if len(job.Tasks) > 0 {
		return quota.GangCharge(p.shapes(job), int(job.MinAvailable)), ""
	}
	if list := job.PodGroup.Spec.MinResources; list != nil {
		return quota.ListCharge(*list, p.quota.adapter.Requests(), p.pool), ""
	}
	return quota.Vector{}, ""
}

// shapes are the pods of a job that exist, by role and by what they ask.
func (p *plugin) shapes(job *api.JobInfo) []quota.Shape {
	type role struct {
		name string
		ask  quota.Vector
	}
	counts := map[role]int{}
	for _, task := range job.Tasks {
		if task.Status != api.Failed && task.Status != api.Succeeded {
			counts[role{task.TaskRole, p.ask(task)}]++
		}
	}
	order := slices.SortedFunc(maps.Keys(counts), func(a, b role) int {
		return cmp.Or(cmp.Compare(a.name, b.name), slices.Compare(a.ask[:], b.ask[:]))
	})
	minimum := maps.Clone(job.TaskMinAvailable)
	shapes := make([]quota.Shape, 0, len(order))
	for _, r := range order {
		n := min(counts[r], int(minimum[r.name]))
		if n > 0 {
			minimum[r.name] -= int32(n)
		}
		shapes = append(shapes, quota.Shape{Charge: r.ask, Replicas: counts[r], MinAvailable: n})
	}
	return shapes
}

// refuseJob tells why a job may not enter its queue. Its pods may not exist, so the PodGroup says it.
func (p *plugin) refuseJob(job *api.JobInfo, key string, text func() string) {
	message := p.quota.adapter.RefuseJob(job, key, text)
	err := p.ssn.UpdatePodGroupCondition(job, &scheduling.PodGroupCondition{
		Type:               scheduling.PodGroupUnschedulableType,
		Status:             v1.ConditionTrue,
		LastTransitionTime: metav1.Now(),
		TransitionID:       string(p.ssn.UID),
		Reason:             conditionReason,
		Message:            message,
	})
	if err != nil {
		p.quota.adapter.Log().Error(err, "PodGroup condition cannot be set", "job", job.UID)
	}
}
