// Command philly replays jobs derived from Microsoft's Philly trace on a simulated cluster of whole
// cards, with the gang planner and with greedy placement pod by pod, and prints one JSON line per figure:
// job completion time (JCT) and idle card-hours of ours over theirs; below 1 is better.
//
// philly.QUANTITY.ratio compares with the greedy placement that the default configuration of Volcano
// amounts to for cards: no plugin scores them, and nodes of equal score are drawn by lot. It is the
// geometric mean over the traces and over two ways to cut a job of up to a node's cards into pods: one
// pod, or one for each card. philly.fullest.* and philly.emptiest.* compare in the same way with greedy
// placements that score cards. All of them start jobs in the order of arrival, pass over what does not
// fit, and place a job wholly or not at all; so they differ in the choice of nodes alone. A job runs as
// long as the trace says, wherever its pods are: the data know no cost of distance.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/basalt-gpu/basalt/test/bench/figures"
)

// options are the command's flags.
type options struct {
	data  string
	out   string
	cards int
	load  float64
	lots  int
}

// clusterFor returns a cluster on which the trace offers the given load: the card-seconds of its jobs over
// those of the cluster between the first arrival and the last. It holds the largest job.
func (o options) clusterFor(jobs []job) cluster {
	work, largest := 0.0, 0
	for i := range jobs {
		work += float64(jobs[i].duration) * float64(jobs[i].cards)
		largest = max(largest, jobs[i].cards)
	}
	span := float64(jobs[len(jobs)-1].submit - jobs[0].submit)
	nodes := int(math.Ceil(work / span / o.load / float64(o.cards)))
	return cluster{nodes: max(nodes, (largest+o.cards-1)/o.cards), cards: o.cards}
}

// quantities are what one replay is judged by.
type quantities struct {
	jctMean, jctP99, idle, idleWaiting float64
}

var quantityNames = []string{"jct_mean", "jct_p99", "idle", "idle_waiting"}

func (q quantities) list() []float64 { return []float64{q.jctMean, q.jctP99, q.idle, q.idleWaiting} }

func hours(o outcome) quantities {
	return quantities{jctMean: o.mean() / 3600, jctP99: o.p99() / 3600, idle: o.idle / 3600, idleWaiting: o.idleWaiting / 3600}
}

// comparison is a trace, its jobs cut in one way, under all placements.
type comparison struct {
	trace    string
	together bool
	cluster  cluster
	ours     quantities
	theirs   map[order]quantities // of any: the mean over the lots
}

// name tells comparisons apart in the names of figures.
func (c *comparison) name() string {
	if c.together {
		return c.trace + ".one_pod"
	}
	return c.trace + ".one_card_pods"
}

func (o options) compare(t string, jobs []job, together bool) (*comparison, error) {
	c := &comparison{trace: t, together: together, cluster: o.clusterFor(jobs), theirs: map[order]quantities{}}
	cards := c.cluster.nodes * c.cluster.cards
	ours, err := run(jobs, cards, newPlanned(c.cluster, together))
	if err != nil {
		return nil, fmt.Errorf("trace %s, planned: %w", t, err)
	}
	c.ours = hours(ours)
	for _, by := range []order{anyNode, fullest, emptiest} {
		lots := 1
		if by == anyNode {
			lots = o.lots
		}
		var sum quantities
		for lot := range lots {
			out, err := run(jobs, cards, newGreedy(c.cluster, by, together, uint64(lot)))
			if err != nil {
				return nil, fmt.Errorf("trace %s, greedy by %s: %w", t, by, err)
			}
			q := hours(out)
			sum.jctMean += q.jctMean / float64(lots)
			sum.jctP99 += q.jctP99 / float64(lots)
			sum.idle += q.idle / float64(lots)
			sum.idleWaiting += q.idleWaiting / float64(lots)
		}
		c.theirs[by] = sum
	}
	return c, nil
}

// all makes every comparison, as many at once as there are cores.
func (o options) all() ([]*comparison, error) {
	var wait sync.WaitGroup
	free := make(chan struct{}, runtime.NumCPU())
	comparisons := make([]*comparison, 2*len(traces))
	errs := make([]error, len(comparisons))
	for i, t := range traces {
		jobs, err := t.read(filepath.Join(o.data, "philly-derived-jobs"))
		if err != nil {
			return nil, err
		}
		for k, together := range []bool{true, false} {
			wait.Add(1)
			go func() {
				defer wait.Done()
				free <- struct{}{}
				defer func() { <-free }()
				comparisons[2*i+k], errs[2*i+k] = o.compare(t.name, jobs, together)
			}()
		}
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return comparisons, nil
}

// report prints the means over all comparisons, then each comparison.
func report(all []*comparison, print func(name string, value float64, unit string)) {
	for _, by := range []order{anyNode, fullest, emptiest} {
		prefix := "philly."
		if by != anyNode {
			prefix += string(by) + "."
		}
		for q, name := range quantityNames {
			product := 1.0
			for _, c := range all {
				product *= c.ours.list()[q] / c.theirs[by].list()[q]
			}
			print(prefix+name+".ratio", math.Pow(product, 1/float64(len(all))), "ours/greedy")
		}
	}
	for _, c := range all {
		prefix := "philly." + c.name() + "."
		print(prefix+"nodes", float64(c.cluster.nodes), "nodes")
		for q, name := range quantityNames {
			print(prefix+name+".hours", c.ours.list()[q], "h")
			for _, by := range []order{anyNode, fullest, emptiest} {
				print(prefix+name+"."+string(by)+".ratio", c.ours.list()[q]/c.theirs[by].list()[q], "ours/greedy")
			}
		}
	}
}

func start(o options) error {
	if o.cards < 1 || o.load <= 0 || o.lots < 1 {
		return fmt.Errorf("-cards %d, -load %g, -lots %d: all must be above zero", o.cards, o.load, o.lots)
	}
	all, err := o.all()
	if err != nil {
		return err
	}
	p, err := figures.Create(o.out)
	if err != nil {
		return err
	}
	report(all, p.Print)
	return p.Close()
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "../shared/data", "folder that has philly-derived-jobs")
	flag.StringVar(&o.out, "out", "philly.jsonl", "file that receives the same lines")
	flag.IntVar(&o.cards, "cards", 8, "cards of a node")
	flag.Float64Var(&o.load, "load", 0.8, "offered load; it sets the number of nodes for each trace")
	flag.IntVar(&o.lots, "lots", 5, "how often the greedy placement by lot is replayed")
	flag.Parse()
	if err := start(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench philly:", err)
		os.Exit(1)
	}
}
