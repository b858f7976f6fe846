// Package packing decides on which node, and on which of its cards, a pod does the least harm. It owns
// the pool, the nodes as arrays addressed by index, and the policies. It judges fit by package fit, and
// knows no pods, no gangs and no quotas: callers ask for the best node for a shape, take it, and undo
// what they do not keep.
//
// The policy Fragmentation asks what the recent mix of shapes loses when the pod is placed:
//
//   - A free part of a card is worth something to every class of demand in the mix that the card and
//     the node's CPU still serve: the class's part of the mix, divided by the part of the cluster's free
//     cards that can serve it. What few nodes have, be it a model, eight free cards or much CPU, is
//     dear; what all have is cheap.
//   - Free cards that the rest of the node cannot serve are stranded: beyond what its free CPU, memory
//     and pods suffice for, at the mean of the mix. Where the whole mix asks more of one of these for
//     each card than is left of it, nodes keep that much more for their cards.
//
// The harm is the worth that goes and the stranding that comes. Nodes with equal harm are taken fullest
// first, then by name. The mix is what Observe is told, with older weight fading; the worth is found
// anew only when the mix or the nodes have changed much, because it makes all scores stale.
//
// Scores are kept for each node and shape in a tournament per shape, so that a decision judges only the
// nodes that changed since the shape was last asked for. Nodes with the same left are judged once.
//
// A pool is not safe for concurrent use, and deterministic: the same calls give the same answers. Shapes
// live as long as their pool.
package packing
