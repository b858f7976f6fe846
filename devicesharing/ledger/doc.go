// Package ledger owns who has which part of which card, in the whole process.
package ledger
