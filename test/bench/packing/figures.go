package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/test/bench/figures"
)

// full is where policies are compared: as much has arrived as there is.
const full = 100

// figures prints what is unallocated in the end for every policy, and what a decision costs.
func (o options) figures() error {
	lists := []string{"default", "gpushare60"}
	if o.all {
		var err error
		if lists, err = allLists(o.data); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(o.data, "openb-gpu-v2023")); err != nil {
		return fmt.Errorf("-data: folder %q must hold openb-gpu-v2023, the openb trace: %w", o.data, err)
	}
	p, err := figures.Create(o.out)
	if err != nil {
		return err
	}
	for _, name := range lists {
		e, err := load(list(o.data, name))
		if err != nil {
			return err
		}
		for _, policy := range policies {
			if err := e.compare(p, name, policy); err != nil {
				return err
			}
		}
	}
	return p.Close()
}

// allLists returns the names of the pod lists in the data folder.
func allLists(data string) ([]string, error) {
	const prefix = "openb_pod_list_"
	paths, err := filepath.Glob(filepath.Join(data, "openb-gpu-v2023", prefix+"*.csv*"))
	if err != nil {
		return nil, fmt.Errorf("-data: %w", err)
	}
	var names []string
	for _, path := range paths {
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), prefix), ".")
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// compare prints the figures of one policy on one list. The scheduler's own policy has no name in them;
// on the list default no policy has the list's.
func (e *experiment) compare(p *figures.Writer, name, policy string) error {
	mean, decision, err := e.mean(policy)
	if err != nil {
		return err
	}
	parts := []string{"packing"}
	if policy != string(packing.Fragmentation) {
		parts = append(parts, strings.TrimPrefix(policy, string(packing.Fragmentation)+"-"))
	}
	if name != "default" || policy == string(packing.Fragmentation) {
		parts = append(parts, name)
	}
	prefix := strings.Join(parts, ".")
	p.Print(prefix+".unallocated", round2(full-mean), "%")
	if policy == nameFGD || policy == nameBestFit {
		p.Print(prefix+".allocated", round2(mean), "%")
	}
	if name == "default" && policy == string(packing.Fragmentation) {
		p.Print("packing.decision.us", float64(decision.Nanoseconds())/1000, "us")
	}
	return nil
}

// mean returns what is allocated at full, in the mean over the seeds, and what computing a decision took
// in the mean of the fastest seed: what else runs on the machine slows the others.
func (e *experiment) mean(policy string) (mean float64, decision time.Duration, err error) {
	for i := range e.arrivals {
		c, err := e.replay(policy, &e.arrivals[i], full)
		if err != nil {
			return 0, 0, err
		}
		allocated, ok := c.at(full)
		if !ok {
			return 0, 0, fmt.Errorf("seed %d: less arrives than there are cards", e.arrivals[i].seed)
		}
		mean += allocated
		pods := 0
		for _, n := range c.counts {
			pods += n
		}
		if d := c.spent / time.Duration(pods); i == 0 || d < decision {
			decision = d
		}
	}
	return mean / float64(len(e.arrivals)), decision, nil
}

// cpuTime returns what the process has computed so far. Unlike a clock it does not count what others
// on the machine do.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
