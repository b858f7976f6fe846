package ledger

import (
	"unique"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// maxCores bounds the cores of one slice, so that no sum can overflow.
const maxCores = 1 << 16

// slice is one container's part of one card, compact: a cluster has hundreds of thousands. Container
// names repeat, so they are interned.
type slice struct {
	container unique.Handle[string]
	memory    uint32 // MiB, at most request.MaxMemory
	cores     uint32 // at most maxCores
	slots     uint32 // at most request.MaxCount
	card      uint16 // place in the node's table
	span      fit.Span
}

// entry is a pod. Most pods have one slice, which stands in the entry itself.
type entry struct {
	uid       string
	name      string
	namespace unique.Handle[string]
	node      *node
	first     slice
	more      *[]slice
	slices    uint16
	state     stateCode
	future    bool // held against the future book only
	// evicting counts the session ends that the mark of an eviction survives; zero means no mark.
	evicting uint8
	open     uint32 // place in the shard's list of open entries, from 1; zero when not in it
}

// stateCode is a State in one byte.
type stateCode uint8

const (
	codeHeld stateCode = iota
	codeAssumed
	codeBound
	codeReleasing
)

var stateNames = [...]State{codeHeld: Held, codeAssumed: Assumed, codeBound: Bound, codeReleasing: Releasing}

// each calls visit for every slice, in order.
func (e *entry) each(visit func(*slice)) {
	if e.slices > 0 {
		visit(&e.first)
	}
	if e.more != nil {
		for i := range *e.more {
			visit(&(*e.more)[i])
		}
	}
}

// at returns slice i.
func (e *entry) at(i int) *slice {
	if i == 0 {
		return &e.first
	}
	return &(*e.more)[i-1]
}

func (e *entry) add(s slice) {
	e.slices++
	if e.slices == 1 {
		e.first = s
		return
	}
	if e.more == nil {
		e.more = new([]slice)
	}
	*e.more = append(*e.more, s)
}

// clear makes the entry have nothing. Precondition: it is not charged.
func (e *entry) clear() {
	e.slices, e.first, e.more = 0, slice{}, nil
}

// books says in which books an entry counts.
func (e *entry) books() (now, future bool) {
	now = !e.future
	future = e.state != codeReleasing && e.evicting == 0
	return now, future
}

// charge adds what the entry takes to the books of its node, discharge takes it back. Both use the
// same pure sums, so that one undoes the other exactly; an entry changes only between them.
// Precondition: the lock of the node's shard is held.
func (e *entry) charge() {
	e.node.touch()
	now, future := e.books()
	e.sums(func(card int, a device.Amount) {
		c := &e.node.view.Cards[card]
		if now {
			c.Now = c.Now.Add(a)
		}
		if future {
			c.Future = c.Future.Add(a)
		}
	})
}

// discharge undoes charge. Precondition: the lock of the node's shard is held.
func (e *entry) discharge() {
	e.node.touch()
	now, future := e.books()
	e.sums(func(card int, a device.Amount) {
		c := &e.node.view.Cards[card]
		if now {
			c.Now = c.Now.Sub(a)
		}
		if future {
			c.Future = c.Future.Sub(a)
		}
	})
}

// sums calls visit once for each card of the entry, with the largest sum over the phases.
func (e *entry) sums(visit func(card int, a device.Amount)) {
	if e.slices == 1 {
		visit(int(e.first.card), e.first.amount())
		return
	}
	for i := range int(e.slices) {
		card := e.at(i).card
		if e.firstOn(card) == i {
			visit(int(card), e.peak(card))
		}
	}
}

// firstOn returns the first slice on the card.
func (e *entry) firstOn(card uint16) int {
	for i := range int(e.slices) {
		if e.at(i).card == card {
			return i
		}
	}
	return -1
}

// peak returns what the entry takes of a card. The sum can only be largest in a phase in which some
// slice begins, so no other phase is looked at.
func (e *entry) peak(card uint16) device.Amount {
	var peak device.Amount
	for i := range int(e.slices) {
		phase := e.at(i).span.First
		var sum device.Amount
		e.each(func(s *slice) {
			if s.card == card && s.span.First <= phase && phase <= s.span.Last {
				sum = sum.Add(s.amount())
			}
		})
		peak = peak.Max(sum)
	}
	return peak
}

func (s *slice) amount() device.Amount {
	return device.Amount{Memory: device.MiB(s.memory), Cores: device.CorePercent(s.cores), Slots: device.Shares(s.slots)}
}

// shares returns how many shares of its card the slice takes, as it is written to the pod: one is not.
func (s *slice) shares() device.Shares {
	if s.slots == 1 {
		return 0
	}
	return device.Shares(s.slots)
}

// allocation returns what the entry has, as it is written to the pod.
func (e *entry) allocation() wire.Allocation {
	return wire.Allocation{Version: wire.AllocationVersion, Node: e.node.name, Containers: e.containers()}
}

func (e *entry) containers() map[string][]wire.Slice {
	m := make(map[string][]wire.Slice, 1)
	e.each(func(s *slice) {
		name := s.container.Value()
		m[name] = append(m[name], wire.Slice{
			UUID:   e.node.view.Cards[s.card].UUID,
			Memory: device.MiB(s.memory),
			Cores:  device.CorePercent(s.cores),
			Shares: s.shares(),
		})
	})
	return m
}

// fill takes over what was chosen for a request.
func (e *entry) fill(r *request.Pod, choices []fit.Choice) {
	var inline [8]fit.Span
	spans, _ := fit.Spans(r.Containers, inline[:0])
	for i := range r.Containers {
		for _, ch := range choices {
			if ch.Container == i {
				e.add(newSlice(r.Containers[i].Name, ch.Card, ch.Amount, spans[i]))
			}
		}
	}
}

func newSlice(container string, card int, a device.Amount, span fit.Span) slice {
	return slice{
		container: unique.Make(container),
		memory:    uint32(min(a.Memory, request.MaxMemory)),
		cores:     uint32(min(a.Cores, maxCores)),
		slots:     uint32(min(max(a.Slots, 1), request.MaxCount)),
		card:      uint16(card),
		span:      span,
	}
}
