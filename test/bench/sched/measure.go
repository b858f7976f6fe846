package main

import (
	"path/filepath"
	"regexp"

	"github.com/basalt-gpu/basalt/test/bench/figures"
)

// options are the command line.
type options struct {
	out, plugins, profiles string
	quick                  bool
	only                   *regexp.Regexp
}

// sizes are how large and how often things are measured.
type sizes struct {
	small, large int // nodes
	// gangs for a plugin whose cost per pod is small, and for the in-tree one.
	gangs, gangsInTree, gangsFull int
	running                       int
	runningLarge                  int
	samples, samplesInTree, opens int
}

func (o options) sizes() sizes {
	if o.quick {
		return sizes{small: 40, large: 80, gangs: 2, gangsInTree: 1, gangsFull: 1, running: 64, runningLarge: 500, samples: 1, samplesInTree: 1, opens: 1}
	}
	return sizes{small: 1000, large: 5000, gangs: 10, gangsInTree: 5, gangsFull: 2, running: 3200, runningLarge: 100_000, samples: 3, samplesInTree: 1, opens: 7}
}

// bench measures and prints figures. Its first error ends it.
type bench struct {
	options
	sizes
	w *figures.Writer
}

func measure(o options) error {
	w, err := figures.Create(o.out)
	if err != nil {
		return err
	}
	b := &bench{options: o, sizes: o.sizes(), w: w}
	groups := []struct {
		name    string
		measure func() error
	}{
		{"session.speedup.1000 session.speedup.5000 session.cost_growth session.nodes_used", b.speed},
		{"session.speedup.full", b.full},
		{"session.open_running.ms", b.open},
		{"session.overhead.percent", b.overhead},
		{"scheduler.rss_5000x100k.mb", b.memory},
	}
	for _, g := range groups {
		if !o.only.MatchString(g.name) {
			continue
		}
		if err := g.measure(); err != nil {
			return err
		}
	}
	return w.Close()
}

// run runs a measurement under a name, which its profile has.
func (b *bench) run(name string, m measurement) (result, error) {
	m.Plugins = b.plugins
	if b.profiles != "" {
		m.Profile = filepath.Join(b.profiles, name+".pprof")
	}
	return m.run()
}

// speed compares the allocate action at both sizes.
func (b *bench) speed() error {
	costs := map[int]float64{}
	for _, at := range []struct {
		label string
		nodes int
	}{{"1000", b.small}, {"5000", b.large}} {
		ours, err := b.run("basalt."+at.label, measurement{Kind: kindAllocate, Variant: basalt, Nodes: at.nodes, Gangs: b.gangs, Samples: b.samples})
		if err != nil {
			return err
		}
		theirs, err := b.run("intree."+at.label, measurement{Kind: kindAllocate, Variant: inTree, Nodes: at.nodes, Gangs: b.gangsInTree, Samples: b.samplesInTree})
		if err != nil {
			return err
		}
		nominated, err := b.run("nominated."+at.label, measurement{Kind: kindAllocate, Variant: basalt, Nodes: at.nodes, Gangs: b.gangs, Nominated: true, Samples: b.samples})
		if err != nil {
			return err
		}
		b.w.Print("session.rate.nominated."+at.label, nominated.PodsPerSecond, "pods/s")
		costs[at.nodes] = 1 / ours.PodsPerSecond
		b.compare(at.label, ours, theirs)
		if at.nodes == b.small {
			b.w.Print("session.nodes_used", float64(ours.NodesUsed), "nodes")
		}
	}
	b.w.Print("session.cost_growth", costs[b.large]/costs[b.small], "ratio")
	return nil
}

// compare prints both rates and their ratio.
func (b *bench) compare(label string, ours, theirs result) {
	b.w.Print("session.rate."+label, ours.PodsPerSecond, "pods/s")
	b.w.Print("session.rate.intree."+label, theirs.PodsPerSecond, "pods/s")
	b.w.Print("session.speedup."+label, ours.PodsPerSecond/theirs.PodsPerSecond, "ratio")
}

// full compares the allocate action on a cluster where all nodes have to be looked at.
func (b *bench) full() error {
	m := measurement{Kind: kindAllocate, Variant: basalt, Nodes: b.small, Gangs: b.gangsFull, Full: true, Samples: b.samples}
	ours, err := b.run("basalt.full", m)
	if err != nil {
		return err
	}
	m.Variant, m.Samples = inTree, b.samplesInTree
	theirs, err := b.run("intree.full", m)
	if err != nil {
		return err
	}
	b.compare("full", ours, theirs)
	return nil
}

// open compares the opening of a session beside running pods with the same session without devices.
func (b *bench) open() error {
	r, err := b.run("basalt.open", measurement{Kind: kindOpen, Variant: basalt, Nodes: b.large, Running: b.running, Samples: b.opens})
	if err != nil {
		return err
	}
	b.w.Print("session.open.ms", r.OpenMS, "ms")
	b.w.Print("session.open.plain.ms", r.OpenWithoutMS, "ms")
	b.w.Print("session.open_running.ms", r.OpenMS-r.OpenWithoutMS, "ms")
	return nil
}

// overhead compares whole sessions over jobs that ask for whole cards with a Volcano that counts them
// as plain scalars.
func (b *bench) overhead() error {
	m := measurement{Kind: kindAllocate, Variant: basalt, Nodes: b.small, Gangs: b.gangsInTree, Whole: true, Samples: b.samples}
	ours, err := b.run("basalt.whole", m)
	if err != nil {
		return err
	}
	m.Variant = plain
	without, err := b.run("plain.whole", m)
	if err != nil {
		return err
	}
	b.w.Print("session.whole.ms", ours.SessionMS, "ms")
	b.w.Print("session.whole.plain.ms", without.SessionMS, "ms")
	b.w.Print("session.rate.plain.1000", without.PodsPerSecond, "pods/s")
	b.w.Print("session.overhead.percent", 100*(ours.SessionMS/without.SessionMS-1), "%")
	return nil
}

// memory reads what a scheduler takes for a large cluster.
func (b *bench) memory() error {
	r, err := b.run("basalt.memory", measurement{Kind: kindMemory, Variant: basalt, Nodes: b.large, Running: b.runningLarge, Gangs: 1, Samples: 3})
	if err != nil {
		return err
	}
	name := "scheduler.rss_5000x100k"
	b.w.Print(name+".mb", r.RSSMB, "MB")
	b.w.Print(name+".peak.mb", r.PeakMB, "MB")
	b.w.Print(name+".heap.mb", r.HeapMB, "MB")
	return nil
}
