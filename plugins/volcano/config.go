package volcano

import (
	"fmt"
	"slices"

	"volcano.sh/volcano/pkg/scheduler"
	"volcano.sh/volcano/pkg/scheduler/conf"
	"volcano.sh/volcano/pkg/scheduler/framework"
)

// CheckConfiguration judges a scheduler configuration before Volcano loads it. An error must stop
// the start; warnings name what will not work as its reader may expect. Volcano itself would fall
// back to its default configuration on an error, which shares no devices.
func CheckConfiguration(text string) (warnings []string, err error) {
	actionList, tiers, _, _, err := scheduler.UnmarshalSchedulerConf(text)
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
	quotaWarnings, err := checkQuota(actionList, tiers)
	return append(warnings, quotaWarnings...), err
}

// deciders are Volcano's plugins that name victims of action reclaim.
var deciders = []string{"gang", "conformance", "pdb", "cdp", "extender"}

// checkQuota judges where the plugin of queue quotas stands. Volcano takes the victims of the first
// tier that names any, and of that tier only those that all its plugins name.
func checkQuota(actionList []framework.Action, tiers []conf.Tier) (warnings []string, err error) {
	own, ok := findPlugin(tiers, QuotaPluginName)
	if !ok {
		return nil, nil
	}
	if _, ok := findPlugin(tiers, PluginName); !ok {
		warnings = append(warnings, "plugin "+QuotaPluginName+" has nothing to judge without plugin "+PluginName)
	}
	beside := false
	for _, name := range []string{"capacity", "proportion"} {
		other, ok := findPlugin(tiers, name)
		switch {
		case !ok:
			continue
		case other.tier != own.tier:
			return warnings, fmt.Errorf("%s: plugin %s must be in the tier of plugin %s, tiers[%d]: Volcano would ask one of them only",
				own, QuotaPluginName, name, other.tier)
		case other.index < own.index:
			return warnings, fmt.Errorf("%s: plugin %s must stand before plugin %s: it puts the victims of action reclaim in order",
				own, QuotaPluginName, name)
		}
		beside = true
	}
	if !beside {
		warnings = append(warnings, "neither plugin capacity nor plugin proportion is in a tier: queues are limited by devices only")
	}
	if slices.ContainsFunc(actionList, func(a framework.Action) bool { return a.Name() == "reclaim" }) {
		return warnings, checkDeciders(own, tiers)
	}
	return warnings, nil
}

// checkDeciders refuses plugins that name victims of action reclaim in another tier than the plugin of
// queue quotas: where theirs decides, it is not asked.
func checkDeciders(own place, tiers []conf.Tier) error {
	for _, name := range deciders {
		other, ok := findPlugin(tiers, name)
		if ok && other.tier != own.tier && isOn(tiers[other.tier].Plugins[other.index].EnabledReclaimable) {
			return fmt.Errorf("%s: plugin %s names victims of action reclaim, and plugin %s is in another tier: guarantees of queues would not hold; "+
				"move it into tiers[%d], or give it enableReclaimable: false", other, name, QuotaPluginName, own.tier)
		}
	}
	return nil
}

func isOn(b *bool) bool { return b == nil || *b }

// place is where a plugin stands in a configuration.
type place struct{ tier, index int }

func (p place) String() string { return fmt.Sprintf("tiers[%d].plugins[%d]", p.tier, p.index) }

// findPlugin returns the first place of a plugin.
func findPlugin(tiers []conf.Tier, name string) (place, bool) {
	for i := range tiers {
		for j := range tiers[i].Plugins {
			if tiers[i].Plugins[j].Name == name {
				return place{i, j}, true
			}
		}
	}
	return place{}, false
}

// DefaultConfiguration is what Volcano runs with when no configuration file is named.
func DefaultConfiguration() string { return scheduler.DefaultSchedulerConf }
