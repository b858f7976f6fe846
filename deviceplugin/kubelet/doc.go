// Package kubelet speaks with the kubelet of this node: it serves one device plugin endpoint for
// each count resource, and reads who holds which tokens from the kubelet's device checkpoint and
// its pod-resources API. It knows tokens and CDI names, not cards, pods of the API, or slices.
//
// The checkpoint is the kubelet's own durable record and the only place that names pod UID,
// container, token ids and our CDI name together, ordinary init containers included. It is
// documented nowhere, so all knowledge of its shape is in checkpoint.go, held by a golden file.
package kubelet
