package fit

import (
	"sync"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// searchBudget bounds the placements that one search tries: some hundred microseconds at worst.
const searchBudget = 4096

// load is what the containers placed so far take of one card in one phase.
type load struct {
	amount device.Amount
	alone  bool // one of them needs the card alone
}

// search is one depth-first search. It assigns units, each one card for one container, in order.
type search struct {
	node   *Node
	book   Book
	pod    *request.Pod
	policy score.CardPolicy
	idle   bool // judge by the idle, healthy node

	spans  []Span
	phases int
	order  []int  // containers, heaviest first
	loads  []load // by card, then phase
	tried  []bool // by unit, then card
	wanted []set  // by container: cards that the policy wants together
	chosen []Choice
	budget int
}

// searches keeps the working memory: a check runs once per node and must not allocate.
var searches = sync.Pool{New: func() any { return new(search) }}

// placeAll places a pod of several containers. A nil dst means that only the verdict is wanted.
func (n *Node) placeAll(b Book, r *request.Pod, policy score.CardPolicy, dst []Choice) ([]Choice, Verdict) {
	s := searches.Get().(*search)
	defer s.release()
	s.prepare(n, b, r)
	for i := range r.Containers {
		if c := &r.Containers[i]; !n.countFitting(b, r, c) {
			if v := n.explain(b, r, c); v.Code == Never || !s.neverFits() {
				return dst, v
			}
			return dst, s.tooMany(Never)
		}
	}
	// Packing decides whether the pod fits, whatever the policy, so that Check and Place agree.
	if !s.run(score.Binpack, false) {
		if s.neverFits() {
			return dst, s.tooMany(Never)
		}
		return dst, s.tooMany(NotNow)
	}
	if dst == nil {
		return nil, Verdict{}
	}
	if policy != score.Binpack && !s.run(policy, false) {
		s.run(score.Binpack, false)
	}
	return append(dst, s.chosen...), Verdict{}
}

// neverFits reports whether the pod would not fit on the idle, healthy node either. A search that ran
// out of steps proves nothing.
func (s *search) neverFits() bool {
	return !s.run(score.Binpack, true) && s.budget > 0
}

// tooMany is the verdict on a pod whose containers do not fit together.
func (s *search) tooMany(code Code) Verdict {
	heaviest := &s.pod.Containers[s.order[0]]
	return Verdict{Code: code, Reason: ReasonContainers, Container: heaviest.Name, Count: heaviest.Count,
		Cards: s.node.registered()}
}

func (s *search) release() {
	s.node, s.pod = nil, nil
	searches.Put(s)
}

func (s *search) prepare(n *Node, b Book, r *request.Pod) {
	s.node, s.book, s.pod = n, b, r
	s.wanted = zeroed(s.wanted, len(r.Containers))
	s.spans, s.phases = Spans(r.Containers, s.spans[:0])
	s.order = s.order[:0]
	for i := range r.Containers {
		s.order = append(s.order, i)
		for k := len(s.order) - 1; k > 0 && s.heavier(s.order[k], s.order[k-1]); k-- {
			s.order[k], s.order[k-1] = s.order[k-1], s.order[k]
		}
	}
}

// heavier orders containers by how hard they are to place: whole cards, then memory, cores, count.
func (s *search) heavier(i, k int) bool {
	a, b := &s.pod.Containers[i], &s.pod.Containers[k]
	if aw, bw := a.Cores >= device.WholeCard, b.Cores >= device.WholeCard; aw != bw {
		return aw
	}
	reference := device.MiB(0)
	if len(s.node.Cards) > 0 {
		reference = s.node.Cards[0].Capacity.Memory
	}
	if am, bm := a.MemoryOn(reference), b.MemoryOn(reference); am != bm {
		return am > bm
	}
	if a.Cores != b.Cores {
		return a.Cores > b.Cores
	}
	if a.Count != b.Count {
		return a.Count > b.Count
	}
	return i < k
}

func (s *search) run(policy score.CardPolicy, idle bool) bool {
	s.begin(policy, idle)
	return s.place(0, 0)
}

// begin forgets what an earlier run placed.
func (s *search) begin(policy score.CardPolicy, idle bool) {
	s.policy, s.idle = policy, idle
	s.budget = searchBudget
	s.loads = zeroed(s.loads, len(s.node.Cards)*s.phases)
	s.chosen = s.chosen[:0]
}

func zeroed[T any](buf []T, n int) []T {
	if cap(buf) < n {
		return make([]T, n)
	}
	buf = buf[:n]
	clear(buf)
	return buf
}

// place assigns unit k of the container at position pos, and all that follow.
func (s *search) place(pos, k int) bool {
	if pos == len(s.order) {
		return true
	}
	container := s.order[pos]
	if k == s.pod.Containers[container].Count {
		return s.place(pos+1, 0)
	}
	depth := len(s.chosen)
	tried := s.triedAt(depth, k)
	if k == 0 {
		s.want(container)
	}
	for {
		card := s.best(container, tried)
		if card < 0 {
			return false
		}
		s.budget--
		s.put(container, card)
		if s.place(pos, k+1) {
			return true
		}
		s.takeBack()
		if s.budget <= 0 {
			return false
		}
		tried = s.tried[depth*len(s.node.Cards):][:len(s.node.Cards)] // place may have grown it
		s.markAlike(card, tried)
	}
}

// triedAt returns the marks of a unit, one per card. Cards of a container are a set: what an earlier
// unit of it tried, it need not try again, and what an earlier unit has, it must not take.
func (s *search) triedAt(depth, k int) []bool {
	n := len(s.node.Cards)
	for len(s.tried) < (depth+1)*n {
		s.tried = append(s.tried, false)
	}
	tried := s.tried[depth*n:][:n]
	if k == 0 {
		clear(tried)
		return tried
	}
	copy(tried, s.tried[(depth-1)*n:][:n])
	before := s.chosen[depth-1].Card
	tried[before] = true
	if s.pod.Selector.NUMABind {
		for i := range tried {
			tried[i] = tried[i] || s.node.Cards[i].NUMA != s.node.Cards[before].NUMA
		}
	}
	return tried
}

// markAlike marks a card that led nowhere, and all that are like it and so lead nowhere too.
func (s *search) markAlike(card int, tried []bool) {
	for i := range tried {
		tried[i] = tried[i] || i == card || s.alike(i, card)
	}
}

func (s *search) alike(i, k int) bool {
	a, b := &s.node.Cards[i], &s.node.Cards[k]
	if a.Capacity != b.Capacity || a.Mode != b.Mode || s.used(a) != s.used(b) || s.open(a) != s.open(b) ||
		s.pod.Selector.NUMABind && a.NUMA != b.NUMA {
		return false
	}
	for p := range s.phases {
		if s.loads[i*s.phases+p] != s.loads[k*s.phases+p] {
			return false
		}
	}
	return true
}

func (s *search) used(c *Card) device.Amount {
	if s.idle {
		return device.Amount{}
	}
	return c.Used(s.book)
}

// open reports whether the pod may have the card.
func (s *search) open(c *Card) bool {
	return (c.offered() || s.idle) && c.allowed(&s.pod.Selector)
}

// best returns the card that the policy likes best of those left to try; -1 if there is none.
func (s *search) best(container int, tried []bool) int {
	best, bestLiking, bestWanted := -1, int64(0), false
	for i := range s.node.Cards {
		if tried[i] || !s.open(&s.node.Cards[i]) || !s.admits(container, i) {
			continue
		}
		l, wanted := s.liking(i), s.wanted[container].has(i)
		better := best < 0 || wanted && !bestWanted
		if !better && wanted == bestWanted {
			better = l > bestLiking || l == bestLiking && s.node.Cards[i].before(&s.node.Cards[best])
		}
		if better {
			best, bestLiking, bestWanted = i, l, wanted
		}
	}
	return best
}

// admits reports whether the container fits on the card in each of its phases. The answer does not
// depend on the order in which the containers of the pod were placed.
func (s *search) admits(container, i int) bool {
	card := &s.node.Cards[i]
	used := s.used(card)
	amount, alone := card.need(s.pod, &s.pod.Containers[container])
	if alone && used.Slots > 0 || card.soldOut(amount, used) {
		return false
	}
	span := s.spans[container]
	for p := int(span.First); p <= int(span.Last); p++ {
		l := &s.loads[i*s.phases+p]
		if l.alone || alone && l.amount.Slots > 0 || !used.Add(l.amount).Add(amount).Within(card.Capacity) {
			return false
		}
	}
	return true
}

func (s *search) put(container, i int) {
	amount, alone := s.node.Cards[i].need(s.pod, &s.pod.Containers[container])
	span := s.spans[container]
	for p := int(span.First); p <= int(span.Last); p++ {
		l := &s.loads[i*s.phases+p]
		l.amount = l.amount.Add(amount)
		l.alone = alone
	}
	s.chosen = append(s.chosen, Choice{Container: container, Card: i, Amount: amount})
}

func (s *search) takeBack() {
	c := s.chosen[len(s.chosen)-1]
	s.chosen = s.chosen[:len(s.chosen)-1]
	span := s.spans[c.Container]
	for p := int(span.First); p <= int(span.Last); p++ {
		l := &s.loads[c.Card*s.phases+p]
		l.amount = l.amount.Sub(c.Amount)
		l.alone = false // a card taken alone had nobody else, and others had no such neighbour
	}
}
