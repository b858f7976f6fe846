package ledger_test

import (
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// noted is the use that stands in an allocation for one slice.
func noted(s wire.Slice) ledger.Use {
	return ledger.Use{Slots: max(s.Shares, 1), Memory: s.Memory, Cores: s.Cores}
}

// oracle computes the use of every card from the pods of a snapshot alone, moment by moment, the slow
// way. requests are what the pods asked.
func oracle(pods []ledger.PodSnapshot, requests map[string]*request.Pod) (now, future map[string]ledger.Use) {
	now, future = map[string]ledger.Use{}, map[string]ledger.Use{}
	for _, p := range pods {
		for card, u := range peaks(p.Allocation, requests[p.UID]) {
			key := p.Node + "/" + card
			if !p.Future {
				now[key] = plus(now[key], u)
			}
			if p.State != ledger.Releasing && !p.Evicting {
				future[key] = plus(future[key], u)
			}
		}
	}
	return now, future
}

func plus(a, b ledger.Use) ledger.Use {
	return ledger.Use{Slots: a.Slots + b.Slots, Memory: a.Memory + b.Memory, Cores: a.Cores + b.Cores}
}

// peaks returns the largest use of each card over all sets of containers that run at the same time.
func peaks(a map[string][]wire.Slice, r *request.Pod) map[string]ledger.Use {
	var moments [][]string
	var sidecars, apps []string
	for _, c := range r.Containers {
		switch c.Kind {
		case request.Sidecar:
			sidecars = append(sidecars, c.Name)
		case request.Init:
			moments = append(moments, append(append([]string{}, sidecars...), c.Name))
		case request.App:
			apps = append(apps, c.Name)
		}
	}
	moments = append(moments, append(apps, sidecars...))
	peak := map[string]ledger.Use{}
	for _, m := range moments {
		sum := map[string]ledger.Use{}
		for _, name := range m {
			for _, s := range a[name] {
				sum[s.UUID] = plus(sum[s.UUID], noted(s))
			}
		}
		for card, u := range sum {
			p := peak[card]
			peak[card] = ledger.Use{Slots: max(p.Slots, u.Slots), Memory: max(p.Memory, u.Memory), Cores: max(p.Cores, u.Cores)}
		}
	}
	return peak
}

// check compares the sums with the oracle.
func check(t *testing.T, l *ledger.Ledger, requests map[string]*request.Pod) {
	t.Helper()
	s := l.Snapshot()
	wantNow, wantFuture := oracle(s.Pods, requests)
	gotNow, gotFuture := map[string]ledger.Use{}, map[string]ledger.Use{}
	for _, n := range s.Nodes {
		for _, c := range n.Cards {
			if c.Used != nothing {
				gotNow[n.Name+"/"+c.UUID] = c.Used
			}
			if c.Future != nothing {
				gotFuture[n.Name+"/"+c.UUID] = c.Future
			}
		}
	}
	if diff := cmp.Diff(wantNow, gotNow); diff != "" {
		t.Fatalf("now (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff(wantFuture, gotFuture); diff != "" {
		t.Fatalf("future (-want,+got):\n%s", diff)
	}
}

func randomRequest(rng *rand.Rand) *request.Pod {
	b := sharingtest.MakeRequest()
	amount := func() (device.MiB, device.CorePercent) {
		return device.MiB(1000 * (1 + rng.Intn(30))), device.CorePercent(10 * rng.Intn(6))
	}
	inits := rng.Intn(3) * rng.Intn(2)
	for i := range inits {
		m, c := amount()
		b.Ask(fmt.Sprintf("init-%d", i), []request.Kind{request.Init, request.Sidecar}[rng.Intn(2)], 1, m, c)
	}
	for i := range 1 + rng.Intn(2) {
		m, c := amount()
		b.Ask(fmt.Sprintf("app-%d", i), request.App, 1+rng.Intn(2), m, c)
	}
	r := b.Obj()
	r.Policy.Card = []score.CardPolicy{score.CardDefault, score.Mutex, score.Topology, score.NUMA}[rng.Intn(4)]
	return r
}

var nodeNames = []string{"n", "m", "o"}

// world is a ledger under random events, with what the API server would know.
type world struct {
	*ledger.Ledger
	rng      *rand.Rand
	requests map[string]*request.Pod
	// bound is what the API server knows. The watch may be late: a pod may be bound for long before the
	// ledger observes it, and older states of it may be observed again.
	bound map[string]ledger.PodState
	nodes map[string]int // cards by registered node
	// reserved are the time limits that the ledger should know; now is their clock.
	reserved map[string]int64
	now      int64
}

func newWorld(seed int64) *world {
	w := &world{Ledger: ledger.New(), rng: rand.New(rand.NewSource(seed)),
		requests: map[string]*request.Pod{}, bound: map[string]ledger.PodState{}, nodes: map[string]int{}, reserved: map[string]int64{}}
	for i := range 12 {
		w.requests[fmt.Sprintf("pod-%d", i)] = randomRequest(w.rng)
	}
	return w
}

func (w *world) node() string { return nodeNames[w.rng.Intn(len(nodeNames))] }
func (w *world) pod() string  { return fmt.Sprintf("pod-%d", w.rng.Intn(len(w.requests))) }

// step makes one random call.
func (w *world) step(t *testing.T) {
	uid, node := w.pod(), w.node()
	switch w.rng.Intn(19) {
	case 0:
		w.nodes[node] = 1 + w.rng.Intn(3)
		w.SetNode(sharingtest.MakeNode(node, w.nodes[node]))
	case 1:
		if w.rng.Intn(4) == 0 {
			delete(w.nodes, node)
			w.RemoveNode(node)
		}
	case 2, 3, 4, 5:
		w.hold(t, uid, node)
	case 6:
		w.Release(uid)
	case 7, 8:
		w.assume(uid)
	case 9, 10:
		if p, ok := w.bound[uid]; ok {
			p.Releasing = p.Releasing || w.rng.Intn(3) == 0
			w.bound[uid] = p
			w.observe(p)
		}
	case 11:
		w.forget(uid)
	case 12:
		w.Evicting(uid)
	case 13:
		w.Restore(uid)
	case 14:
		if w.rng.Intn(3) == 0 {
			w.EndSession()
		}
	case 15, 16:
		w.reserve(t, uid)
	case 17:
		w.expire(t)
	case 18:
		if w.rng.Intn(10) == 0 {
			w.restart()
		}
	}
	w.checkReservations(t)
}

// assume assumes a pod and lets its Binding take effect in the API, or not; the watch may tell at once.
func (w *world) assume(uid string) {
	a, err := w.Assume(uid)
	if err != nil || w.rng.Intn(3) == 0 {
		return
	}
	if _, already := w.bound[uid]; !already {
		w.bound[uid] = ledger.PodState{UID: uid, Node: a.Node, Allocation: a, Request: w.requests[uid]}
	}
	if w.rng.Intn(2) == 0 {
		w.observe(w.bound[uid])
	}
}

func (w *world) observe(p ledger.PodState) {
	w.Observe(p)
	delete(w.reserved, p.UID)
}

func (w *world) forget(uid string) {
	w.Forget(uid)
	delete(w.bound, uid)
	delete(w.reserved, uid)
}

// reserve reserves or ends a reservation, and checks that a reservation is there exactly when the pod
// holds something.
func (w *world) reserve(t *testing.T, uid string) {
	t.Helper()
	if w.rng.Intn(4) == 0 {
		w.Unreserve(uid)
		delete(w.reserved, uid)
		return
	}
	_, state, had := w.Held(uid)
	err := w.Reserve(uid, w.now+int64(w.rng.Intn(20)))
	if want := had && (state == ledger.Held || state == ledger.Assumed); (err == nil) != want {
		t.Fatalf("reserve a pod that is %q: %v", state, err)
	}
	if err == nil {
		for _, r := range w.Reservations() {
			if _, known := w.reserved[uid]; r.UID == uid && !known {
				w.reserved[uid] = r.Until
			}
		}
	}
}

// expire lets time pass and checks that exactly those reservations end whose time is over and whose pod
// is not about to be bound.
func (w *world) expire(t *testing.T) {
	t.Helper()
	w.now += int64(w.rng.Intn(10))
	for _, r := range w.Expire(w.now) {
		if w.reserved[r.UID] > w.now {
			t.Fatalf("%+v ended at %d", r, w.now)
		}
		delete(w.reserved, r.UID)
	}
	for _, r := range w.Reservations() {
		if r.Until <= w.now {
			t.Fatalf("%+v goes on at %d", r, w.now)
		}
	}
}

// restart begins anew with what the API server knows, told in any order.
func (w *world) restart() {
	w.Ledger = ledger.New()
	w.reserved = map[string]int64{}
	for node, cards := range w.nodes {
		w.SetNode(sharingtest.MakeNode(node, cards))
	}
	for _, p := range w.bound {
		w.Observe(p)
	}
}

// checkReservations checks that a reservation never ends by itself and keeps its first time limit.
func (w *world) checkReservations(t *testing.T) {
	t.Helper()
	got := map[string]int64{}
	for _, r := range w.Reservations() {
		got[r.UID] = r.Until
	}
	for uid, until := range w.reserved {
		if _, state, _ := w.Held(uid); state == ledger.Held && got[uid] != until {
			t.Fatalf("reservation of %s until %d is %d", uid, until, got[uid])
		}
	}
	for uid := range got {
		if _, known := w.reserved[uid]; !known {
			t.Fatalf("reservation of %s came by itself", uid)
		}
		node, ok := w.Reserved(uid)
		if held, _, _ := w.Held(uid); !ok || held.Node != node {
			t.Fatalf("%s waits on %q and holds %q", uid, node, held.Node)
		}
	}
}

// hold holds and checks that a fresh hold fits and that taking it back leaves no trace.
func (w *world) hold(t *testing.T, uid, node string) {
	t.Helper()
	_, _, had := w.Held(uid)
	before := w.Snapshot()
	o := ledger.HoldOptions{Future: w.rng.Intn(4) == 0, Policy: []score.CardPolicy{score.CardDefault, score.Binpack, score.Spread}[w.rng.Intn(3)]}
	fits := w.Fits(node, w.requests[uid])
	if o.Future {
		fits = w.FitsFuture(node, w.requests[uid])
	}
	a, v := w.Hold(uid, node, w.requests[uid], o)
	if had {
		return
	}
	if v != fits {
		t.Fatalf("hold says %q, the check said %q", v, fits)
	}
	if !v.OK() {
		if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
			t.Fatalf("a refused hold left (-before,+after):\n%s", diff)
		}
		return
	}
	w.withinCapacity(t, a, o.Future)
	if w.rng.Intn(3) == 0 {
		w.Release(uid)
		if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
			t.Fatalf("hold and release left (-before,+after):\n%s", diff)
		}
	}
}

func (w *world) withinCapacity(t *testing.T, a wire.Allocation, future bool) {
	t.Helper()
	n, _ := w.NodeSnapshot(a.Node)
	mine := map[string]bool{}
	for _, slices := range a.Containers {
		for _, s := range slices {
			mine[s.UUID] = true
		}
	}
	within := func(u, c ledger.Use) bool { return u.Slots <= c.Slots && u.Memory <= c.Memory && u.Cores <= c.Cores }
	for _, c := range n.Cards {
		if mine[c.UUID] && (!within(c.Future, c.Capacity) || !future && !within(c.Used, c.Capacity) || !c.Healthy || c.Unknown) {
			t.Fatalf("hold over-commits card %+v", c)
		}
	}
}

// TestHoldAndReleaseLeaveAReservation checks that a reservation stands behind the holds of its pod.
func TestHoldAndReleaseLeaveAReservation(t *testing.T) {
	for seed := range int64(200) {
		w := newWorld(seed)
		for range 60 {
			w.step(t)
		}
		for _, r := range w.Reservations() {
			before := w.Snapshot()
			w.EndSession()
			waits := w.Snapshot()
			if _, v := w.Hold(r.UID, r.Node, w.requests[r.UID], ledger.HoldOptions{}); !v.OK() {
				if diff := cmp.Diff(waits, w.Snapshot()); diff != "" {
					t.Fatalf("seed %d: a refused hold left (-before,+after):\n%s", seed, diff)
				}
				continue
			}
			a, _, _ := w.Held(r.UID)
			w.withinCapacity(t, a, false)
			w.Release(r.UID)
			if node, ok := w.Reserved(r.UID); !ok || node != r.Node {
				t.Fatalf("seed %d: reservation was lost: before %+v", seed, before)
			}
		}
	}
}

func TestRandomEventsKeepTheSums(t *testing.T) {
	for seed := range int64(60) {
		w := newWorld(seed)
		for range 200 {
			w.step(t)
			check(t, w.Ledger, w.requests)
		}
		for uid := range w.requests {
			w.forget(uid)
		}
		for _, n := range nodeNames {
			w.RemoveNode(n)
		}
		if s := w.Snapshot(); len(s.Nodes)+len(s.Pods) > 0 {
			t.Fatalf("seed %d: an empty cluster leaves %+v", seed, s)
		}
	}
}

func FuzzRandomEventsKeepTheSums(f *testing.F) {
	f.Add(int64(1), 50)
	f.Fuzz(func(t *testing.T, seed int64, steps int) {
		w := newWorld(seed)
		for range min(steps, 500) {
			w.step(t)
		}
		check(t, w.Ledger, w.requests)
	})
}

// TestOrderOfEventsDoesNotMatter replays the API server's events on several objects in many orders;
// only the order of the events of each object is kept, as an informer keeps it.
func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	var objects [][]func(*ledger.Ledger)
	for _, name := range nodeNames {
		objects = append(objects, []func(*ledger.Ledger){
			func(l *ledger.Ledger) { l.SetNode(sharingtest.MakeNode(name, 1)) },
			func(l *ledger.Ledger) { l.SetNode(sharingtest.MakeNode(name, 3)) },
			func(l *ledger.Ledger) { l.SetNode(sharingtest.MakeNode(name, 2)) },
		})
	}
	for i := range 9 {
		node := nodeNames[i%3]
		p := ledger.PodState{UID: fmt.Sprint("pod-", i), Node: node, Request: sharingtest.Slice(1000, 10),
			Allocation: wire.Allocation{Node: node, Containers: map[string][]wire.Slice{
				"main": {{UUID: fmt.Sprintf("%s-%d", node, i/3), Memory: 1000, Cores: 10}}, "other": {{UUID: "made-up", Memory: 7}},
			}}}
		going := p
		going.Releasing = true
		events := []func(*ledger.Ledger){
			func(l *ledger.Ledger) { l.Observe(p) },
			func(l *ledger.Ledger) { l.Observe(going) },
			func(l *ledger.Ledger) { l.Forget(p.UID) },
		}
		objects = append(objects, events[:1+i%3])
	}
	var want ledger.Snapshot
	for trial := range 300 {
		l := ledger.New()
		left := make([][]func(*ledger.Ledger), len(objects))
		copy(left, objects)
		for len(left) > 0 {
			i := rng.Intn(len(left))
			left[i][0](l)
			if left[i] = left[i][1:]; len(left[i]) == 0 {
				left = append(left[:i], left[i+1:]...)
			}
		}
		if trial == 0 {
			want = l.Snapshot()
			continue
		}
		if diff := cmp.Diff(want, l.Snapshot()); diff != "" {
			t.Fatalf("trial %d (-first order,+this order):\n%s", trial, diff)
		}
	}
}

func TestParallelUse(t *testing.T) {
	l := ledger.New()
	for _, n := range nodeNames {
		l.SetNode(sharingtest.MakeNode(n, 4))
	}
	requests := map[string]*request.Pod{}
	var wg sync.WaitGroup
	for worker := range 8 {
		for i := range 40 {
			requests[fmt.Sprintf("w%d-%d", worker, i)] = sharingtest.Slice(4000, 10)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewSource(int64(worker)))
			for i := range 40 {
				work(l, rng, fmt.Sprintf("w%d-%d", worker, i), nodeNames[rng.Intn(len(nodeNames))])
			}
		}()
	}
	wg.Wait()
	l.EndSession()
	check(t, l, requests)
	for _, n := range l.Snapshot().Nodes {
		for _, c := range n.Cards {
			if c.Overcommitted {
				t.Errorf("card %s is over-committed: %+v", c.UUID, c)
			}
		}
	}
}

// work takes one pod through a random part of its life, with readers and node changes in between.
func work(l *ledger.Ledger, rng *rand.Rand, uid, node string) {
	r := sharingtest.Slice(4000, 10)
	l.Fits(node, r)
	l.FitsFuture(node, r)
	l.Score(node, r, score.NodeSpread)
	if _, v := l.Hold(uid, node, r, ledger.HoldOptions{Future: rng.Intn(5) == 0}); !v.OK() {
		return
	}
	if rng.Intn(4) == 0 {
		l.SetNode(sharingtest.MakeNode(node, 4))
		l.EndSession()
	}
	if rng.Intn(5) == 0 {
		l.Release(uid)
		return
	}
	a, err := l.Assume(uid)
	if err != nil {
		return
	}
	l.Observe(ledger.PodState{UID: uid, Node: node, Allocation: a, Request: r, Releasing: rng.Intn(3) == 0})
	l.Evicting(uid)
	l.Held(uid)
	switch rng.Intn(4) {
	case 0:
		l.Restore(uid)
	case 1:
		l.Forget(uid)
	case 2:
		l.Snapshot()
	}
}

func TestChecksAllocateNothing(t *testing.T) {
	l := newLedger()
	bind(t, l, "p", "n", half)
	large := sharingtest.Slice(60000, 10)
	if got := testing.AllocsPerRun(100, func() { l.Fits("n", half); l.FitsFuture("n", large); l.Score("n", half, "") }); got != 0 {
		t.Errorf("%v allocations per check", got)
	}
}
