// Package quota says what a pod's devices count in a quota, and whether a queue or a namespace may
// have them. It owns the four dimensions of a quota, the names under which limits are written, the
// tree of queues and the texts of its refusals. It knows no scheduler: who is placed, and when, is
// told to it, and what it answers is a value.
//
// A charge is a total, unlike a request, whose amounts are per card: four cards of 10,000 MiB are
// charged 40,000 MiB. Containers of a pod that never run together are charged by the largest sum of
// those that do, as Kubernetes charges cpu and memory.
package quota
