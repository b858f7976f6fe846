// Package volcanotest runs Volcano in a test: its real cache, sessions, actions and plugins, with
// Basalt's adapter in place, over a fake clientset that keeps the API server's rules about Bindings,
// status updates and graceful deletion.
//
// It owns builders of nodes, pods, gangs and queues, and Cluster, which runs sessions and shows what
// came of them: Bindings, conditions, events, evictions and the ledger. Events of the watch can be
// delayed or lost. It decides nothing, and production code does not import it.
//
// Volcano keeps plugins, actions and ignored resource names in globals: clusters of one process must
// not run at the same time, and the newest one's adapter is in place. Locks: storing
// orders changes of objects, mu guards Cluster's own tables; mu may be taken under storing and is never
// held while the clientset is called.
package volcanotest
