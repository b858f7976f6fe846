package volcano

import (
	"sort"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// defaultPolicies returns the policy for what a pod leaves open: that of its queue, else that of the
// plugin's arguments. Queues are read once per session.
func (p *plugin) defaultPolicies(ssn *framework.Session) func(*v1.Pod) request.Policy {
	queues := make(map[api.QueueID]request.Policy, len(ssn.Queues))
	for id, queue := range ssn.Queues {
		if queue.Queue == nil {
			continue
		}
		own, errs := request.ParsePolicy(field.NewPath("metadata", "annotations"), queue.Queue.Annotations, request.QueuePolicyKeys())
		for _, err := range errs {
			p.adapter.complain("Policy of a queue is refused, it counts as not set", "queue "+queue.Name, err)
		}
		queues[id] = own.Or(p.settings.policy)
	}
	jobs, fallback := ssn.Jobs, p.settings.policy
	return func(pod *v1.Pod) request.Policy {
		job := jobs[api.JobID(pod.Namespace+"/"+pod.Annotations[v1beta1.KubeGroupNameAnnotationKey])]
		if job == nil {
			return fallback
		}
		policy, known := queues[job.Queue]
		if !known {
			policy = fallback
		}
		return p.groupPolicy(job).Or(policy)
	}
}

// groupPolicy returns what a PodGroup says for its pods.
func (p *plugin) groupPolicy(job *api.JobInfo) request.Policy {
	if job.PodGroup == nil {
		return request.Policy{}
	}
	policy, errs := request.ParsePolicy(field.NewPath("metadata", "annotations"), job.PodGroup.Annotations, request.GroupPolicyKeys())
	for _, err := range errs {
		p.adapter.complain("Policy of a PodGroup is refused, it counts as not set", "podgroup "+string(job.UID), err)
	}
	return policy
}

// nodeRanks orders the nodes of a session by name, as fractions of the smallest step of a score: of
// nodes that are liked alike the first one by name wins.
type nodeRanks struct {
	nodes map[string]*api.NodeInfo
	once  sync.Once
	ranks map[string]float64
}

func newNodeRanks(ssn *framework.Session) *nodeRanks { return &nodeRanks{nodes: ssn.Nodes} }

// of returns the rank of a node, at least zero and below one. It is safe for parallel use.
func (r *nodeRanks) of(node string) float64 {
	r.once.Do(r.fill)
	return r.ranks[node]
}

// fill sorts only when the first node is scored: most sessions place nothing.
func (r *nodeRanks) fill() {
	names := make([]string, 0, len(r.nodes))
	for name := range r.nodes {
		names = append(names, name)
	}
	sort.Strings(names)
	r.ranks = make(map[string]float64, len(names))
	for i, name := range names {
		r.ranks[name] = float64(len(names)-1-i) / float64(len(names))
	}
}
