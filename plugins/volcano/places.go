package volcano

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"volcano.sh/volcano/pkg/scheduler/api"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

// placeKept is how long a member of a gang keeps its devices after its Binding failed.
const placeKept = 60 * time.Second

// places remembers, between a commit and its outcome, which pods belong to gangs. Binding is per pod:
// when some members are bound and others fail, those must find their devices again, or the gang stays
// torn. A pod that is alone goes where it can.
type places struct {
	ledger *ledger.Ledger
	clock  clock.PassiveClock

	mu sync.Mutex
	// members are committed pods of gangs. Guarded by mu.
	members map[string]bool
	// kept are pods whose Binding failed since the last session. Guarded by mu.
	kept map[string]bool
}

func newPlaces(l *ledger.Ledger, c clock.PassiveClock) *places {
	return &places{ledger: l, clock: c, members: map[string]bool{}, kept: map[string]bool{}}
}

// committed notes a pod that is handed to the Binder.
func (p *places) committed(uid string, gang bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gang {
		p.members[uid] = true
	}
}

// over forgets a pod that is bound, gone, or was not sent to be bound.
func (p *places) over(uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, uid)
}

// failed takes the devices of a pod back that was not bound for a cause, or keeps them for it.
func (p *places) failed(uid string, cause error) {
	p.mu.Lock()
	gang := p.members[uid]
	delete(p.members, uid)
	keep := gang && !errors.IsNotFound(cause)
	if keep {
		p.kept[uid] = true
	}
	p.mu.Unlock()
	if !keep || p.ledger.Reserve(uid, p.clock.Now().Add(placeKept).Unix()) != nil {
		p.ledger.Release(uid)
	}
}

// review decides over the pods of a job whose Binding failed: where nothing of the job is placed there is
// nothing to keep together, and the job may go elsewhere.
func (p *places) review(job *api.JobInfo) {
	for _, task := range pendingTasks(job) {
		uid := podUID(task.Pod)
		p.mu.Lock()
		kept := p.kept[uid]
		delete(p.kept, uid)
		p.mu.Unlock()
		if kept && job.ReadyTaskNum() == 0 {
			p.ledger.Unreserve(uid)
		}
	}
}
