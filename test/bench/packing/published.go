package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// The policies that ours is compared with, as their authors published them: scores are whole numbers,
// and the rank of the node decides between equals.

// offer is a node of the trace: milli-CPU, and what is free on each card.
type offer struct {
	milliCPU int64
	model    string
	free     []int
	room     [16]int // behind free
}

func offerOf(n *packing.Node, o *offer) {
	o.milliCPU, o.free = n.Free.MilliCPU, o.room[:0]
	for i := range n.Cards.Cards {
		c := &n.Cards.Cards[i]
		o.model = c.Model
		o.free = append(o.free, int(c.Capacity.Memory-c.Now.Memory))
	}
}

func (o *offer) sum() int {
	sum := 0
	for _, f := range o.free {
		sum += f
	}
	return sum
}

// asks returns how many cards a shape asks and how much of each.
func asks(s *packing.Shape) (count, milli int) {
	if s.Request == nil {
		return 0, 0
	}
	c := &s.Request.Containers[0]
	return c.Count, int(c.Memory)
}

// feasible reports whether the shape finds cards on the node.
func feasible(n *packing.Node, s *packing.Shape) bool {
	return s.Request == nil || n.Cards.Check(fit.Now, s.Request).OK()
}

func choice(card, milli int) fit.Choice {
	return fit.Choice{Card: card, Amount: device.Amount{Memory: device.MiB(milli), Slots: 1}}
}

// firstFree appends the first cards that have room.
func (o *offer) firstFree(count, milli int, dst []fit.Choice) []fit.Choice {
	for i := range o.free {
		if count > 0 && o.free[i] >= milli {
			dst = append(dst, choice(i, milli))
			count--
		}
	}
	return dst
}

// bestFit prefers the node that is left with the least, of CPU and of cards alike.
type bestFit struct{}

const (
	largestCPU   = 128000
	largestCards = 8000
)

func (bestFit) Judge(n *packing.Node, s *packing.Shape, dst []fit.Choice) (packing.Score, []fit.Choice, bool) {
	if !feasible(n, s) {
		return packing.Score{}, dst, false
	}
	var o offer
	offerOf(n, &o)
	count, milli := asks(s)
	cpu := float64(o.milliCPU-s.Resources.MilliCPU) / largestCPU
	cards := float64(o.sum()-count*milli) / largestCards
	points := math.Trunc(100 * (1 - (0.5*cpu + 0.5*cards)))
	if count == 1 && milli < cardMilli {
		best := -1
		for i, f := range o.free {
			if f >= milli && (best < 0 || f < o.free[best]) {
				best = i
			}
		}
		dst = append(dst, choice(best, milli))
	} else {
		dst = o.firstFree(count, milli, dst)
	}
	return packing.Score{Harm: -points}, dst, true
}

// task is one kind of the target workload of FGD, with its part of all.
type task struct {
	milliCPU     int64
	milli, count int
	models       string
	allowed      map[string]bool // nil allows every model
	part         float64
}

// fgd prefers the node on which what the target workload cannot use grows least.
type fgd struct {
	tasks []task
}

// targetPart is how much of the pods the target workload covers.
const targetPart = 0.95

// newFGD takes the target workload from the whole pod list, as published: foreknowledge that a
// scheduler does not have.
func newFGD(pods []pod) *fgd {
	type key struct {
		milliCPU     int64
		milli, count int
		models       string
	}
	counts := map[key]int{}
	for i := range pods {
		p := &pods[i]
		counts[key{p.milliCPU, p.milli, p.count, p.models}]++
	}
	keys := make([]key, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(b.milliCPU, a.milliCPU), cmp.Compare(b.milli, a.milli),
			cmp.Compare(b.count, a.count), cmp.Compare(b.models, a.models))
	})
	f, covered := &fgd{}, 0
	for _, k := range keys {
		if float64(covered) >= targetPart*float64(len(pods)) {
			break
		}
		covered += counts[k]
		t := task{milliCPU: k.milliCPU, milli: k.milli, count: k.count, models: k.models, part: float64(counts[k])}
		p := pod{count: k.count, models: k.models}
		if s := p.shape(); s.Request != nil && len(s.Request.Selector.UseTypes) > 0 {
			t.allowed = map[string]bool{}
			for _, m := range s.Request.Selector.UseTypes {
				t.allowed[m] = true
			}
		}
		f.tasks = append(f.tasks, t)
	}
	for i := range f.tasks {
		f.tasks[i].part /= float64(covered)
	}
	return f
}

// fragmented returns what of the free cards the target workload cannot use.
func (f *fgd) fragmented(o *offer) float64 {
	all, sum := o.sum(), 0.0
	for i := range f.tasks {
		t := &f.tasks[i]
		lost := all
		if t.count > 0 && o.milliCPU >= t.milliCPU && (t.allowed == nil || t.allowed[o.model]) {
			lost = t.lost(o, all)
		}
		sum += t.part * float64(lost)
	}
	return sum
}

func (t *task) lost(o *offer, all int) int {
	lost, serving := 0, 0
	for _, free := range o.free {
		if free >= t.milli {
			serving++
		} else {
			lost += free
		}
	}
	if serving < t.count {
		return all
	}
	return lost
}

func (f *fgd) Judge(n *packing.Node, s *packing.Shape, dst []fit.Choice) (packing.Score, []fit.Choice, bool) {
	if !feasible(n, s) {
		return packing.Score{}, dst, false
	}
	var o offer
	offerOf(n, &o)
	before := f.fragmented(&o)
	o.milliCPU -= s.Resources.MilliCPU
	count, milli := asks(s)
	points := func() float64 {
		return math.Trunc(100 / (1 + math.Exp(-(before-f.fragmented(&o))/cardMilli)))
	}
	if count != 1 || milli == cardMilli {
		dst = o.firstFree(count, milli, dst)
		for _, c := range dst {
			o.free[c.Card] -= milli
		}
		return packing.Score{Harm: -points()}, dst, true
	}
	best, most := -1, 0.0
	for i := range o.free {
		if o.free[i] < milli {
			continue
		}
		o.free[i] -= milli
		if p := points(); best < 0 || p > most {
			best, most = i, p
		}
		o.free[i] += milli
	}
	return packing.Score{Harm: -most}, append(dst, choice(best, milli)), true
}
