// Package wire owns every annotation by which cards and allocations travel: our own versioned JSON
// and the legacy forms of HAMi and Volcano vGPU. Nobody else builds or parses these strings. It knows
// no placement: it says what is written, and refuses what cannot be meant.
package wire
