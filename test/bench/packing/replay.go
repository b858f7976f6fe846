package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// experiment is a cluster and what arrives at it.
type experiment struct {
	nodes    []packing.Node
	pods     []pod
	arrivals []arrival
}

// curve is what is allocated, in percent of all cards, by what has arrived, in whole percent of them.
type curve struct {
	sums   []float64
	counts []int
	spent  time.Duration // of computing, for all arrivals
}

func (c *curve) add(arrived int, allocated float64) {
	for len(c.sums) <= arrived {
		c.sums, c.counts = append(c.sums, 0), append(c.counts, 0)
	}
	c.sums[arrived] += allocated
	c.counts[arrived]++
}

// at returns the mean of all values at a whole percent, false if there are none.
func (c *curve) at(arrived int) (float64, bool) {
	if arrived >= len(c.sums) || c.counts[arrived] == 0 {
		return 0, false
	}
	return round2(c.sums[arrived] / float64(c.counts[arrived])), true
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

// The names by which a replay is asked for, beside those of the pool's own policies.
const (
	// oracle is Fragmentation with the mix of the whole pod list known beforehand.
	oracle      = "fragmentation-oracle"
	nameFGD     = "fgd"
	nameBestFit = "bestfit"
)

var policies = []string{string(packing.Fragmentation), oracle, string(packing.Binpack), string(packing.Spread), nameFGD, nameBestFit}

// newPool makes the pool of a policy, empty.
func newPool(policy string, pods []pod) (*packing.Pool, error) {
	switch {
	case !slices.Contains(policies, policy):
		return nil, fmt.Errorf("-policy: %q must be one of %q", policy, policies)
	case policy == nameFGD:
		return packing.New(packing.Options{Judge: newFGD(pods)}), nil
	case policy == nameBestFit:
		return packing.New(packing.Options{Judge: bestFit{}}), nil
	case policy == oracle:
		return packing.New(packing.Options{}), nil
	}
	return packing.New(packing.Options{Policy: packing.Policy(policy)}), nil
}

// replay runs one seed. Pods come one by one and stay; one that fits nowhere is dropped, but has
// arrived. until bounds what arrives, in percent.
func (e *experiment) replay(policy string, run *arrival, until int) (*curve, error) {
	p, err := newPool(policy, e.pods)
	if err != nil {
		return nil, err
	}
	for i, n := range e.nodes {
		n.Name = fmt.Sprintf("%06d", run.rank[i]) // ties go by name: here, as published, by rank
		p.Set(n)
	}
	shapes := make([]packing.ShapeID, len(e.pods))
	for i := range e.pods {
		shapes[i] = p.Intern(e.pods[i].shape())
		if policy == oracle {
			p.Observe(shapes[i], 1)
		}
	}
	all := float64(capacity(e.nodes))
	c, arrived, allocated := &curve{}, 0, 0
	start := cpuTime()
	for _, i := range run.pods {
		arrived += e.pods[i].cards()
		percent := int(math.RoundToEven(100 * float64(arrived) / all))
		if percent > until {
			break
		}
		if policy != oracle {
			p.Observe(shapes[i], 1)
		}
		if node, ok := p.Best(shapes[i], nil); ok {
			if _, ok := p.Place(node, shapes[i]); !ok {
				return nil, fmt.Errorf("pod %s does not fit on node %s, which was called best", e.pods[i].name, p.Name(node))
			}
			allocated += e.pods[i].cards()
		}
		c.add(percent, round2(100*float64(allocated)/all))
	}
	c.spent = cpuTime() - start
	return c, nil
}
