// Command gang benchmarks the gang planner alone and prints one JSON line per figure.
//
// CASE.ms is the median time of a plan on a pool that exists and was planned on before, CASE.fastest.ms
// the shortest of the same plans, CASE.cpu.ms the processor time that one took in the mean, collecting
// garbage included, which what else runs on the machine hardly changes, CASE.first.ms the time of the first plan on a new pool, with whatever
// the pool computes late. CASE.mb is every byte that is
// allocated while the pool is filled and the first plan is made, garbage included; the input, that is,
// the nodes with their names and cards and the gang with its UIDs, is not counted.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/test/bench/figures"
)

// measure runs one case. The pool that the gang is made for and the measured one intern the same shapes
// in the same order, so that they have the same names for them.
func measure(c *benchCase, print func(name string, value float64, unit string)) error {
	nodes := c.nodes()
	g := c.plan(c.pool(nodes))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := c.pool(nodes)
	start := time.Now()
	r := gang.Plan(p, g)
	first := time.Since(start)
	runtime.ReadMemStats(&after)
	if err := c.check(r); err != nil {
		return err
	}
	times, cpu := repeat(func() { gang.Plan(p, g) })
	print("gang."+c.name+".ms", milliseconds(times[len(times)/2]), "ms")
	print("gang."+c.name+".fastest.ms", milliseconds(times[0]), "ms")
	print("gang."+c.name+".cpu.ms", milliseconds(cpu), "ms")
	print("gang."+c.name+".first.ms", milliseconds(first), "ms")
	print("gang."+c.name+".mb", float64(after.TotalAlloc-before.TotalAlloc)/1e6, "MB")
	print("gang."+c.name+".allocs", testing.AllocsPerRun(3, func() { gang.Plan(p, g) }), "allocs/op")
	return nil
}

// repeat times a function over and over, and returns the times, shortest first, and the processor time
// of one call.
func repeat(f func()) (times []time.Duration, cpu time.Duration) {
	const runs, limit = 1001, 2 * time.Second
	used := processorTime()
	for begin := time.Now(); len(times) < runs && (len(times) < 11 || time.Since(begin) < limit); {
		start := time.Now()
		f()
		times = append(times, time.Since(start))
	}
	cpu = (processorTime() - used) / time.Duration(len(times))
	slices.Sort(times)
	return times, cpu
}

// processorTime returns the processor time that the process has used, on all cores.
func processorTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err) // the arguments are constant and right
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func run(path string) error {
	p, err := figures.Create(path)
	if err != nil {
		return err
	}
	for i := range cases {
		if err := measure(&cases[i], p.Print); err != nil {
			return err
		}
	}
	return p.Close()
}

func main() {
	out := flag.String("out", "gang.jsonl", "file that receives the same lines")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "bench gang:", err)
		os.Exit(1)
	}
}
