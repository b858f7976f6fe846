package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand"
	"slices"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// arrival is one run of the experiment: the pods in the order in which they come, by place in the pod
// list, and for each node the rank that decides between equals.
type arrival struct {
	seed int64
	pods []int
	rank []int
}

// The published experiment: seeds, and what arrives in all, as a part of the cards there are.
const (
	firstSeed, lastSeed = 42, 51
	demandRatio         = 1.3
)

// generate draws the arrivals of the published experiment. The order of the draws is part of it.
func generate(seed int64, nodes []packing.Node, pods []pod) arrival {
	r := rand.New(rand.NewSource(seed))
	r.Int()
	order := make([]int, len(pods))
	demand := 0
	for i := range pods {
		order[i] = i
		demand += pods[i].cards()
	}
	r.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	limit := int(math.Round(demandRatio * float64(capacity(nodes))))
	for demand > limit {
		i := r.Intn(len(order))
		demand -= pods[order[i]].cards()
		if order = slices.Delete(order, i, i+1); demand <= limit {
			return finish(r, seed, order, len(nodes))
		}
	}
	for {
		i := r.Intn(len(pods))
		if demand+pods[i].milli > limit { // the share of one card, though the pod may ask several
			return finish(r, seed, order, len(nodes))
		}
		demand += pods[i].cards()
		order = append(order, i)
	}
}

func finish(r *rand.Rand, seed int64, order []int, nodes int) arrival {
	for range 10 { // the published program's libraries draw between the pods and the ranks
		r.Int63()
	}
	return arrival{seed: seed, pods: order, rank: r.Perm(nodes)}
}

// capacity returns the cards there are, in thousandths.
func capacity(nodes []packing.Node) int {
	cards := 0
	for i := range nodes {
		cards += len(nodes[i].Cards.Cards)
	}
	return cards * cardMilli
}

// readArrivals returns the runs of an arrivals file and of a rank file, by seed.
func readArrivals(path, rankPath string, nodes []packing.Node, pods []pod) ([]arrival, error) {
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	if err := t.require("seed", "position", "pod"); err != nil {
		return nil, err
	}
	places := map[string]int{}
	for i := range pods {
		places[pods[i].name] = i
	}
	runs := map[int64]*arrival{}
	for i := range t.rows {
		seed := t.number(i, "seed", &err)
		at, known := places[t.text(i, "pod")]
		if !known {
			return nil, fmt.Errorf("read %s: row %d: pod %q is not in the pod list", path, i+2, t.text(i, "pod"))
		}
		if runs[seed] == nil {
			runs[seed] = &arrival{seed: seed}
		}
		if position := t.number(i, "position", &err); position != int64(len(runs[seed].pods)) {
			return nil, fmt.Errorf("read %s: row %d: position %d must be %d", path, i+2, position, len(runs[seed].pods))
		}
		runs[seed].pods = append(runs[seed].pods, at)
	}
	if err != nil {
		return nil, err
	}
	return withRanks(runs, rankPath, nodes)
}

// withRanks adds the ranks to the runs. Without a rank file nodes rank by name.
func withRanks(runs map[int64]*arrival, path string, nodes []packing.Node) ([]arrival, error) {
	places := map[string]int{}
	for i := range nodes {
		places[nodes[i].Name] = i
	}
	var all []arrival
	for _, run := range runs {
		run.rank = make([]int, len(nodes))
		for i := range run.rank {
			run.rank[i] = i
		}
		all = append(all, *run)
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.seed, b.seed) })
	if path == "" {
		return all, nil
	}
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	if err := t.require("seed", "node", "rank"); err != nil {
		return nil, err
	}
	for i := range t.rows {
		at, known := places[t.text(i, "node")]
		if !known {
			return nil, fmt.Errorf("read %s: row %d: node %q is not in the node list", path, i+2, t.text(i, "node"))
		}
		if run := runs[t.number(i, "seed", &err)]; run != nil {
			run.rank[at] = int(t.number(i, "rank", &err))
		}
	}
	return all, err
}
