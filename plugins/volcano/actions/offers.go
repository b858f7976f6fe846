package actions

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"k8s.io/client-go/util/workqueue"
	"volcano.sh/volcano/cmd/scheduler/app/options"
	"volcano.sh/volcano/pkg/scheduler/api"
	commonutil "volcano.sh/volcano/pkg/util"
)

// nodeWorkers is how many nodes are judged at once, as in Volcano's own actions.
const nodeWorkers = 16

// offer is the cheapest way to place one task of a kind on one node.
type offer struct {
	node    *api.NodeInfo
	victims []*api.TaskInfo
	// rest are further candidates, for a queue that has to shrink before it may grow.
	rest []*api.TaskInfo
	cost cost
	// epoch is when the offer was computed.
	epoch int
	// closed: there is no way, or it failed when it was tried.
	closed bool
}

// kind is the tasks of a job that are alike, and the offers for them: members of a gang mostly differ in
// nothing but their names, and each placement changes few nodes.
type kind struct {
	first  *api.TaskInfo
	offers []*offer
}

// kindOf returns the kind of a task.
func (c *contest) kindOf(task *api.TaskInfo) *kind {
	for _, k := range c.kinds {
		if c.alike(k.first, task) {
			return k
		}
	}
	k := &kind{first: task}
	for _, node := range c.suitable(task) {
		k.offers = append(k.offers, &offer{node: node, epoch: -1})
	}
	c.kinds = append(c.kinds, k)
	return k
}

// alike reports whether what suits one task suits the other.
func (c *contest) alike(a, b *api.TaskInfo) bool {
	if a.TaskRole != b.TaskRole || a.Priority != b.Priority || !a.InitResreq.Equal(b.InitResreq, api.Zero) ||
		!c.devices.Alike(a, b) {
		return false
	}
	s, o := &a.Pod.Spec, &b.Pod.Spec
	return reflect.DeepEqual(s.NodeSelector, o.NodeSelector) && reflect.DeepEqual(s.Affinity, o.Affinity) &&
		reflect.DeepEqual(s.Tolerations, o.Tolerations) && reflect.DeepEqual(s.Volumes, o.Volumes) &&
		reflect.DeepEqual(s.TopologySpreadConstraints, o.TopologySpreadConstraints)
}

// suitable returns the nodes on which evictions could help the task, by name.
func (c *contest) suitable(task *api.TaskInfo) []*api.NodeInfo {
	if c.ssn.PrePredicateFn(task) != nil {
		return nil
	}
	nodes := c.nodes()
	if errs := c.job.NodesFitErrors[task.UID]; errs != nil {
		never := errs.GetUnschedulableAndUnresolvableNodes()
		nodes = slices.DeleteFunc(nodes, func(n *api.NodeInfo) bool { _, no := never[n.Name]; return no })
	}
	good := make([]bool, len(nodes))
	workqueue.ParallelizeUntil(context.Background(), nodeWorkers, len(nodes), func(i int) {
		good[i] = c.ssn.PredicateForPreemptAction(task, nodes[i]) == nil
	})
	var suitable []*api.NodeInfo
	for i := range nodes {
		if good[i] {
			suitable = append(suitable, nodes[i])
		}
	}
	return suitable
}

// nodes returns the nodes that this scheduler may use, by name.
func (c *contest) nodes() []*api.NodeInfo {
	nodes := slices.Clone(c.ssn.NodeList)
	if options.ServerOpts != nil && options.ServerOpts.ShardingMode == commonutil.HardShardingMode {
		nodes = slices.DeleteFunc(nodes, func(n *api.NodeInfo) bool { return !c.ssn.NodesInShard.Has(n.Name) })
	}
	slices.SortFunc(nodes, func(a, b *api.NodeInfo) int { return cmp.Compare(a.Name, b.Name) })
	return nodes
}

// foreign reports whether the node should be left to another scheduler while there is another.
func (c *contest) foreign(node *api.NodeInfo) bool {
	return options.ServerOpts != nil && options.ServerOpts.ShardingMode == commonutil.SoftShardingMode &&
		c.ssn.NodesInShard != nil && !c.ssn.NodesInShard.Has(node.Name)
}

// best returns the cheapest offer for a task of the kind, nil if there is none.
func (c *contest) best(k *kind, task *api.TaskInfo) *offer {
	for {
		c.refresh(k, task)
		var best *offer
		for _, o := range k.offers {
			if !o.closed && (best == nil || o.cost.compare(best.cost) < 0) {
				best = o
			}
		}
		if best == nil || c.stands(best, task) {
			return best
		}
		c.compute(best, task)
	}
}

// refresh computes the offers of nodes that are new or have changed.
func (c *contest) refresh(k *kind, task *api.TaskInfo) {
	var stale []*offer
	for _, o := range k.offers {
		if !o.closed && (o.epoch < 0 || c.nodeChanged[o.node.Name] > o.epoch) {
			stale = append(stale, o)
		}
	}
	workqueue.ParallelizeUntil(context.Background(), c.rules.workers, len(stale), func(i int) { c.compute(stale[i], task) })
}

func (c *contest) compute(o *offer, task *api.TaskInfo) {
	var ok bool
	o.victims, o.rest, o.cost, ok = c.victims(task, o.node)
	o.epoch, o.closed = c.epoch, !ok
}

// stands reports whether an offer is as it was computed: evictions elsewhere change what jobs and queues
// can spare.
func (c *contest) stands(o *offer, task *api.TaskInfo) bool {
	if o.epoch == c.epoch || len(o.victims) == 0 {
		return true
	}
	for _, v := range o.victims {
		if c.jobChanged[v.Job] > o.epoch {
			return false
		}
	}
	return len(c.together(task, o.victims)) == len(o.victims)
}
