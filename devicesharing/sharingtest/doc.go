// Package sharingtest builds pods, requests and nodes for tests, so that a test shows only what it is
// about. It decides nothing, and production code does not import it.
package sharingtest
