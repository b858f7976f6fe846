package token

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

const resource = "nvidia.com/gpu"

func healthy(i *Inventory) map[string]bool {
	out := map[string]bool{}
	for _, t := range i.List(resource) {
		if t.Healthy {
			out[t.ID] = true
		}
	}
	return out
}

func TestList(t *testing.T) {
	sick := device.Card{UUID: "GPU-sick", Slots: 2}
	well := device.Card{UUID: "GPU-well", Slots: 2, Healthy: true}
	tests := map[string]struct {
		cards []device.Card
		held  []string
		err   error
		given []string
		want  []string
	}{
		"healthy cards advertise all their tokens": {
			cards: []device.Card{well}, want: []string{"GPU-well::0", "GPU-well::1"},
		},
		"an idle sick card withdraws its own tokens": {
			cards: []device.Card{sick, well}, want: []string{"GPU-well::0", "GPU-well::1"},
		},
		"a held token named after the sick card stays, another goes in its place": {
			cards: []device.Card{sick, well}, held: []string{"GPU-sick::0"}, want: []string{"GPU-sick::0", "GPU-well::1"},
		},
		"held tokens all stay": {
			cards: []device.Card{sick, well}, held: []string{"GPU-sick::0", "GPU-sick::1", "GPU-well::0"},
			want: []string{"GPU-sick::0", "GPU-sick::1", "GPU-well::0"},
		},
		"a token that was just given counts as held": {
			cards: []device.Card{sick, well}, given: []string{"GPU-sick::1"}, want: []string{"GPU-sick::1", "GPU-well::1"},
		},
		"nothing is withdrawn while the holders cannot be read": {
			cards: []device.Card{sick}, err: errors.New("unreadable"), want: []string{"GPU-sick::0", "GPU-sick::1"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			held, want := map[string]bool{}, map[string]bool{}
			for _, id := range tc.held {
				held[id] = true
			}
			for _, id := range tc.want {
				want[id] = true
			}
			i := New(clocktesting.NewFakeClock(time.Now()), func(string) (map[string]bool, error) { return held, tc.err })
			i.SetCards(tc.cards)
			i.Given(resource, tc.given)
			if diff := cmp.Diff(want, healthy(i)); diff != "" {
				t.Errorf("healthy tokens (-want,+got)\n%s", diff)
			}
		})
	}
}

func TestGivenTokenIsFreeAgainAfterItsGrace(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	i := New(clock, func(string) (map[string]bool, error) { return nil, nil })
	i.SetCards([]device.Card{{UUID: "GPU-sick", Slots: 1}})
	i.Given(resource, []string{"GPU-sick::0"})
	if len(healthy(i)) != 1 {
		t.Error("a token that was just given is withdrawn")
	}
	clock.Step(grace + time.Second)
	if len(healthy(i)) != 0 {
		t.Error("a token that nobody holds is advertised")
	}
}

func TestAnnounceNeverBlocksAndIsNotLost(t *testing.T) {
	i := New(clocktesting.NewFakeClock(time.Now()), func(string) (map[string]bool, error) { return nil, nil })
	ch, cancel := i.Subscribe()
	i.Announce()
	i.Announce()
	select {
	case <-ch:
	default:
		t.Error("an announcement was lost")
	}
	cancel()
	i.Announce()
	select {
	case <-ch:
		t.Error("a cancelled subscription was told")
	default:
	}
}
