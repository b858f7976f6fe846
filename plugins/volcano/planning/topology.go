package planning

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/gang"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// topology returns the HyperNodes of the session as domains, the tightest tier first. The pools of a
// session know different indexes of a node, so each has its own.
func (s *session) topology(pool *packing.Pool) []gang.Tier {
	if tiers, known := s.tiers[pool]; known {
		return tiers
	}
	var tiers []gang.Tier
	for _, level := range slices.Sorted(slices.Values(s.ssn.HyperNodesTiers)) {
		tier := gang.Tier{Name: fmt.Sprint(level)}
		for _, name := range sets.List(s.ssn.HyperNodesSetByTier[level]) {
			if name != framework.ClusterTopHyperNode {
				tier.Domains = append(tier.Domains, gang.Domain{Name: name, Nodes: setOf(pool, s.ssn.RealNodesSet[name])})
			}
		}
		if len(tier.Domains) > 0 {
			tiers = append(tiers, tier)
		}
	}
	s.tiers[pool] = tiers
	return tiers
}

func setOf(pool *packing.Pool, names sets.Set[string]) *packing.Set {
	set := &packing.Set{}
	for name := range names {
		if i, known := pool.Index(name); known {
			set.Add(i)
		}
	}
	return set
}
