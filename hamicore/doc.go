// Package hamicore is the Go half of the in-container limiter's shared memory: it writes the agent
// page and an empty tenant region, and reads a tenant region. The layout is that of include/hc_abi.h,
// and a test compares the two.
//
// It owns the bytes and the fixed paths inside a container. It refuses to know where the files lie on
// the host, who mounts them, and what a limit is derived from; it does no I/O and holds no state.
//
// A region is written by the container, so ReadRegion trusts nothing in it: sizes and counts are
// checked against the bytes at hand and implausible numbers are refused. Read the file with pread
// into a buffer of your own, never through a map: the container may truncate it at any time.
package hamicore
