package volcano

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// This file is what the process's other plugins may ask of the adapter.

// QuotaPluginName is the name under which configurations list the plugin of queue quotas.
const QuotaPluginName = "gpuquota"

// Ready attaches the ledger to the session's informers once and waits for its first fill. It returns
// why devices cannot be scheduled yet, or "".
func (a *Adapter) Ready(factory informers.SharedInformerFactory) string { return a.ready(factory) }

// SwitchedOff reports whether the configuration turns device sharing off.
func (a *Adapter) SwitchedOff() bool { return a.switchedOff.Load() }

// Request returns what a pod asks for; nil when it asks for no devices, or in a way that is refused.
func (a *Adapter) Request(pod *v1.Pod) *request.Pod { return a.requests.of(pod).pod }

// Recorder receives events about objects that no session reports on; it may be nil.
func (a *Adapter) Recorder() record.EventRecorder { return a.recorder }

// Log is the logger of the process.
func (a *Adapter) Log() klog.Logger { return a.log }

// Refuse makes a text the reason why a pending task is not placed. Of texts with the same reason the
// first is kept for a while, so that numbers that change do not make a message each. Precondition:
// called from the session's goroutine.
func (a *Adapter) Refuse(job *api.JobInfo, task *api.TaskInfo, reason string, text func() string) {
	message := a.texts.of(kindOf(task)+"\x00refused", reason, func() string { return plain(text()) })
	markUnfit(job, task.UID, message)
	a.final.Store(task.UID, job.NodesFitErrors[task.UID])
	if job.JobFitErrors == "" {
		job.JobFitErrors = message
	}
}

// RefuseJob is Refuse for a job whose pods may not exist yet. It returns the message.
func (a *Adapter) RefuseJob(job *api.JobInfo, reason string, text func() string) string {
	message := a.texts.of(string(job.UID)+"\x00refused", reason, func() string { return plain(text()) })
	job.JobFitErrors = message
	return message
}

// isFinal reports whether a task's reason was given by Refuse.
func (a *Adapter) isFinal(uid api.TaskID, fe *api.FitErrors) bool {
	final, ok := a.final.Load(uid)
	return ok && final == fe
}
