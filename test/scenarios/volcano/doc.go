// Package volcano runs scenario rows in real Volcano sessions: Volcano's cache, actions and plugins
// with Basalt's in their places, over a fake API server (package volcanotest). It owns the translation
// of rows into Volcano's objects and configuration, and nothing else. A restart of the scheduler is a
// new cache and a new ledger over the same API objects.
package volcano
