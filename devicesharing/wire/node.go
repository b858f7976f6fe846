package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// The node annotations that carry cards.
const (
	HAMiNodeRegisterKey    = "hami.io/node-nvidia-register"
	VolcanoNodeRegisterKey = "volcano.sh/node-vgpu-register"
	// AgentKey marks a node on which our own agent runs.
	AgentKey = "basalt.io/agent"
	// AgentVersion is the value of AgentKey.
	AgentVersion = "v1"
)

// hamiCard is one card in HAMi's JSON form, without the fields that say nothing about shares. Zero values are left out there, so that a missing health
// means sick and a missing index the first card.
type hamiCard struct {
	ID     string `json:"id,omitempty"`
	Index  uint   `json:"index,omitempty"`
	Count  uint32 `json:"count,omitempty"`
	Memory uint64 `json:"devmem,omitempty"`
	Cores  uint32 `json:"devcore,omitempty"`
	Type   string `json:"type,omitempty"`
	NUMA   int    `json:"numa,omitempty"`
	Mode   string `json:"mode,omitempty"`
	Health bool   `json:"health,omitempty"`
	Vendor string `json:"devicevendor,omitempty"`
}

// EncodeNodeHAMi returns the value of HAMiNodeRegisterKey.
func EncodeNodeHAMi(cards []device.Card) (string, error) {
	if errs := validateCards(cards); len(errs) > 0 {
		return "", fmt.Errorf("encode node devices: %w", errs.ToAggregate())
	}
	out := make([]hamiCard, 0, len(cards))
	for _, c := range cards {
		out = append(out, hamiCard{
			ID: c.UUID, Index: uint(c.Index), Count: uint32(c.Slots), Memory: uint64(c.Memory), Cores: uint32(c.Cores),
			Type: c.Model, NUMA: c.NUMA, Mode: string(c.Mode), Health: c.Healthy, Vendor: c.Vendor,
		})
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// DecodeNodeHAMi reads the value of HAMiNodeRegisterKey. Fields that newer versions of HAMi may add
// are skipped: the form is not ours, and its writers do not version it.
func DecodeNodeHAMi(s string) ([]device.Card, error) {
	var in []hamiCard
	if err := json.Unmarshal([]byte(s), &in); err != nil {
		return nil, fmt.Errorf("decode %s: %w", HAMiNodeRegisterKey, err)
	}
	cards := make([]device.Card, 0, len(in))
	for _, c := range in {
		card := device.Card{
			UUID: c.ID, Index: int(c.Index), Vendor: c.Vendor, Model: c.Type, Memory: device.MiB(c.Memory),
			Cores: device.CorePercent(c.Cores), Slots: device.Shares(c.Count), NUMA: c.NUMA, Healthy: c.Health, Mode: device.Mode(c.Mode),
		}
		if card.Vendor == "" {
			card.Vendor = device.VendorNVIDIA
		}
		if card.Mode == "" {
			card.Mode = device.ModeHAMiCore
		}
		cards = append(cards, card)
	}
	if errs := validateCards(cards); len(errs) > 0 {
		return nil, fmt.Errorf("decode %s: %w", HAMiNodeRegisterKey, errs.ToAggregate())
	}
	return cards, nil
}

// volcanoFields are UUID, count, memory, type, health and mode.
const volcanoFields = 6

// EncodeNodeVolcano returns the value of VolcanoNodeRegisterKey. That form has no index (the position
// is it), no cores and no NUMA node.
func EncodeNodeVolcano(cards []device.Card) (string, error) {
	errs := validateCards(cards)
	var b strings.Builder
	for i, c := range cards {
		if strings.ContainsAny(c.Model, separators) {
			errs = append(errs, field.Invalid(field.NewPath("cards").Index(i).Child("model"), c.Model, "must not contain any of "+separators))
		}
		fmt.Fprintf(&b, "%s,%d,%d,%s,%t,%s:", c.UUID, c.Slots, c.Memory, c.Model, c.Healthy, c.Mode)
	}
	if len(errs) > 0 {
		return "", fmt.Errorf("encode node devices: %w", errs.ToAggregate())
	}
	return b.String(), nil
}

// DecodeNodeVolcano reads the value of VolcanoNodeRegisterKey.
func DecodeNodeVolcano(s string) ([]device.Card, error) {
	path := field.NewPath("cards")
	var cards []device.Card
	var errs field.ErrorList
	if text := strings.TrimSuffix(s, ":"); text != "" {
		for i, record := range strings.Split(text, ":") {
			card, cardErrs := decodeVolcanoCard(path.Index(i), record)
			card.Index = i
			cards, errs = append(cards, card), append(errs, cardErrs...)
		}
	}
	if len(errs) == 0 {
		errs = validateCards(cards)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("decode %s: %w", VolcanoNodeRegisterKey, errs.ToAggregate())
	}
	return cards, nil
}

func decodeVolcanoCard(path *field.Path, record string) (device.Card, field.ErrorList) {
	parts := strings.Split(record, ",")
	if len(parts) != volcanoFields {
		return device.Card{}, field.ErrorList{field.Invalid(path, record, fmt.Sprintf("has %d fields, want UUID,count,memory,type,health,mode", len(parts)))}
	}
	var errs field.ErrorList
	slots, err := number(path.Child("count"), parts[1], request.MaxCount)
	if err != nil {
		errs = append(errs, err)
	}
	memory, err := number(path.Child("memory"), parts[2], request.MaxMemory)
	if err != nil {
		errs = append(errs, err)
	}
	healthy, parseErr := strconv.ParseBool(parts[4])
	if parseErr != nil {
		errs = append(errs, field.Invalid(path.Child("health"), parts[4], "must be true or false"))
	}
	return device.Card{
		UUID: parts[0], Vendor: device.VendorNVIDIA, Model: parts[3], Memory: device.MiB(memory), Cores: device.WholeCard,
		Slots: device.Shares(slots), Healthy: healthy, Mode: device.Mode(parts[5]),
	}, errs
}

// DecodeNode reads the cards of a node, from HAMi's form if it is there, because it says more. legacy
// says that the node was not registered by our own agent.
func DecodeNode(annotations map[string]string) (cards []device.Card, legacy, found bool, err error) {
	legacy = annotations[AgentKey] == ""
	if text, ok := annotations[HAMiNodeRegisterKey]; ok {
		cards, err = DecodeNodeHAMi(text)
		return cards, legacy, true, err
	}
	if text, ok := annotations[VolcanoNodeRegisterKey]; ok {
		cards, err = DecodeNodeVolcano(text)
		return cards, legacy, true, err
	}
	return nil, false, false, nil
}

func validateCards(cards []device.Card) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, c := range cards {
		path := field.NewPath("cards").Index(i)
		errs = append(errs, validateUUID(path.Child("uuid"), c.UUID)...)
		if seen[c.UUID] {
			errs = append(errs, field.Duplicate(path.Child("uuid"), c.UUID))
		}
		seen[c.UUID] = true
		if c.Index < 0 || c.Index > request.MaxCount {
			errs = append(errs, field.Invalid(path.Child("index"), c.Index, fmt.Sprintf("must be between 0 and %d", request.MaxCount)))
		}
		if c.Slots > request.MaxCount {
			errs = append(errs, field.Invalid(path.Child("count"), c.Slots, fmt.Sprintf("must be at most %d", request.MaxCount)))
		}
		if c.Memory > request.MaxMemory {
			errs = append(errs, field.Invalid(path.Child("memory"), c.Memory, fmt.Sprintf("must be at most %d MiB", request.MaxMemory)))
		}
		if c.Cores > maxCores {
			errs = append(errs, field.Invalid(path.Child("cores"), c.Cores, fmt.Sprintf("must be at most %d", maxCores)))
		}
		if !c.Mode.Known() {
			errs = append(errs, field.NotSupported(path.Child("mode"), c.Mode, device.Modes()))
		}
	}
	return errs
}
