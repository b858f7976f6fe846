package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a decoder accepts, its encoder must write, and decoding that gives the same again.

func FuzzDecodeAllocation(f *testing.F) {
	text, err := EncodeAllocation(sample)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(`{"version":1,"node":"n","containers":{"c":[{"uuid":"u","memoryMiB":1,"cores":0}]}}`)
	f.Fuzz(func(t *testing.T, in string) {
		first, err := DecodeAllocation(in)
		if err != nil {
			return
		}
		text, err := EncodeAllocation(first)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		second, err := DecodeAllocation(text)
		if err != nil || !cmp.Equal(first, second) {
			t.Errorf("second reading differs: %v, %s", err, cmp.Diff(first, second))
		}
	})
}

func FuzzDecodeNode(f *testing.F) {
	f.Add(`[{"id":"GPU-a","count":10,"devmem":81920,"devcore":100,"type":"A100","mode":"hami-core","health":true}]`, "")
	f.Add("", "GPU-a,10,81920,NVIDIA-A100,true,hami-core:")
	f.Fuzz(func(t *testing.T, hami, volcano string) {
		if cards, err := DecodeNodeHAMi(hami); err == nil {
			text, err := EncodeNodeHAMi(cards)
			if err != nil {
				t.Fatalf("encode what was decoded: %v", err)
			}
			if again, err := DecodeNodeHAMi(text); err != nil || !cmp.Equal(cards, again) {
				t.Errorf("second reading differs: %v, %s", err, cmp.Diff(cards, again))
			}
		}
		if cards, err := DecodeNodeVolcano(volcano); err == nil {
			text, err := EncodeNodeVolcano(cards)
			if err != nil {
				t.Fatalf("encode what was decoded: %v", err)
			}
			if again, err := DecodeNodeVolcano(text); err != nil || !cmp.Equal(cards, again) {
				t.Errorf("second reading differs: %v, %s", err, cmp.Diff(cards, again))
			}
		}
	})
}

func FuzzDecodeNodeScores(f *testing.F) {
	f.Add(`[{"uuid":"GPU-a","score":{"GPU-b":610}},{"uuid":"GPU-b","score":{"GPU-a":600,"GPU-x":1}}]`)
	f.Fuzz(func(t *testing.T, in string) {
		pairs, err := DecodeNodeScores(in, fourCards)
		if err != nil {
			return
		}
		text, err := EncodeNodeScores(fourCards, pairs)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		again, err := DecodeNodeScores(text, fourCards)
		if err != nil || !cmp.Equal(matrix(pairs), matrix(again)) {
			t.Errorf("second reading differs: %v, %s", err, cmp.Diff(matrix(pairs), matrix(again)))
		}
	})
}

func FuzzDecodePod(f *testing.F) {
	f.Add("GPU-a,NVIDIA,1000,0:;GPU-a,NVIDIA,3000,30:GPU-b,NVIDIA,3000,30:;;GPU-b,NVIDIA,500,10:;", "GPU-a,NVIDIA,3000,30:;GPU-b,NVIDIA,500,10:")
	f.Fuzz(func(t *testing.T, hami, volcano string) {
		for _, annotations := range []map[string]string{
			{HAMiAllocatedKey: hami, HAMiNodeKey: "node1"},
			{VolcanoAllocatedKey: volcano, VolcanoNodeKey: "node1"},
		} {
			got, _, found, err := DecodePod(threeContainers(annotations))
			if err == nil && !found {
				t.Errorf("annotations %v: neither found nor refused", annotations)
			}
			for name := range got.Containers {
				if name != "setup" && name != "main" && name != "side" && name != "log" {
					t.Errorf("container %q is not in the pod", name)
				}
			}
		}
	})
}
