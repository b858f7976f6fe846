package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// The node annotations beside the registration that say which cards new pods get.
const (
	// HAMiNodeScoreKey says how well the cards are linked. The node's agent writes it.
	HAMiNodeScoreKey = "hami.io/node-nvidia-score"
	// CordonKey lists the UUIDs of cards that new pods must not get. An administrator writes it.
	CordonKey = "hami.io/device-cordon"
)

// hamiScores is the links of one card in HAMi's form: by UUID of the other card.
type hamiScores struct {
	UUID  string         `json:"uuid"`
	Score map[string]int `json:"score"`
}

// EncodeNodeScores returns the value of HAMiNodeScoreKey.
func EncodeNodeScores(cards []device.Card, pairs *device.Pairs) (string, error) {
	if errs := validateCards(cards); len(errs) > 0 {
		return "", fmt.Errorf("encode device links: %w", errs.ToAggregate())
	}
	out := make([]hamiScores, 0, len(cards))
	for i := range cards {
		s := hamiScores{UUID: cards[i].UUID, Score: map[string]int{}}
		for k := range cards {
			if k != i {
				s.Score[cards[k].UUID] = int(pairs.Score(i, k))
			}
		}
		out = append(out, s)
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// DecodeNodeScores reads the value of HAMiNodeScoreKey for the node's cards. Cards that the node does not
// register are skipped. Where the two cards of a pair say different things, the lower score counts: a link
// is as good as its worse direction. A pair of which nothing is said has no link.
func DecodeNodeScores(s string, cards []device.Card) (*device.Pairs, error) {
	var in []hamiScores
	if err := json.Unmarshal([]byte(s), &in); err != nil {
		return nil, fmt.Errorf("decode %s: %w", HAMiNodeScoreKey, err)
	}
	if errs := validateScores(in); len(errs) > 0 {
		return nil, fmt.Errorf("decode %s: %w", HAMiNodeScoreKey, errs.ToAggregate())
	}
	said := make(map[string]map[string]int, len(in))
	for _, card := range in {
		said[card.UUID] = card.Score
	}
	return device.MakePairs(len(cards), func(i, k int) device.PairScore {
		return linkOf(said, cards[i].UUID, cards[k].UUID)
	}), nil
}

func linkOf(said map[string]map[string]int, a, b string) device.PairScore {
	there, okThere := said[a][b]
	back, okBack := said[b][a]
	switch {
	case okThere && okBack:
		return device.PairScore(min(there, back))
	case okThere:
		return device.PairScore(there)
	default:
		return device.PairScore(back)
	}
}

func validateScores(all []hamiScores) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, card := range all {
		path := field.NewPath("scores").Index(i)
		errs = append(errs, validateUUID(path.Child("uuid"), card.UUID)...)
		if seen[card.UUID] {
			errs = append(errs, field.Duplicate(path.Child("uuid"), card.UUID))
		}
		seen[card.UUID] = true
		for other, score := range card.Score {
			if score < 0 || score > math.MaxUint16 {
				errs = append(errs, field.Invalid(path.Child("score").Key(other), score,
					fmt.Sprintf("must be between 0 and %d", math.MaxUint16)))
			}
		}
	}
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return errs
}

// Cordon marks the cards that CordonKey lists, by UUID with commas between, and returns the UUIDs that no card has.
func Cordon(annotations map[string]string, cards []device.Card) (unknown []string) {
	for _, uuid := range request.List(annotations[CordonKey]) {
		i := slices.IndexFunc(cards, func(c device.Card) bool { return c.UUID == uuid })
		if i < 0 {
			unknown = append(unknown, uuid)
			continue
		}
		cards[i].Cordoned = true
	}
	return unknown
}
