// Command core benchmarks the pure core and prints one JSON line per figure:
// {"name":..,"value":..,"unit":..}.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/test/bench/figures"
)

const (
	cardsPerNode  = 8
	sharesPerCard = 10
	clusterNodes  = 5000
	cardMemory    = 81920
)

// slice is a tenth of a card, the shape that all benchmarks place.
func slice() *request.Pod {
	return &request.Pod{Containers: []request.Container{{
		Name: "main", Count: 1, Memory: cardMemory / sharesPerCard, Cores: 100 / sharesPerCard, Priority: request.PriorityUnset,
	}}}
}

func registration(name string) device.Node {
	n := device.Node{Name: name}
	for i := range cardsPerNode {
		n.Cards = append(n.Cards, device.Card{
			UUID: fmt.Sprintf("GPU-%s-%d", name, i), Index: i, Vendor: device.VendorNVIDIA, Model: "NVIDIA A100-SXM4-80GB",
			Memory: cardMemory, Cores: device.WholeCard, Slots: sharesPerCard, Healthy: true, Mode: device.ModeHAMiCore,
		})
	}
	return n
}

// nearlyFull is a node with one free share, on the card that is looked at last: the longest search.
func nearlyFull() *fit.Node {
	n := &fit.Node{}
	for i, c := range registration("node").Cards {
		sold := sharesPerCard
		if i == cardsPerNode-1 {
			sold--
		}
		used := device.Amount{
			Memory: device.MiB(cardMemory / sharesPerCard * sold),
			Cores:  device.CorePercent(100 / sharesPerCard * sold),
			Slots:  device.Shares(sold),
		}
		n.Cards = append(n.Cards, fit.Card{
			UUID: c.UUID, Model: c.Model, Mode: c.Mode, Index: c.Index, Healthy: true,
			Capacity: device.Amount{Memory: c.Memory, Cores: c.Cores, Slots: c.Slots},
			Now:      used, Future: used,
		})
	}
	return n
}

func benchFit(b *testing.B) {
	node, r := nearlyFull(), slice()
	b.ReportAllocs()
	for b.Loop() {
		if !node.Check(fit.Now, r).OK() {
			b.Fatal("the slice does not fit")
		}
	}
}

func benchRefusal(b *testing.B) {
	node, r := nearlyFull(), slice()
	r.Containers[0].Memory *= 2
	b.ReportAllocs()
	for b.Loop() {
		if node.Check(fit.Now, r).OK() {
			b.Fatal("the slice fits")
		}
	}
}

// occupied is a ledger of one node on which seven of ten shares of each card are bound.
func occupied(b *testing.B) *ledger.Ledger {
	l := ledger.New()
	l.SetNode(registration("node"))
	if err := bind(l, "node", cardsPerNode*7); err != nil {
		b.Fatal(err)
	}
	return l
}

// bind takes the slice for a number of pods and lets the ledger see them bound.
func bind(l *ledger.Ledger, node string, pods int) error {
	r := slice()
	for i := range pods {
		uid := fmt.Sprintf("pod-%s-%d", node, i)
		a, v := l.Hold(uid, node, r, ledger.HoldOptions{Namespace: "default", Name: uid})
		if !v.OK() {
			return fmt.Errorf("hold on node %s: %s", node, v)
		}
		l.Observe(ledger.PodState{UID: uid, Namespace: "default", Name: uid, Node: node, Allocation: a, Request: r})
	}
	return nil
}

func benchHoldRelease(b *testing.B) {
	l, r := occupied(b), slice()
	b.ReportAllocs()
	for b.Loop() {
		if _, v := l.Hold("uid", "node", r, ledger.HoldOptions{Namespace: "default", Name: "pod"}); !v.OK() {
			b.Fatalf("hold: %s", v)
		}
		l.Release("uid")
	}
}

func benchLedgerFits(b *testing.B) {
	l, r := occupied(b), slice()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !l.Fits("node", r).OK() {
				b.Error("the slice does not fit")
			}
		}
	})
}

// ledgerHeap fills a ledger with every share of a large cluster bound and returns the heap it takes.
func ledgerHeap() (float64, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := ledger.New()
	for i := range clusterNodes {
		name := fmt.Sprintf("node-%d", i)
		l.SetNode(registration(name))
		if err := bind(l, name, cardsPerNode*sharesPerCard); err != nil {
			return 0, err
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(l)
	return float64(after.HeapAlloc-before.HeapAlloc) / 1e6, nil
}

func bench(w *figures.Writer, name string, f func(*testing.B)) testing.BenchmarkResult {
	r := testing.Benchmark(f)
	w.Print(name+".ns", float64(r.T.Nanoseconds())/float64(r.N), "ns")
	return r
}

func run(path string) error {
	w, err := figures.Create(path)
	if err != nil {
		return err
	}
	w.Print("fit.allocs", float64(bench(w, "fit", benchFit).AllocsPerOp()), "allocs/op")
	w.Print("fit.refusal.allocs", float64(bench(w, "fit.refusal", benchRefusal).AllocsPerOp()), "allocs/op")
	bench(w, "ledger.hold_release", benchHoldRelease)
	bench(w, "ledger.fits_parallel", benchLedgerFits)
	heap, err := ledgerHeap()
	if err != nil {
		return err
	}
	w.Print("ledger.heap_5000x8.mb", heap, "MB")
	return w.Close()
}

func main() {
	out := flag.String("out", "core.jsonl", "file that receives the same lines")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "bench core:", err)
		os.Exit(1)
	}
}
