// Package agent is the order of things on a node: which calls of the kubelet lead to which files. It
// finds the container that starts, pins its pod's allocation, and writes the container's limits,
// region and CDI spec. It follows the health of cards and removes what belongs to pods that are gone.
//
// It fails closed: a container whose slice cannot be established exactly is not started, with the
// reason in an event of its pod, and the kubelet tries again. It keeps working while the API server is
// away, for every pod that was started once: the frozen record has all that is needed.
//
// Identity is pod UID, container name and CDI name together; token ids alone never are, because init
// and app containers share them and later pods use them again.
//
// Locks: a turn of a pod (turns) may be held over calls into all other packages; mu guards maps only.
// A turn is never taken while mu is held.
package agent
