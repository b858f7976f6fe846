package volcano

import (
	"fmt"

	"volcano.sh/volcano/pkg/scheduler"
)

// CheckConfiguration judges a scheduler configuration before Volcano loads it. An error must stop
// the start; warnings name what will not work as its reader may expect. Volcano itself would fall
// back to its default configuration on an error, which shares no devices.
func CheckConfiguration(text string) (warnings []string, err error) {
	_, tiers, _, _, err := scheduler.UnmarshalSchedulerConf(text)
	if err != nil {
		return nil, fmt.Errorf("read scheduler configuration: %w", err)
	}
	found, predicates := false, false
	for i, tier := range tiers {
		for j, plugin := range tier.Plugins {
			switch plugin.Name {
			case PluginName:
				found = true
				s, errs := parseSettings(plugin.Arguments)
				if len(errs) > 0 {
					return nil, fmt.Errorf("tiers[%d].plugins[%d] (%s): %w", i, j, PluginName, errs.ToAggregate())
				}
				for _, note := range s.notes {
					warnings = append(warnings, "argument without effect: "+note)
				}
				if !s.enabled {
					warnings = append(warnings, argVGPU+" is false: no devices are shared")
				}
			case "predicates":
				predicates = true
			}
		}
	}
	if !found {
		warnings = append(warnings, "plugin "+PluginName+" is in no tier: pods that ask for shared devices are not bound")
	}
	if !predicates {
		warnings = append(warnings, "plugin predicates is in no tier: node affinity, taints and ports are not checked")
	}
	return warnings, nil
}

// DefaultConfiguration is what Volcano runs with when no configuration file is named.
func DefaultConfiguration() string { return scheduler.DefaultSchedulerConf }
