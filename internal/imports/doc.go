// Package imports holds the test that keeps the import directions of docs/architecture.md.
package imports
