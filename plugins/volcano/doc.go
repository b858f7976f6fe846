// Package volcano plugs the ledger into Volcano's scheduler: a plugin that takes the place of the
// in-tree deviceshare, the Binder that writes an allocation in the Binding itself, and the wrapped
// allocate action (folder actions). The plugin of queue quotas is in folder gpuquota.
//
// It owns the translation between Volcano's sessions and the ledger. It refuses to know how a card
// is chosen: requests, fit, score and books belong to devicesharing. Lines that depend on Volcano's
// version stand in compat.go.
//
// Volcano builds its plugins anew for every session; whatever outlives a session is in Adapter, of
// which the process has one. Locks: the request table and the shortage table each have one, neither
// is held while the ledger or Volcano is called.
package volcano
