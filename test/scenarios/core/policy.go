package core

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/test/scenarios"
)

// The arguments of plugin deviceshare by which nodes and cards are chosen. The first one is Volcano's
// and means both.
const (
	bothPolicyKey = "deviceshare.SchedulePolicy"
	nodePolicyKey = "deviceshare.NodePolicy"
	cardPolicyKey = "deviceshare.CardPolicy"
	weightsKey    = "deviceshare.CardWeights"
)

// policy reads the policy of the row's configuration.
func policy(t testing.TB, row *scenarios.Row) request.Policy {
	t.Helper()
	own := parsePolicy(t, row.Arguments, request.PolicyKeys{Node: nodePolicyKey, Card: cardPolicyKey, Weights: weightsKey})
	both := parsePolicy(t, row.Arguments, request.PolicyKeys{Node: bothPolicyKey})
	both.Card, _ = score.ParseCardPolicy(string(both.Node))
	return own.Or(both)
}

// queuePolicies reads the policies of the row's queues, by name.
func queuePolicies(t testing.TB, row *scenarios.Row) map[string]request.Policy {
	t.Helper()
	policies := map[string]request.Policy{}
	for i := range row.Queues {
		policies[row.Queues[i].Name] = parsePolicy(t, row.Queues[i].Annotations, request.QueuePolicyKeys())
	}
	return policies
}

func parsePolicy(t testing.TB, values map[string]string, keys request.PolicyKeys) request.Policy {
	t.Helper()
	p, errs := request.ParsePolicy(field.NewPath("row"), values, keys)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return p
}
