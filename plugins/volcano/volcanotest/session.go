package volcanotest

import (
	"fmt"
	"strings"

	"volcano.sh/volcano/pkg/scheduler"
	"volcano.sh/volcano/pkg/scheduler/api"
	"volcano.sh/volcano/pkg/scheduler/conf"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// Configuration lists the plugins in the order of a real configuration, with the arguments of ours as
// a YAML flow map without braces.
func Configuration(actionNames, arguments string) string {
	return ConfigurationOf(actionNames, []string{"name: gang"},
		[]string{"name: predicates", fmt.Sprintf("name: deviceshare\n    arguments: {%s}", arguments)})
}

// ConfigurationOf is a scheduler configuration of tiers, each a list of plugin entries.
func ConfigurationOf(actionNames string, tiers ...[]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "actions: %q\ntiers:\n", actionNames)
	for _, plugins := range tiers {
		b.WriteString("- plugins:\n")
		for _, p := range plugins {
			fmt.Fprintf(&b, "  - %s\n", p)
		}
	}
	return b.String()
}

// Open opens a session, and returns it with the actions of its configuration. Before, it waits until
// Volcano's cache and the ledger have seen what the API holds, held events aside.
func (c *Cluster) Open(configuration string) (*framework.Session, []framework.Action) {
	c.tb.Helper()
	list, tiers, configurations, _, err := scheduler.UnmarshalSchedulerConf(configuration)
	if err != nil {
		c.tb.Fatal(err)
	}
	conf.EnabledActionMap = map[string]bool{}
	for _, a := range list {
		conf.EnabledActionMap[a.Name()] = true
	}
	c.Settle()
	return framework.OpenSession(c.Cache, tiers, configurations), list
}

// Session runs one whole session.
func (c *Cluster) Session(configuration string) {
	c.tb.Helper()
	ssn, list := c.Open(configuration)
	for _, a := range list {
		a.Execute(ssn)
	}
	framework.CloseSession(ssn)
}

// Sessions runs n sessions, one after the other.
func (c *Cluster) Sessions(n int, configuration string) {
	c.tb.Helper()
	for range n {
		c.Session(configuration)
	}
}

// Task finds a task in a session by its pod's name.
func (c *Cluster) Task(ssn *framework.Session, name string) *api.TaskInfo {
	c.tb.Helper()
	for _, job := range ssn.Jobs {
		for _, task := range job.Tasks {
			if task.Name == name {
				return task
			}
		}
	}
	c.tb.Fatalf("session has no task %s", name)
	return nil
}
