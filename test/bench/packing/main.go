// Command packing replays the openb trace: pods that share cards arrive at a cluster and stay, and what
// counts is how much of the cards is allocated when as much has arrived as there is. It runs the pool
// that the scheduler runs, and, for comparison, published policies behind the same interface.
//
// With -policy it prints lines of seed, percent arrived and percent allocated. Without, it prints one
// JSON line per figure for all policies: {"name":..,"value":..,"unit":..}.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// options are the flags.
type options struct {
	nodes, pods, arrivals, ranks, policy string
	data, out                            string
	all                                  bool
}

func main() {
	var o options
	flag.StringVar(&o.nodes, "nodes", "", "node list")
	flag.StringVar(&o.pods, "pods", "", "pod list")
	flag.StringVar(&o.arrivals, "arrivals", "", "arrivals file (default: drawn as published, seeds 42 to 51)")
	flag.StringVar(&o.ranks, "ranks", "", "node rank file (default: as drawn, or by name with -arrivals)")
	flag.StringVar(&o.policy, "policy", "", fmt.Sprintf("print the curves of one of %q", policies))
	flag.StringVar(&o.data, "data", "../shared/data", "without -policy: folder with openb-gpu-v2023")
	flag.StringVar(&o.out, "out", "packing.jsonl", "without -policy: file that receives the same lines")
	flag.BoolVar(&o.all, "all", false, "without -policy: every pod list in the folder")
	flag.Parse()
	run := o.figures
	if o.policy != "" {
		run = o.curves
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench packing:", err)
		os.Exit(1)
	}
}

// curves prints the curve of every seed.
func (o options) curves() error {
	e, err := load(o.nodes, o.pods, o.arrivals, o.ranks)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for i := range e.arrivals {
		c, err := e.replay(o.policy, &e.arrivals[i], 1000)
		if err != nil {
			return err
		}
		for x := range c.sums {
			if allocated, ok := c.at(x); ok {
				fmt.Fprintf(out, "%d %d %.2f\n", e.arrivals[i].seed, x, allocated)
			}
		}
	}
	return out.Flush()
}

// load reads an experiment. Without an arrivals file the published arrivals are drawn.
func load(nodes, pods, arrivals, ranks string) (e *experiment, err error) {
	for _, f := range [][2]string{{"-nodes", nodes}, {"-pods", pods}} {
		if f[1] == "" {
			return nil, fmt.Errorf("%s: a file is needed", f[0])
		}
	}
	e = &experiment{}
	if e.nodes, err = readNodes(nodes); err != nil {
		return nil, fmt.Errorf("-nodes: %w", err)
	}
	if e.pods, err = readPods(pods); err != nil {
		return nil, fmt.Errorf("-pods: %w", err)
	}
	if arrivals != "" {
		e.arrivals, err = readArrivals(arrivals, ranks, e.nodes, e.pods)
		return e, err
	}
	for seed := int64(firstSeed); seed <= lastSeed; seed++ {
		e.arrivals = append(e.arrivals, generate(seed, e.nodes, e.pods))
	}
	return e, nil
}

// list names the files of a pod list in the data folder.
func list(data, name string) (nodes, pods, arrivals, ranks string) {
	folder := filepath.Join(data, "openb-gpu-v2023")
	pods = filepath.Join(folder, "openb_pod_list_"+name+".csv")
	if _, err := os.Stat(pods); err != nil {
		pods += ".gz"
	}
	arrivals = filepath.Join(folder, "arrivals", "arrivals_"+name+".csv.gz")
	ranks = filepath.Join(folder, "arrivals", "node_rank_"+name+".csv.gz")
	if _, err := os.Stat(arrivals); err != nil {
		arrivals, ranks = "", ""
	}
	return filepath.Join(folder, "openb_node_list_gpu_node.csv"), pods, arrivals, ranks
}
