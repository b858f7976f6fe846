package volcano

import (
	"reflect"
	"time"

	v1 "k8s.io/api/core/v1"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/plugins/volcano/actions"
)

// reservationSlack is how much longer than the longest grace period of the pods that leave devices wait
// for their pod: kubelets need time to kill, and watches to tell.
const reservationSlack = 60 * time.Second

// devices answers the actions' questions from the ledger.
type devices struct{ *Adapter }

var _ actions.Devices = devices{}

// Try implements actions.Devices.
func (d devices) Try(task *api.TaskInfo, node string, candidates []*api.TaskInfo) actions.Trial {
	r, p := d.requests.of(task.Pod).pod, d.session.Load()
	if r == nil || p == nil {
		return nil
	}
	uids := make([]string, len(candidates))
	for i, c := range candidates {
		uids[i] = podUID(c.Pod)
	}
	return d.ledger.Try(podUID(task.Pod), node, p.siblings.apart(task, r), uids)
}

// Alike implements actions.Devices.
func (d devices) Alike(a, b *api.TaskInfo) bool {
	return reflect.DeepEqual(d.requests.of(a.Pod).pod, d.requests.of(b.Pod).pod)
}

// LookAhead implements actions.Devices.
func (d devices) LookAhead(on bool) {
	if p := d.session.Load(); p != nil {
		p.lookAhead = on
	}
}

// Reserved implements actions.Devices.
func (d devices) Reserved(task *api.TaskInfo) (string, bool) {
	return d.ledger.Reserved(podUID(task.Pod))
}

// Reserve implements actions.Devices.
func (d devices) Reserve(tasks []*api.TaskInfo, leaving []*v1.Pod) {
	until := d.clock.Now().Add(d.longestGrace(leaving) + reservationSlack).Unix()
	for _, task := range tasks {
		if d.requests.of(task.Pod).pod == nil {
			continue
		}
		if err := d.ledger.Reserve(podUID(task.Pod), until); err != nil {
			d.log.Error(err, "Devices are not reserved", "pod", podRef(task), "node", task.NodeName)
			continue
		}
		d.log.V(2).Info("Devices reserved", "pod", podRef(task), "node", task.NodeName)
	}
}

// longestGrace returns how long the pods may take to be gone.
func (d devices) longestGrace(pods []*v1.Pod) (longest time.Duration) {
	for _, pod := range pods {
		grace := time.Duration(v1.DefaultTerminationGracePeriodSeconds) * time.Second
		switch {
		case pod.DeletionTimestamp != nil:
			// It already includes the grace period.
			grace = pod.DeletionTimestamp.Sub(d.clock.Now())
		case pod.Spec.TerminationGracePeriodSeconds != nil:
			grace = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
		}
		longest = max(longest, grace)
	}
	return longest
}

// Unreserve implements actions.Devices.
func (d devices) Unreserve(task *api.TaskInfo, why string) {
	d.log.Info("Reservation ended", "pod", podRef(task), "why", why)
	d.ledger.Unreserve(podUID(task.Pod))
}
