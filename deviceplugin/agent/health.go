package agent

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// cardChanged notes that a card went bad or came back, and tells the kubelet and the scheduler.
func (a *Agent) cardChanged(ctx context.Context, uuid string, healthy bool, reason string) {
	logger := klog.FromContext(ctx).WithValues("device", uuid)
	a.mu.Lock()
	was := a.health[uuid]
	a.health[uuid] = reason
	if healthy {
		delete(a.health, uuid)
	}
	a.mu.Unlock()
	a.publish()
	// The event recorder finds a node's events by its name in place of a UID.
	ref := &v1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: a.NodeName, UID: types.UID(a.NodeName)}
	switch {
	case healthy && was != "":
		logger.Info("Card is healthy again", "former", was)
		a.Events.Eventf(ref, v1.EventTypeNormal, reasonRecovered, "card %s is healthy again", uuid)
	case !healthy && was == "":
		logger.Info("Card is sick", "reason", reason)
		a.Events.Eventf(ref, v1.EventTypeWarning, reasonSick, "card %s is withdrawn: %s", uuid, reason)
	}
}

// publish hands the cards, with their health, to those who advertise them.
func (a *Agent) publish() {
	cards := a.cards()
	sick := 0
	for _, c := range cards {
		if !c.Healthy {
			sick++
		}
	}
	a.Metrics.cards(len(cards)-sick, sick)
	a.tokens.SetCards(cards)
	a.Registrar.SetCards(cards)
}
