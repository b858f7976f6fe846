package volcano

// This file holds what depends on the version of Volcano. It is written for v1.14.1.

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	k8sframework "k8s.io/kubernetes/pkg/scheduler/framework"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/cache"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

var _ framework.BindContextHandler = (*plugin)(nil)

// cycleState is the type of the state that SetupBindContextExtension gets; v1.15 moves it.
type cycleState = k8sframework.CycleState

// ignoreResources keeps names out of Volcano's own arithmetic, which would count per-card values
// once. It has to run before the cache starts: names that come later are missing from what was
// summed before. In v1.14.1 the cache only ever appends to the list.
func ignoreResources(names []string) { api.IgnoredDevicesList.Append(names...) }

// eventKind is what a session's event means for the books.
type eventKind int

const (
	eventHold eventKind = iota
	eventHoldFuture
	eventRestore
	eventRelease
	eventEvict
)

// allocateKind reads the task's status, which Statement sets before it fires the event: Allocated
// and Pipelined for placements, Running for a victim that is let off.
func allocateKind(task *api.TaskInfo) eventKind {
	switch task.Status {
	case api.Pipelined:
		return eventHoldFuture
	case api.Running, api.Bound:
		return eventRestore
	default:
		return eventHold
	}
}

// deallocateKind tells a victim (Releasing) from a placement that is undone.
func deallocateKind(task *api.TaskInfo) eventKind {
	if task.Status == api.Releasing {
		return eventEvict
	}
	return eventRelease
}

// LetOff reports whether an event that places a task lets off a victim that was running.
func LetOff(task *api.TaskInfo) bool { return allocateKind(task) == eventRestore }

// Evicted reports whether an event that takes a task away makes a victim of it.
func Evicted(task *api.TaskInfo) bool { return deallocateKind(task) == eventEvict }

// topologyDecisionKey is where Volcano's numaaware plugin leaves its decision in the pod of a task;
// v1.14.1 has no other way to carry it to the Binding.
const topologyDecisionKey = "volcano.sh/topology-decision"

// schedulerAnnotations are the annotations that the scheduler itself put on the task's pod and that
// the stock Binder would send. The pod's other annotations are the user's and stay out.
func schedulerAnnotations(task *api.TaskInfo) map[string]string {
	if task.NumaInfo == nil || len(task.NumaInfo.ResMap) == 0 {
		return nil
	}
	if v, ok := task.Pod.Annotations[topologyDecisionKey]; ok {
		return map[string]string{topologyDecisionKey: v}
	}
	return nil
}

// markUnfit makes a message the reason why a pending task is not placed. Volcano writes it into the
// pod's PodScheduled condition and, when that changes, into an event; it has no other way to show
// why a job is not valid. Precondition: called from the session's goroutine.
func markUnfit(job *api.JobInfo, uid api.TaskID, message string) {
	fe := api.NewFitErrors()
	fe.SetError(message)
	job.NodesFitErrors[uid] = fe
}

// annotateUnfit puts a detail between the count of nodes and the list of reasons.
func annotateUnfit(fe *api.FitErrors, detail string) {
	head, _, _ := strings.Cut(fe.Error(), ":")
	fe.SetError(head + ", " + detail)
}

// bindTask is what a bind context binds.
func bindTask(bc *cache.BindContext) *api.TaskInfo { return bc.TaskInfo }

// pendingTasks are the tasks that a session may place.
func pendingTasks(job *api.JobInfo) map[api.TaskID]*api.TaskInfo {
	return job.TaskStatusIndex[api.Pending]
}

// sortedPending are the pending tasks by name and UID.
func sortedPending(job *api.JobInfo) []*api.TaskInfo {
	return slices.SortedFunc(maps.Values(pendingTasks(job)), byName)
}

func byName(a, b *api.TaskInfo) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}

// wasUndone reports whether a pending task was placed in this session and taken back, as the members
// of a gang are that could not be placed whole.
func wasUndone(task *api.TaskInfo) bool {
	return task.LastTransaction != nil && task.LastTransaction.Status == api.Allocated
}

// annotateUndone tells such a task why. Volcano builds its message from the node of the undone
// placement, which is read nowhere else, and has no other place for a reason.
func annotateUndone(task *api.TaskInfo, why string) {
	last := *task.LastTransaction
	last.NodeName += " (its group waits: " + why + ")"
	task.LastTransaction = &last
}

// podUID is the key of a task in the ledger.
func podUID(pod *v1.Pod) string { return string(pod.UID) }
