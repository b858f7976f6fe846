package request

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// The annotations by which pods and queues say how nodes and cards are chosen for them.
const (
	NodePolicyKey = "hami.io/node-scheduler-policy"
	CardPolicyKey = "hami.io/gpu-scheduler-policy"
	WeightsKey    = "hami.io/device-scoring-weights"
	// GroupPolicyKey stands on pods or on their PodGroup: "spread" keeps the group's pods off each other's
	// cards.
	GroupPolicyKey     = "volcano.sh/vgpu-podgroup-policy"
	QueueNodePolicyKey = "basalt.io/node-scheduler-policy"
	QueueCardPolicyKey = "basalt.io/gpu-scheduler-policy"
	QueueWeightsKey    = "basalt.io/device-scoring-weights"
)

// PolicyKeys names the annotations of one kind of object.
type PolicyKeys struct {
	Node, Card, Weights, Group string
}

// PodPolicyKeys returns the annotations of pods.
func PodPolicyKeys() PolicyKeys {
	return PolicyKeys{Node: NodePolicyKey, Card: CardPolicyKey, Weights: WeightsKey, Group: GroupPolicyKey}
}

// GroupPolicyKeys returns the annotations of PodGroups.
func GroupPolicyKeys() PolicyKeys { return PolicyKeys{Group: GroupPolicyKey} }

// QueuePolicyKeys returns the annotations of queues.
func QueuePolicyKeys() PolicyKeys {
	return PolicyKeys{Node: QueueNodePolicyKey, Card: QueueCardPolicyKey, Weights: QueueWeightsKey}
}

// ParsePolicy reads a policy from annotations and returns all errors at once. What is refused is unset.
func ParsePolicy(path *field.Path, annotations map[string]string, keys PolicyKeys) (Policy, field.ErrorList) {
	var p Policy
	var errs field.ErrorList
	read := func(key string, parse func(text string) error) {
		if text, ok := annotations[key]; ok {
			if err := parse(text); err != nil {
				errs = append(errs, field.Invalid(path.Key(key), text, err.Error()))
			}
		}
	}
	read(keys.Node, func(text string) (err error) { p.Node, err = score.ParseNodePolicy(text); return err })
	read(keys.Card, func(text string) (err error) { p.Card, err = score.ParseCardPolicy(text); return err })
	read(keys.Weights, func(text string) (err error) { p.Weights, err = score.ParseWeights(text); return err })
	read(keys.Group, func(text string) (err error) { p.Apart, err = parseGroupPolicy(text); return err })
	return p, errs
}

// parseGroupPolicy reads the one policy that is published.
func parseGroupPolicy(text string) (apart bool, err error) {
	switch strings.TrimSpace(text) {
	case "":
		return false, nil
	case string(score.NodeSpread):
		return true, nil
	}
	return false, fmt.Errorf("must be %s", score.NodeSpread)
}
