package main

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// The shapes of clusters and jobs.
const (
	cardsPerNode = 8
	gangSize     = 64
	quarter      = 4  // pods to a card
	freeOf       = 20 // of a full cluster, one node in 20 is empty
)

// share asks for a quarter of a card, in the names that the in-tree plugin reads, too.
var share = vt.Asks{
	v1.ResourceCPU: "1", v1.ResourceMemory: "1Gi", vt.ResourceVGPU: "1",
	"volcano.sh/vgpu-memory": fmt.Sprint(vt.CardMemory / quarter), "volcano.sh/vgpu-cores": fmt.Sprint(100 / quarter),
}

// whole asks for a card that is not shared, as jobs do that know nothing of sharing.
var whole = vt.Asks{v1.ResourceCPU: "1", v1.ResourceMemory: "1Gi", vt.ResourceGPU: "1"}

// node is a node with eight cards. Where cards are not shared there is one token to a card.
func node(i int, shared bool) *v1.Node {
	b := vt.MakeNode(nodeName(i)).VolcanoVGPU()
	cards := vt.Cards(nodeName(i), cardsPerNode)
	if !shared {
		for c := range cards {
			cards[c].Slots = 1
		}
	}
	return b.With(cards...).Obj()
}

func nodeName(i int) string { return fmt.Sprintf("node-%05d", i) }

// empty is a cluster of n nodes.
func empty(n int, shared bool) []runtime.Object {
	var out []runtime.Object
	for i := range n {
		out = append(out, node(i, shared))
	}
	return out
}

// gangs are n gangs of pending pods. Pods of one role are alike for Volcano: it remembers which nodes
// refused the first of them.
func gangs(n int, asks vt.Asks, role string) []runtime.Object {
	var out []runtime.Object
	for i := range n {
		out = append(out, vt.MakeGang(fmt.Sprintf("gang-%03d", i), gangSize, asks).
			Each(func(_ int, p *vt.PodBuilder) {
				if role != "" {
					p.Role(role)
				}
			}).Objects()...)
	}
	return out
}

// nominate gives each pending pod a node on which its share fits, filling one node after the other.
func nominate(pending []runtime.Object) {
	n := 0
	for _, o := range pending {
		if pod, ok := o.(*v1.Pod); ok {
			pod.Status.NominatedNodeName = nodeName(n / (cardsPerNode * quarter))
			n++
		}
	}
}

// occupied fills all but one node in twenty with pods that have a node's cards to themselves.
func occupied(nodes int) ([]runtime.Object, error) {
	out := []runtime.Object{vt.MakePodGroup("tenants", 1).Obj()}
	asks := vt.Asks{v1.ResourceCPU: "8", vt.ResourceVGPU: fmt.Sprint(cardsPerNode), "volcano.sh/vgpu-cores": "100"}
	for i := range nodes {
		if i%freeOf == freeOf-1 {
			continue
		}
		var slices []wire.Slice
		for _, c := range vt.Cards(nodeName(i), cardsPerNode) {
			slices = append(slices, wire.Slice{UUID: c.UUID, Memory: c.Memory, Cores: c.Cores})
		}
		pod, err := running("tenants", fmt.Sprintf("tenant-%05d", i), nodeName(i), asks, slices)
		if err != nil {
			return nil, err
		}
		out = append(out, pod)
	}
	return out, nil
}

// tenants are n running pods with a quarter of a card each, spread over the nodes in turn.
func tenants(n, nodes int) ([]runtime.Object, error) {
	out := []runtime.Object{vt.MakePodGroup("tenants", 1).Obj()}
	for i := range n {
		on, slot := nodeName(i%nodes), i/nodes
		slices := []wire.Slice{{UUID: vt.Cards(on, cardsPerNode)[slot%cardsPerNode].UUID, Memory: vt.CardMemory / quarter, Cores: 100 / quarter}}
		pod, err := running("tenants", fmt.Sprintf("tenant-%06d", i), on, share, slices)
		if err != nil {
			return nil, err
		}
		out = append(out, pod)
	}
	return out, nil
}

// running is a running pod with its allocation in the form of both plugins.
func running(group, name, on string, asks vt.Asks, slices []wire.Slice) (*v1.Pod, error) {
	pod := vt.MakePod(group, name, asks).Bound(on, slices...).Obj()
	allocation, err := wire.DecodeAllocation(pod.Annotations[wire.AllocationKey])
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", name, err)
	}
	legacy, err := wire.EncodeVolcanoPod(pod, allocation)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", name, err)
	}
	for key, value := range legacy {
		pod.Annotations[key] = value
	}
	return pod, nil
}

// defaultPlugins are the plugins of a session.
const defaultPlugins = "gang;predicates,capacity,deviceshare"

// configuration is the scheduler configuration of a variant.
func configuration(plugins, variant string) string {
	var tiers [][]string
	for _, names := range strings.Split(plugins, ";") {
		var tier []string
		for _, name := range strings.Split(names, ",") {
			switch entry := "name: " + strings.TrimSpace(name); {
			case !sharesDevices(name):
				tier = append(tier, entry)
			case variant == plain, variant == inTree && strings.TrimSpace(name) != "deviceshare":
			default:
				tier = append(tier, entry+arguments(name))
			}
		}
		tiers = append(tiers, tier)
	}
	return vt.ConfigurationOf("allocate", tiers...)
}

func sharesDevices(name string) bool {
	name = strings.TrimSpace(name)
	return name == "deviceshare" || name == "gpuquota"
}

func arguments(name string) string {
	if strings.TrimSpace(name) != "deviceshare" {
		return ""
	}
	return "\n    arguments: {deviceshare.VGPUEnable: true, deviceshare.SchedulePolicy: binpack, deviceshare.ScheduleWeight: 10}"
}
