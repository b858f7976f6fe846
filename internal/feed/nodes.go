package feed

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Reasons shown to users; stable.
const (
	// ReasonUnreadableRegistration is the event reason and the refusal of a node whose cards cannot
	// be read.
	ReasonUnreadableRegistration = "UnreadableDeviceRegistration"

	// ReasonUnreadableLinks is the event reason of a node whose device links cannot be read.
	ReasonUnreadableLinks = "UnreadableDeviceLinks"
	// ReasonUnknownCordon is the event reason of a node that cordons devices that it does not have.
	ReasonUnknownCordon = "UnknownDeviceCordoned"

	refusalUnreadable = "the node's device registration cannot be read"
	refusalLegacy     = "the node's devices are registered by another device plugin than Basalt's"
)

// registrationKeys are the node annotations that decide what a node offers. Heartbeats update nodes
// all the time; what does not touch these is not decoded again.
var registrationKeys = []string{
	wire.HAMiNodeRegisterKey, wire.VolcanoNodeRegisterKey, wire.AgentKey, wire.HAMiNodeScoreKey, wire.CordonKey,
}

func (f *Feed) nodeChanged(old, node *v1.Node) {
	if old != nil && old.UID == node.UID && sameRegistration(old, node) {
		return
	}
	cards, _, found, err := wire.DecodeNode(node.Annotations)
	refusal := ""
	switch {
	case err != nil:
		// The old cards are dropped on purpose: what an agent wrote last is what the node has, and
		// nobody knows it. Pods that run there keep their place in the ledger.
		cards, refusal = nil, fmt.Sprintf("%s: %v", refusalUnreadable, err)
		f.log.Error(err, "Node registration cannot be read, the node offers no devices", "node", klog.KObj(node))
		if f.recorder != nil {
			f.recorder.Eventf(node, v1.EventTypeWarning, ReasonUnreadableRegistration,
				"%s; it offers no devices until its device plugin registers again", refusal)
		}
	case found && node.Annotations[wire.AgentKey] == "":
		// Counted, so that pods placed by that plugin's scheduler are seen, but not scheduled to: its
		// plugin reads other annotations than ours and would hand out a slice of its own choice.
		refusal = refusalLegacy
	}
	f.setNode(node.Name, refusal, len(cards) > 0)
	if !found && err == nil {
		f.ledger.RemoveNode(node.Name)
		return
	}
	f.cordon(node, cards)
	f.ledger.SetNode(device.Node{Name: node.Name, Cards: cards, Pairs: f.pairs(node, cards)})
	f.log.V(2).Info("Node registered", "node", klog.KObj(node), "cards", len(cards), "refusal", refusal)
}

// cordon marks the cards that new pods must not get. A UUID that the node does not have is named: a slip
// in an administrator's list must not pass for a cordon.
func (f *Feed) cordon(node *v1.Node, cards []device.Card) {
	unknown := wire.Cordon(node.Annotations, cards)
	if len(cards) == 0 || len(unknown) == 0 {
		return
	}
	f.log.Info("Node cordons devices that it does not have", "node", klog.KObj(node), "devices", unknown)
	if f.recorder != nil {
		f.recorder.Eventf(node, v1.EventTypeWarning, ReasonUnknownCordon,
			"%s names devices that the node does not register: %s", wire.CordonKey, strings.Join(unknown, ", "))
	}
}

// pairs returns how well the node's cards are linked. Without a readable word on it they are linked by
// their NUMA nodes: that changes which cards are preferred, and is no reason to offer none.
func (f *Feed) pairs(node *v1.Node, cards []device.Card) *device.Pairs {
	text, ok := node.Annotations[wire.HAMiNodeScoreKey]
	if !ok || len(cards) == 0 {
		return nil
	}
	pairs, err := wire.DecodeNodeScores(text, cards)
	if err != nil {
		f.log.Error(err, "Links of a node's devices cannot be read, they count by NUMA node", "node", klog.KObj(node))
		if f.recorder != nil {
			f.recorder.Eventf(node, v1.EventTypeWarning, ReasonUnreadableLinks, "links between devices count by NUMA node: %v", err)
		}
	}
	return pairs
}

func (f *Feed) nodeDeleted(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	node, ok := obj.(*v1.Node)
	if !ok {
		f.log.Info("Deleted object is no node, ignored", "type", fmt.Sprintf("%T", obj))
		return
	}
	f.setNode(node.Name, "", false)
	f.ledger.RemoveNode(node.Name)
}

// setNode notes what pods that ask for devices meet on the node. Pods and nodes come from two
// watches, so the node may be the later one of the two.
func (f *Feed) setNode(name, refusal string, offers bool) {
	f.mu.Lock()
	var found []suspect
	if offers && !f.offers[name] {
		for _, s := range f.suspects {
			if s.node == name {
				found = append(found, s)
			}
		}
	}
	delete(f.refusals, name)
	if refusal != "" {
		f.refusals[name] = refusal
	}
	delete(f.offers, name)
	if offers {
		f.offers[name] = true
	}
	f.mu.Unlock()
	for _, s := range found {
		f.logBypass(s)
	}
}

func sameRegistration(a, b *v1.Node) bool {
	for _, key := range registrationKeys {
		va, oka := a.Annotations[key]
		vb, okb := b.Annotations[key]
		if va != vb || oka != okb {
			return false
		}
	}
	return true
}
