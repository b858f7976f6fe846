// Package feed keeps a ledger in step with the API server: nodes' registrations become cards, bound
// pods' allocations become used slices, and both are given back when the objects go.
//
// It owns the translation of API objects into the ledger's plain values and nothing else: which
// slice fits where, and what a request means, is decided by devicesharing. It refuses to guess: a
// node name counts only together with an allocation that names that node, and a registration that
// cannot be read offers no cards.
//
// Feed locks only its own small tables; the lock is never held while the ledger is called.
package feed
