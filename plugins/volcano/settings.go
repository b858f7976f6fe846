package volcano

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/plugins/volcano/planning"
)

// Arguments of the in-tree plugin, as published.
const (
	argVGPU                = "deviceshare.VGPUEnable"
	argPolicy              = "deviceshare.SchedulePolicy"
	argWeight              = "deviceshare.ScheduleWeight"
	argNodeLock            = "deviceshare.NodeLockEnable"
	argGeometriesName      = "deviceshare.KnownGeometriesCMName"
	argGeometriesNamespace = "deviceshare.KnownGeometriesCMNamespace"
	argGPUSharing          = "deviceshare.GPUSharingEnable"
	argGPUNumber           = "deviceshare.GPUNumberEnable"
	argAscendMindCluster   = "deviceshare.AscendMindClusterVNPUEnable"
	argAscendHAMi          = "deviceshare.AscendHAMiVNPUEnable"
)

// Arguments of our own.
const (
	argGangPlan    = "deviceshare.GangPlan"
	argNodePolicy  = "deviceshare.NodePolicy"
	argCardPolicy  = "deviceshare.CardPolicy"
	argCardWeights = "deviceshare.CardWeights"
)

// defaultWeight makes packing count beside Volcano's other scores, which are of the same range.
const defaultWeight = 10

// replacements names the way out for each switch of the in-tree plugin that cannot be served: its
// loss would change placement or isolation, so it stops the start.
var replacements = map[string]string{
	argGPUSharing:        "set it to false and ask for volcano.sh/vgpu-number with volcano.sh/vgpu-memory instead of volcano.sh/gpu-memory",
	argGPUNumber:         "set it to false and ask for volcano.sh/vgpu-number or nvidia.com/gpu instead of volcano.sh/gpu-number",
	argAscendMindCluster: "set it to false here and keep Volcano's own scheduler for the Ascend nodes",
	argAscendHAMi:        "set it to false here and keep Volcano's own scheduler for the Ascend nodes",
}

// meaningless says why an argument that is read changes nothing.
var meaningless = map[string]string{
	argNodeLock:            "allocations are written in the Binding, there is no node lock",
	argGeometriesName:      "MIG geometries come from the node's agent",
	argGeometriesNamespace: "MIG geometries come from the node's agent",
}

// settings is what the plugin's arguments say.
type settings struct {
	// enabled is false only where the configuration says so.
	enabled bool
	// policy chooses nodes and cards where neither pod nor queue says how.
	policy request.Policy
	// weight multiplies the score of a node, 0 switches scoring off.
	weight int
	// gangPlan says which jobs are planned before their first task is placed.
	gangPlan planning.Mode
	// notes name arguments that change nothing, sorted.
	notes []string
}

// parseSettings reads the arguments under every type they were published in, and names all errors at
// once.
func parseSettings(args framework.Arguments) (settings, field.ErrorList) {
	s := settings{enabled: true, weight: defaultWeight, gangPlan: planning.Auto}
	var errs field.ErrorList
	for _, key := range sortedKeys(args) {
		path, value := field.NewPath("arguments").Key(key), args[key]
		switch key {
		case argVGPU:
			if v, err := asBool(value); err != nil {
				errs = append(errs, field.Invalid(path, value, err.Error()))
			} else {
				s.enabled = v
			}
		case argPolicy, argNodePolicy, argCardPolicy, argCardWeights:
			// Read below: the order in which they count is not that of their names.
		case argWeight:
			if v, err := asInt(value); err != nil || v < 0 {
				errs = append(errs, field.Invalid(path, value, "must be an integer of at least 0"))
			} else {
				s.weight = v
			}
		case argGangPlan:
			if v, ok := value.(string); !ok || !slices.Contains(planning.Modes(), planning.Mode(v)) {
				errs = append(errs, field.NotSupported(path, value, planning.Modes()))
			} else {
				s.gangPlan = planning.Mode(v)
			}
		case argGPUSharing, argGPUNumber, argAscendMindCluster, argAscendHAMi:
			if v, err := asBool(value); err != nil {
				errs = append(errs, field.Invalid(path, value, err.Error()))
			} else if v {
				errs = append(errs, field.Forbidden(path, "true is not supported: "+replacements[key]))
			}
		default:
			why, known := meaningless[key]
			if !known {
				why = "unknown argument"
			}
			s.notes = append(s.notes, fmt.Sprintf("%s (%s)", key, why))
		}
	}
	policy, policyErrs := parsePolicies(args)
	s.policy = policy
	return s, append(errs, policyErrs...)
}

// parsePolicies reads how nodes and cards are chosen. The published argument sets both, where ours do not
// say otherwise.
func parsePolicies(args framework.Arguments) (request.Policy, field.ErrorList) {
	path := field.NewPath("arguments")
	texts := map[string]string{}
	var errs field.ErrorList
	for _, key := range []string{argPolicy, argNodePolicy, argCardPolicy, argCardWeights} {
		value, set := args[key]
		text, isText := value.(string)
		switch {
		case set && !isText:
			errs = append(errs, field.Invalid(path.Key(key), value, "must be text"))
		case strings.TrimSpace(text) != "":
			texts[key] = text
		}
	}
	both, bothErrs := request.ParsePolicy(path, texts, request.PolicyKeys{Node: argPolicy})
	if len(bothErrs) == 0 {
		cards, _ := score.ParseCardPolicy(string(both.Node))
		both.Card = cards
	}
	own, ownErrs := request.ParsePolicy(path, texts, request.PolicyKeys{Node: argNodePolicy, Card: argCardPolicy, Weights: argCardWeights})
	return own.Or(both), append(append(errs, bothErrs...), ownErrs...)
}

func sortedKeys(args framework.Arguments) []string {
	keys := make([]string, 0, len(args))
	for k := range args {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func asBool(v any) (bool, error) {
	switch t := v.(type) {
	case bool:
		return t, nil
	case string:
		if b, err := strconv.ParseBool(strings.TrimSpace(t)); err == nil {
			return b, nil
		}
	}
	return false, fmt.Errorf("must be true or false")
}

func asInt(v any) (int, error) {
	switch t := v.(type) {
	case int:
		return t, nil
	case float64:
		if t == float64(int(t)) {
			return int(t), nil
		}
	case string:
		return strconv.Atoi(strings.TrimSpace(t))
	}
	return 0, fmt.Errorf("must be an integer")
}
