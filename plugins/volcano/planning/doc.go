// Package planning brings the gang planner into Volcano's allocate action. Before the first task of a job
// is placed, it plans all of them, and nominates each to its planned node, so that the action tests one
// node instead of hundreds. It owns the copy of the cluster that is planned on, the translation of jobs
// into gangs, and the check of planned nodes by the session's real predicates. It refuses to know how
// nodes and cards are chosen: that is devicesharing/gang and devicesharing/packing.
//
// A plan lives from the first PrePredicate of its job to the end of the action; other actions see none.
// All calls but Request and Refusal come from the session's goroutine, so there is no lock.
package planning
