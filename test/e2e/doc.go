// Package e2e shows on the embedded cluster (test/cluster) what Basalt promises its users: real pods,
// placed by the real scheduler, started by a real kubelet through the device plugin, confined by the
// limiter over the fake driver. The suite owns no rule about cards; it compares what users asked with
// what they got, and adds up by itself (see auditor) what the ledger claims.
//
// It runs only with BASALT_E2E=1 and inside the cluster's network namespace: `make test-e2e`. Every
// spec works in a namespace of its own and leaves the cluster as it found it: all components running
// with their usual arguments, no pod left, the ledger empty.
package e2e
