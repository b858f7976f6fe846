// Package fit judges whether a request fits on the cards of one node, and chooses the cards. It owns
// the rules of sharing: distinct cards per container, peak use over a pod's phases, cards for one
// container alone. It knows capacities and sums, not who holds them.
//
// Check and Place agree exactly, because both run the same search; they differ only in whether the
// result is kept. For one container the search is a count of cards and exact. For several it is a
// depth-first search, heaviest container first, that tries other cards when a later container finds no
// place. Its steps are bounded (see searchBudget): a pod of many unequal containers on a nearly full
// node may be refused although a placement exists; the bound is counted in steps, not time, so that
// the same input always gives the same answer.
//
// A search that would need to move an init container's cards counts them like all others: every
// container occupies its cards in a range of phases (see spans), and a card carries the largest sum
// over the phases.
package fit
