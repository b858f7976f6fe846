package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

var fourCards = []device.Card{
	{UUID: "GPU-a", Mode: device.ModeHAMiCore}, {UUID: "GPU-b", Mode: device.ModeHAMiCore},
	{UUID: "GPU-c", Mode: device.ModeHAMiCore}, {UUID: "GPU-d", Mode: device.ModeHAMiCore},
}

// matrix writes out the links of fourCards.
func matrix(p *device.Pairs) (rows [4][4]device.PairScore) {
	for i := range rows {
		for k := range rows {
			rows[i][k] = p.Score(i, k)
		}
	}
	return rows
}

func TestNodeScoresRoundTrip(t *testing.T) {
	pairs := device.MakePairs(4, func(i, k int) device.PairScore { return device.PairScore(100*i + k) })
	text, err := EncodeNodeScores(fourCards, pairs)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "node-hami-score.json", text)
	got, err := DecodeNodeScores(text, fourCards)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(matrix(pairs), matrix(got)); diff != "" {
		t.Errorf("links (-want,+got):\n%s", diff)
	}
}

func TestDecodeNodeScores(t *testing.T) {
	tests := map[string]struct {
		text    string
		want    [4][4]device.PairScore
		wantErr string // a part of it
	}{
		"what one card says holds for both": {
			text: `[{"uuid":"GPU-c","score":{"GPU-a":610}}]`,
			want: [4][4]device.PairScore{0: {2: 610}, 2: {0: 610}},
		},
		"the worse direction counts": {
			text: `[{"uuid":"GPU-a","score":{"GPU-b":610}},{"uuid":"GPU-b","score":{"GPU-a":0}}]`,
		},
		"cards that are not registered are skipped": {
			text: `[{"uuid":"GPU-x","score":{"GPU-a":610}},{"uuid":"GPU-b","score":{"GPU-x":610,"GPU-d":20}}]`,
			want: [4][4]device.PairScore{1: {3: 20}, 3: {1: 20}},
		},
		"nothing said": {text: `[]`},
		"no JSON":      {text: `610`, wantErr: "decode hami.io/node-nvidia-score"},
		"a negative score": {
			text: `[{"uuid":"GPU-a","score":{"GPU-b":-1}}]`, wantErr: "scores[0].score[GPU-b]: Invalid value: -1: must be between 0 and 65535",
		},
		"a score beyond all links": {
			text: `[{"uuid":"GPU-a","score":{"GPU-b":65536}}]`, wantErr: "must be between 0 and 65535",
		},
		"a card twice": {
			text: `[{"uuid":"GPU-a","score":{}},{"uuid":"GPU-a","score":{}}]`, wantErr: "scores[1].uuid: Duplicate value",
		},
		"a card without UUID": {text: `[{"score":{}}]`, wantErr: "scores[0].uuid: Required value"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeNodeScores(tc.text, fourCards)
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, matrix(got)); diff != "" {
				t.Errorf("links (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestCordonMarksCards(t *testing.T) {
	cards := append([]device.Card{}, fourCards...)
	unknown := Cordon(map[string]string{CordonKey: " GPU-b , GPU-x,, GPU-d"}, cards)
	if diff := cmp.Diff([]string{"GPU-x"}, unknown); diff != "" {
		t.Errorf("unknown (-want,+got):\n%s", diff)
	}
	var got []string
	for _, c := range cards {
		if c.Cordoned {
			got = append(got, c.UUID)
		}
	}
	if diff := cmp.Diff([]string{"GPU-b", "GPU-d"}, got); diff != "" {
		t.Errorf("cordoned (-want,+got):\n%s", diff)
	}
	if unknown := Cordon(nil, cards); unknown != nil {
		t.Errorf("without a cordon %q is unknown", unknown)
	}
}
