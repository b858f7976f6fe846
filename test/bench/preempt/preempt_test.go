// Package preempt benchmarks preemption on cards through real sessions of Volcano with Basalt's actions:
// how long a gang of 64 takes to find its victims on 1,000 full nodes, and whether more pods are evicted
// than it needs while the victims terminate. It prints one JSON line per figure.
package preempt

import (
	"flag"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
	"github.com/basalt-gpu/basalt/test/bench/figures"
)

var out = flag.String("out", "../../../build/bench/preempt.jsonl", "file that receives the figures, too")

// The cluster is full of pods that have half a card each, in gangs, of low priority.
const (
	nodes       = 1000
	cards       = 8
	perCard     = 2
	oldGang     = 64
	gang        = 64
	gracePeriod = 30 // sessions, one a second
)

var (
	halfCard = vt.Asks{v1.ResourceCPU: "1", vt.ResourceGPU: "1", "nvidia.com/gpumem": fmt.Sprint(vt.CardMemory / perCard), "nvidia.com/gpucores": "50"}
	oneCard  = vt.Asks{v1.ResourceCPU: "2", vt.ResourceGPU: "1", "nvidia.com/gpumem": fmt.Sprint(vt.CardMemory), "nvidia.com/gpucores": "100"}
)

func configuration() string {
	return vt.ConfigurationOf("allocate, preempt",
		[]string{"name: priority", "name: gang\n    enablePreemptable: false", "name: conformance"},
		[]string{"name: predicates", "name: deviceshare"})
}

func nodeName(i int) string { return fmt.Sprintf("node-%04d", i) }

// full is a cluster without a free card, and a gang that wants 64.
func full() []runtime.Object {
	objects := []runtime.Object{vt.MakePriorityClass("low", 1), vt.MakePriorityClass("high", 100)}
	slots := make([]wire.Slice, 0, nodes*cards*perCard)
	for n := range nodes {
		objects = append(objects, vt.MakeNode(nodeName(n)).Cards(cards).Obj())
		for _, c := range vt.Cards(nodeName(n), cards) {
			for range perCard {
				slots = append(slots, wire.Slice{UUID: c.UUID, Memory: vt.CardMemory / perCard, Cores: 50})
			}
		}
	}
	for g := 0; g*oldGang < len(slots); g++ {
		old := vt.MakeGang(fmt.Sprintf("old-%04d", g), oldGang, halfCard).Priority("low", 1)
		old.Each(func(i int, p *vt.PodBuilder) {
			at := g*oldGang + i
			p.Bound(nodeName(at/(cards*perCard)), slots[at])
		})
		objects = append(objects, old.Objects()...)
	}
	return append(objects, vt.MakeGang("new", gang, oneCard).Priority("high", 100).Objects()...)
}

// BenchmarkGang measures the preempt action, and counts evictions until the gang runs. Run it with
// -benchtime 1x: each iteration starts a cluster, because evictions cannot be taken back.
func BenchmarkGang(b *testing.B) {
	for range b.N {
		run(b, vt.New(b, full()...))
	}
}

func run(b *testing.B, c *vt.Cluster) {
	w, err := figures.Create(*out)
	if err != nil {
		b.Fatal(err)
	}
	ssn, actions := c.Open(configuration())
	actions[0].Execute(ssn)
	start := time.Now()
	actions[1].Execute(ssn)
	w.Print("preempt.gang64.ms", float64(time.Since(start).Microseconds())/1000, "ms")
	framework.CloseSession(ssn)
	for range gracePeriod {
		c.Session(configuration())
	}
	c.Settle()
	victims := c.Evictions()
	w.Print("preempt.extra_evictions", float64(len(victims)-gang*perCard), "pods")
	c.Finish(victims...)
	c.Session(configuration())
	c.Settle()
	w.Print("preempt.wasted_evictions", float64(wasted(c, victims)), "pods")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// wasted counts the victims whose card nobody of the gang got.
func wasted(c *vt.Cluster, victims []string) int {
	got := map[string]bool{}
	for _, p := range c.Adapter.Ledger().Snapshot().Pods {
		for _, slices := range p.Allocation {
			for _, s := range slices {
				if s.Memory == vt.CardMemory {
					got[s.UUID] = true
				}
			}
		}
	}
	n := 0
	for _, uuid := range cardsOf(victims) {
		if !got[uuid] {
			n++
		}
	}
	return n
}

// cardsOf returns the card that each pod had.
func cardsOf(pods []string) (uuids []string) {
	for _, name := range pods {
		var g, i int
		if _, err := fmt.Sscanf(name, "old-%04d-%d", &g, &i); err != nil {
			continue
		}
		at := g*oldGang + i
		node := nodeName(at / (cards * perCard))
		uuids = append(uuids, vt.Cards(node, cards)[at%(cards*perCard)/perCard].UUID)
	}
	return uuids
}
