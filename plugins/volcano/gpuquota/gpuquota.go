package gpuquota

import (
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulingv1beta1 "volcano.sh/apis/pkg/apis/scheduling/v1beta1"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/plugins/volcano"
)

// PluginName is the name under which configurations list the plugin.
const PluginName = volcano.QuotaPluginName

// eventReason is the reason of events about queues.
const eventReason = "DeviceLimits"

// Quota is what outlives sessions.
type Quota struct {
	adapter *volcano.Adapter
	// told keeps what was logged and recorded once, by object and text.
	told sync.Map
}

// New makes the plugin's part that outlives sessions.
func New(a *volcano.Adapter) *Quota { return &Quota{adapter: a} }

// Register makes the plugin known to Volcano. Call it before Volcano's configuration is read.
func (q *Quota) Register() { framework.RegisterPluginBuilder(PluginName, q.Build) }

// Build makes the plugin of one session.
func (q *Quota) Build(args framework.Arguments) framework.Plugin {
	for name := range args {
		q.once("argument "+name, func() {
			q.adapter.Log().Info("Plugin argument has no effect", "plugin", PluginName, "argument", name)
		})
	}
	return &plugin{quota: q}
}

// once runs what for a key that it has not seen.
func (q *Quota) once(key string, what func()) {
	if _, known := q.told.LoadOrStore(key, true); !known {
		what()
	}
}

// warnQueue tells once, in the log and as an event of the queue, what is wrong with it.
func (q *Quota) warnQueue(name string, uid types.UID, problem string) {
	q.once(fmt.Sprintf("queue %s %s: %s", name, uid, problem), func() {
		q.adapter.Log().Info("Queue needs attention", "queue", name, "problem", problem)
		if r := q.adapter.Recorder(); r != nil {
			r.Event(&v1.ObjectReference{
				APIVersion: schedulingv1beta1.SchemeGroupVersion.String(), Kind: "Queue", Name: name, UID: uid,
			}, v1.EventTypeWarning, eventReason, problem)
		}
	})
}
