// Package ledger owns who has which part of which card, in the whole process. It is fed with what the
// API server says (nodes and bound pods) and with what the scheduler decides (holds), and answers
// whether a request fits. It knows no scheduler, no clock and no API client; it starts no goroutine.
//
// A pod goes held -> assumed -> bound -> releasing -> gone. Every call is keyed by pod UID and may be
// repeated. Two books are kept per card. The now book counts all that pods occupy: held, assumed,
// bound, releasing. The future book leaves out what is being released or evicted, and counts the
// holds that wait for it. A request that wants cards now must leave room in both.
//
// What a pod has is never dropped because a node changed: a card that disappears or falls sick keeps
// its use and is merely not offered, and a pod seen before its node waits on a node without cards.
// Over-commitment that is a fact in the cluster is recorded, not refused: only Hold refuses.
//
// Locks. Pods are sharded by UID, nodes by name, one lock per shard. Lock order: a pod shard before a
// node shard; at most one of each at a time, but for Snapshot, which takes all pod shards and then all
// node shards, in index order. Fits and Score take one node shard for reading, nothing else.
package ledger
