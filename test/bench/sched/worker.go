package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"testing"
	"time"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	"volcano.sh/volcano/pkg/scheduler/framework"

	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// Variants: what shares devices in a session.
const (
	basalt = "basalt"
	inTree = "intree"
	plain  = "plain"
)

// Kinds of measurement.
const (
	kindAllocate = "allocate"
	kindOpen     = "open"
	kindMemory   = "memory"
)

// measurement is what one process measures.
type measurement struct {
	Kind    string
	Variant string
	Plugins string
	Nodes   int
	// Gangs of pending pods, which ask for whole cards or for a quarter of one each.
	Gangs int
	Whole bool
	// Full: the cluster is 95 % full, and pods have no role, so that all nodes are looked at for each.
	Full bool
	// Nominated: each pod comes with its node, as if a plan had cost nothing.
	Nominated bool
	// Running pods, with a quarter of a card each.
	Running int
	Samples int
	// Profile is the file for a CPU profile of the timed parts, "" for none.
	Profile string
}

// result holds the medians of a measurement's samples.
type result struct {
	// PodsPerSecond of the allocate action.
	PodsPerSecond float64
	// SessionMS is a whole session: opening, action, closing.
	SessionMS float64
	NodesUsed int
	// OpenMS is the opening of a session, OpenWithoutMS the same without plugins that share devices.
	OpenMS, OpenWithoutMS float64
	// RSSMB is what the process takes after some sessions, HeapMB what of it is alive.
	RSSMB, PeakMB, HeapMB float64
}

// run measures in a process of its own.
func (m measurement) run() (result, error) {
	spec, err := json.Marshal(m)
	if err != nil {
		return result{}, fmt.Errorf("encode measurement: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return result{}, fmt.Errorf("find own program: %w", err)
	}
	cmd := exec.Command(self, "-worker", string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("measure %s: %w", spec, err)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return result{}, fmt.Errorf("read result of %s: %w", spec, err)
	}
	return r, nil
}

// work runs the measurement that spec describes and prints its result.
func work(spec string) error {
	var m measurement
	if err := json.Unmarshal([]byte(spec), &m); err != nil {
		return fmt.Errorf("-worker: %w", err)
	}
	if err := discardLog(); err != nil {
		return err
	}
	var r result
	err := guard(func(tb testing.TB) error {
		var err error
		switch m.Kind {
		case kindAllocate:
			r, err = m.allocate(tb)
		case kindOpen:
			r, err = m.open(tb)
		case kindMemory:
			r, err = m.memory(tb)
		default:
			err = fmt.Errorf("-worker: kind %q is not known", m.Kind)
		}
		return err
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// discardLog lets log lines be formatted, as in a scheduler at -v=0, and drops them.
func discardLog() error {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL", "v": "0"} {
		if err := fs.Set(name, value); err != nil {
			return fmt.Errorf("set -%s: %w", name, err)
		}
	}
	klog.SetOutput(io.Discard)
	return nil
}

// start starts the measurement's cluster.
func (m measurement) start(tb testing.TB, pending []k8sruntime.Object) (*vt.Cluster, error) {
	objects := append(empty(m.Nodes, !m.Whole), pending...)
	var placed []k8sruntime.Object
	var err error
	switch {
	case m.Full:
		placed, err = occupied(m.Nodes)
	case m.Running > 0:
		placed, err = tenants(m.Running, m.Nodes)
	}
	if err != nil {
		return nil, err
	}
	objects = append(objects, placed...)
	if m.Variant == basalt {
		return vt.NewScale(tb, objects...), nil
	}
	if m.Variant == inTree {
		// The in-tree plugin reads nodes' cards only after it was built once: its switch is a global.
		build, _ := framework.GetPluginBuilder("deviceshare")
		build(framework.Arguments{"deviceshare.VGPUEnable": true})
	}
	return vt.NewScaleStock(tb, objects...), nil
}

// allocate measures the allocate action, each time on a new cluster.
func (m measurement) allocate(tb testing.TB) (result, error) {
	asks, role := share, "worker"
	if m.Whole {
		asks = whole
	}
	if m.Full {
		role = ""
	}
	var rates, sessions []float64
	used := 0
	for range m.Samples {
		pending := gangs(m.Gangs, asks, role)
		if m.Nominated {
			nominate(pending)
		}
		c, err := m.start(tb, pending)
		if err != nil {
			return result{}, err
		}
		runtime.GC()
		begin := time.Now()
		ssn, actions := c.Open(configuration(m.Plugins, m.Variant))
		action := time.Now()
		stop, err := m.profile()
		if err != nil {
			return result{}, err
		}
		actions[0].Execute(ssn)
		took := time.Since(action)
		stop()
		framework.CloseSession(ssn)
		sessions = append(sessions, ms(time.Since(begin)))
		want := m.Gangs * gangSize
		c.Until("all pods are bound", func() bool { return len(c.Bound()) == want })
		rates = append(rates, float64(want)/took.Seconds())
		nodes := map[string]bool{}
		for _, b := range c.Bound() {
			nodes[b.Target.Name] = true
		}
		used = len(nodes)
	}
	return result{PodsPerSecond: median(rates), SessionMS: median(sessions), NodesUsed: used}, nil
}

// open measures the opening of sessions with running pods, in turn with the plugins that share
// devices and without.
func (m measurement) open(tb testing.TB) (result, error) {
	c, err := m.start(tb, nil)
	if err != nil {
		return result{}, err
	}
	with, without := configuration(m.Plugins, m.Variant), configuration(m.Plugins, plain)
	if m.Variant == basalt {
		// The first session of a process fills the ledger.
		c.Session(with)
	}
	var opened, openedWithout []float64
	for range m.Samples {
		opened = append(opened, openOnce(c, with))
		openedWithout = append(openedWithout, openOnce(c, without))
	}
	return result{OpenMS: median(opened), OpenWithoutMS: median(openedWithout)}, nil
}

func openOnce(c *vt.Cluster, configuration string) float64 {
	runtime.GC()
	begin := time.Now()
	ssn, _ := c.Open(configuration)
	took := time.Since(begin)
	framework.CloseSession(ssn)
	return ms(took)
}

// memory runs sessions beside running pods and reads what the process then takes.
func (m measurement) memory(tb testing.TB) (result, error) {
	c, err := m.start(tb, gangs(m.Gangs, share, "worker"))
	if err != nil {
		return result{}, err
	}
	for range m.Samples {
		c.Session(configuration(m.Plugins, m.Variant))
	}
	rss, peak, err := residentMB()
	runtime.GC()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	runtime.KeepAlive(c)
	return result{RSSMB: rss, PeakMB: peak, HeapMB: float64(heap.HeapAlloc) / (1 << 20)}, err
}

// profile starts a CPU profile where one is asked for, and returns what ends it.
func (m measurement) profile() (func(), error) {
	if m.Profile == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(m.Profile), 0o755); err != nil {
		return nil, fmt.Errorf("-profiles: %w", err)
	}
	file, err := os.Create(m.Profile)
	if err != nil {
		return nil, fmt.Errorf("-profiles: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("-profiles: %w", err), file.Close())
	}
	return func() { pprof.StopCPUProfile(); _ = file.Close() }, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
