package kubelettest

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager/checkpoint"
)

// The kubelet's code is imported by this test only: the agent itself must not depend on it.
func TestCheckpointIsWhatAKubeletWrites(t *testing.T) {
	ours, err := Encode([]Entry{{PodUID: "u", ContainerName: "c", ResourceName: "r",
		DeviceIDs: map[int64][]string{-1: {"a", "b"}, 1: {"c"}}, AllocResp: []byte{1, 2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := checkpoint.New([]checkpoint.PodDevicesEntry{{PodUID: "u", ContainerName: "c", ResourceName: "r",
		DeviceIDs: checkpoint.DevicesPerNUMA{-1: {"a", "b"}, 1: {"c"}}, AllocResp: []byte{1, 2, 3}}}, map[string][]string{}).MarshalCheckpoint()
	if err != nil {
		t.Fatal(err)
	}
	sum := regexp.MustCompile(`"Checksum":[0-9]+`)
	if diff := cmp.Diff(sum.ReplaceAllString(string(theirs), ""), sum.ReplaceAllString(string(ours), "")); diff != "" {
		t.Errorf("checkpoint (-want,+got)\n%s", diff)
	}
}
