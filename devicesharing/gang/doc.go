// Package gang plans where all members of a gang go before the first of them is placed. It owns the
// order in which members are placed, the choice of a topology domain, and the reasons why a gang finds
// no place. It judges fit, and chooses nodes and cards, by package packing; it knows no pods, no queues
// and no scheduler: who may run where beside the cards is handed in as sets of nodes.
//
// A plan is made on the pool itself, by placing and undoing: when Plan returns, the pool is as it was.
//
// Plan never refuses a gang that plain first fit would place: harder shapes first, each member on the
// first node, by index, on which it fits. It counts before it places, and what the count refuses cannot
// be placed by anyone; what its own choice of nodes cannot place is tried by first fit, once with the
// members that the caller's order prefers, once with any that are enough.
package gang
