// Package gpuquota is the Volcano plugin that holds the device limits of queues and of namespaces. It
// reads the natural names of devices in spec.capability, spec.deserved and spec.guarantee, where
// Volcano's own plugins leave them alone, and charges true totals: per-card values times cards,
// percentages and whole cards resolved.
//
// It owns the translation between Volcano's sessions and package quota, which decides. It stands
// beside capacity or proportion, in their tier, and only ever adds refusals to theirs: what they
// judge by cpu, memory and counts stays theirs.
//
// Volcano builds plugins anew for every session; what outlives sessions is in Quota, of which the
// process has one. A session's fields change in its own goroutine only; parallel predicates read them.
package gpuquota
