// Package cluster is the handle of a running embedded cluster, for the end-to-end suite and for
// demonstrations: where its API server is, and how to stop, kill, start and ask its components. It
// knows no test and no GPU; bringing the cluster up and down is the basalt-cluster command's.
//
// Everything works from any network namespace: connections of the configurations returned here are
// made inside the cluster's namespace. Programs that only read the kubeconfig must run inside it
// (`basalt-cluster run -- COMMAND`).
package cluster
