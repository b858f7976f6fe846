package wire

import "github.com/basalt-gpu/basalt/devicesharing/device"

// The node annotations that carry cards.
const (
	HAMiNodeRegisterKey    = "hami.io/node-nvidia-register"
	VolcanoNodeRegisterKey = "volcano.sh/node-vgpu-register"
	// AgentKey marks a node on which our own agent runs.
	AgentKey = "basalt.io/agent"
	// AgentVersion is the value of AgentKey.
	AgentVersion = "v1"
)

// EncodeNodeHAMi returns the value of HAMiNodeRegisterKey.
func EncodeNodeHAMi(cards []device.Card) (string, error) { return "", nil }

// DecodeNodeHAMi reads the value of HAMiNodeRegisterKey.
func DecodeNodeHAMi(s string) ([]device.Card, error) { return nil, nil }

// EncodeNodeVolcano returns the value of VolcanoNodeRegisterKey.
func EncodeNodeVolcano(cards []device.Card) (string, error) { return "", nil }

// DecodeNodeVolcano reads the value of VolcanoNodeRegisterKey.
func DecodeNodeVolcano(s string) ([]device.Card, error) { return nil, nil }

// DecodeNode reads the cards of a node.
func DecodeNode(annotations map[string]string) (cards []device.Card, legacy, found bool, err error) {
	return nil, false, false, nil
}
