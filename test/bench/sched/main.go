// Command sched benchmarks scheduling sessions: Volcano's real cache snapshot, session and allocate
// action, in process, with Basalt's plugin, with Volcano's in-tree deviceshare, and with neither, on
// the same clusters and jobs. It prints one JSON line per figure; docs/benchmarks.md says what they
// mean.
//
// Each measurement runs in a process of its own, because Volcano keeps plugins, ignored resources and
// the in-tree plugin's switches in globals.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
)

func main() {
	o := options{}
	flag.StringVar(&o.out, "out", "build/bench/sched.jsonl", "file that receives the same lines")
	flag.StringVar(&o.plugins, "plugins", defaultPlugins,
		"plugins of a session: tiers separated by semicolons, plugins by commas; those that share devices are left out where they are compared with")
	flag.BoolVar(&o.quick, "quick", false, "measure small clusters, once: shows that the benchmark works, not how fast anything is")
	flag.StringVar(&o.profiles, "profiles", "", "folder that receives a CPU profile of each measurement's timed part")
	only := flag.String("only", "", "measure only the figures whose name matches this regular expression")
	worker := flag.String("worker", "", "measurement to run in this process, as JSON (internal)")
	flag.Parse()

	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		err = fmt.Errorf("-only: %w", err)
	} else if *worker != "" {
		err = work(*worker)
	} else {
		err = measure(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench sched:", err)
		os.Exit(1)
	}
}
