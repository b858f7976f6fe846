package score

import (
	"fmt"
	"slices"
	"strings"
)

// NodePolicy says which of several nodes is preferred. The empty policy says nothing: whoever chooses
// may use a rule of its own, and this package packs.
type NodePolicy string

// The node policies.
const (
	NodeDefault NodePolicy = ""
	NodeBinpack NodePolicy = "binpack"
	NodeSpread  NodePolicy = "spread"
)

// NodePolicies returns the policies by name.
func NodePolicies() []NodePolicy { return []NodePolicy{NodeBinpack, NodeSpread} }

// ParseNodePolicy reads a policy; blanks around it mean nothing, and nothing is the default.
func ParseNodePolicy(text string) (NodePolicy, error) {
	p := NodePolicy(strings.TrimSpace(text))
	if p != NodeDefault && !slices.Contains(NodePolicies(), p) {
		return NodeDefault, unknownPolicy(string(p), NodePolicies())
	}
	return p, nil
}

// CardPolicy says which cards of a node are preferred, as a chain that was parsed once: up to three
// sort keys, the first of which weighs most, and the two policies that stand beside the order. The zero
// policy says nothing: whoever chooses may use a rule of its own, and this package spreads.
type CardPolicy uint16

// The chains of one policy each.
const (
	// CardDefault leaves the choice to whoever chooses.
	CardDefault CardPolicy = 0
	// Binpack fills the card that is used most, to keep whole cards free.
	Binpack CardPolicy = 1
	// Spread takes the card that is used least, to keep neighbours apart.
	Spread CardPolicy = 2
	// NUMA gathers the cards of a container on one NUMA node. Behind another key it only decides between
	// cards that are alike to that one.
	NUMA CardPolicy = 3
	// Mutex takes only cards that nothing else uses, and takes all of their shares. It is a condition,
	// not a preference: a pod that finds no such card waits.
	Mutex CardPolicy = 1 << mutexBit
	// Topology takes the cards with the best links between them; the sort keys decide between sets of
	// cards that are linked alike.
	Topology CardPolicy = 1 << topologyBit
)

// A chain is packed into its number: keyBits for each sort key, the first one lowest, then the bits.
const (
	keyBits     = 2
	keyMask     = 1<<keyBits - 1
	maxKeys     = 3
	mutexBit    = keyBits * maxKeys
	topologyBit = mutexBit + 1
)

var cardPolicies = []struct {
	name   string
	policy CardPolicy
}{
	{"binpack", Binpack}, {"spread", Spread}, {"mutex", Mutex}, {"numa", NUMA}, {"topology-aware", Topology},
}

// CardPolicies returns the names that a chain is made of.
func CardPolicies() []string {
	var names []string
	for _, c := range cardPolicies {
		names = append(names, c.name)
	}
	return names
}

// ParseCardPolicy reads a comma chain of policies. Blanks around a name, empty parts and repeated names
// mean nothing; a chain without any name is the default.
func ParseCardPolicy(text string) (CardPolicy, error) {
	p := CardDefault
	for part := range strings.SplitSeq(text, ",") {
		name := strings.TrimSpace(part)
		if name == "" {
			continue
		}
		next, ok := cardPolicyOf(name)
		if !ok {
			return CardDefault, unknownPolicy(name, CardPolicies())
		}
		p = p.then(next)
	}
	return p, nil
}

func cardPolicyOf(name string) (CardPolicy, bool) {
	for _, c := range cardPolicies {
		if c.name == name {
			return c.policy, true
		}
	}
	return CardDefault, false
}

// Chain puts chains of one policy each in one chain.
func Chain(policies ...CardPolicy) CardPolicy {
	p := CardDefault
	for _, next := range policies {
		p = p.then(next)
	}
	return p
}

// then appends a chain of one policy.
func (p CardPolicy) then(next CardPolicy) CardPolicy {
	if next > keyMask {
		return p | next
	}
	for i := range maxKeys {
		switch p.key(i) {
		case next:
			return p
		case CardDefault:
			return p | next<<(i*keyBits)
		}
	}
	return p
}

// key returns sort key i, CardDefault behind the last.
func (p CardPolicy) key(i int) CardPolicy { return p >> (i * keyBits) & keyMask }

// Mutex reports whether the chain wants cards that nothing else uses.
func (p CardPolicy) Mutex() bool { return p&Mutex != 0 }

// Topology reports whether the chain wants the best linked cards.
func (p CardPolicy) Topology() bool { return p&Topology != 0 }

// Gathers reports whether a container's cards should be on one NUMA node before all else.
func (p CardPolicy) Gathers() bool { return p.key(0) == NUMA }

// Keys returns only the sort keys of the chain.
func (p CardPolicy) Keys() CardPolicy { return p & (1<<mutexBit - 1) }

// String returns the chain in the form that ParseCardPolicy reads: conditions first, then the keys in
// their order.
func (p CardPolicy) String() string {
	var names []string
	for _, c := range cardPolicies {
		if c.policy > keyMask && p&c.policy != 0 {
			names = append(names, c.name)
		}
	}
	for i := range maxKeys {
		for _, c := range cardPolicies {
			if p.key(i) != CardDefault && c.policy == p.key(i) {
				names = append(names, c.name)
			}
		}
	}
	return strings.Join(names, ",")
}

func unknownPolicy[T ~string](name string, known []T) error {
	var names []string
	for _, k := range known {
		names = append(names, string(k))
	}
	return fmt.Errorf("unknown policy %q: must be of %s", name, strings.Join(names, ", "))
}

// numaBits is room for more NUMA nodes than any machine has.
const numaBits = 16

// Card returns how much the policy likes a card with the given use on the given NUMA node. It is
// comparable between cards; higher is better. A chain without a sort key spreads: neighbours on a card
// cost each other compute.
func (p CardPolicy) Card(use int64, numa int) int64 {
	if p.key(0) == CardDefault {
		return Full - use
	}
	var v int64
	for i := range maxKeys {
		switch p.key(i) {
		case Binpack:
			v = v<<numaBits + use
		case Spread:
			v = v<<numaBits + Full - use
		case NUMA:
			v = v<<numaBits + (1<<numaBits - 1) - int64(min(max(numa, 0), 1<<numaBits-1))
		}
	}
	return v
}
