// Package token owns what is advertised to the kubelet: splitCount tokens per card for each count
// resource. Tokens are not cards. Which card a pod uses is in its allocation; the token ids that the
// kubelet gives it carry no meaning beyond their number. It locks only itself.
package token

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/basalt-gpu/basalt/deviceplugin/kubelet"
	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// grace is how long a token that Allocate gave out counts as held before the kubelet's checkpoint
// shows it. The kubelet writes the checkpoint within the same admission.
const grace = time.Minute

// Held returns the tokens of resource that containers hold.
type Held func(resource string) (map[string]bool, error)

// Inventory is the set of tokens of this node.
type Inventory struct {
	clock clock.PassiveClock
	held  Held

	mu    sync.Mutex // guards what follows; never held while calling out
	cards []device.Card
	given map[given]time.Time
	subs  map[chan struct{}]bool
}

type given struct{ resource, id string }

// New returns an inventory without cards.
func New(c clock.PassiveClock, held Held) *Inventory {
	return &Inventory{clock: c, held: held, given: map[given]time.Time{}, subs: map[chan struct{}]bool{}}
}

// ID returns the n-th token of a card.
func ID(uuid string, n int) string { return fmt.Sprintf("%s::%d", uuid, n) }

// SetCards replaces the cards and tells the subscribers.
func (i *Inventory) SetCards(cards []device.Card) {
	i.mu.Lock()
	i.cards = append([]device.Card(nil), cards...)
	i.mu.Unlock()
	i.Announce()
}

// Given notes that the kubelet asked for these tokens.
func (i *Inventory) Given(resource string, ids []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.clock.Now()
	for g, at := range i.given {
		if now.Sub(at) > grace {
			delete(i.given, g)
		}
	}
	for _, id := range ids {
		i.given[given{resource, id}] = now
	}
}

// Subscribe returns a channel that is ready whenever List may have changed.
func (i *Inventory) Subscribe() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.subs[ch] = true
	return ch, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.subs, ch)
	}
}

// Announce makes every endpoint send its list again. The kubelet writes its checkpoint whenever it
// receives a list, so this also repairs a checkpoint file that an older write has overtaken.
func (i *Inventory) Announce() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for ch := range i.subs {
		select {
		case ch <- struct{}{}:
		default: // already told, and not listed since
		}
	}
}

// AnySick says whether a card is sick, so that the set of free tokens has to be followed.
func (i *Inventory) AnySick() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.cards {
		if !c.Healthy {
			return true
		}
	}
	return false
}

// List returns the tokens of resource in a fixed order. Sick cards withdraw as many free tokens as
// they have slots, their own first. Held tokens stay healthy even when they are named after a sick
// card: they may belong to a pod on another card, and the kubelet refuses to admit a pod again whose
// tokens are unhealthy. When the holders cannot be read, nothing is withdrawn for the same reason;
// the scheduler knows the sick card from the node's annotation.
func (i *Inventory) List(resource string) []kubelet.Token {
	held, err := i.held(resource)
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []kubelet.Token
	var own, other []int // indexes of tokens named after sick and after healthy cards
	withdraw := 0
	for _, c := range i.cards {
		for n := range int(c.Slots) {
			if c.Healthy {
				other = append(other, len(out))
			} else {
				own = append(own, len(out))
			}
			out = append(out, kubelet.Token{ID: ID(c.UUID, n), Healthy: true})
		}
		if !c.Healthy {
			withdraw += int(c.Slots)
		}
	}
	if err != nil {
		return out
	}
	now := i.clock.Now()
	for _, at := range append(own, other...) {
		if withdraw == 0 {
			break
		}
		since, recent := i.given[given{resource, out[at].ID}]
		if held[out[at].ID] || (recent && now.Sub(since) <= grace) {
			continue
		}
		out[at].Healthy = false
		withdraw--
	}
	return out
}
