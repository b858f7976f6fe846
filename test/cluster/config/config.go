// Package config holds the configuration files that the test cluster brings along.
package config

import _ "embed"

// SchedulerConf is the scheduler's configuration: gangs, shared devices, queues.
//
//go:embed volcano-scheduler.conf
var SchedulerConf []byte
