package kubelet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"google.golang.org/protobuf/proto"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// checkpointFile is the name of the kubelet's device checkpoint in its device-plugins directory
// (pkg/kubelet/cm/devicemanager/types.go of Kubernetes).
const checkpointFile = "kubelet_internal_checkpoint"

// maxCheckpointBytes bounds what is read. A node with 110 pods of 16 containers writes about 1 MiB.
const maxCheckpointBytes = 64 << 20

// Holder is one container that holds tokens of one resource.
type Holder struct {
	PodUID    string
	Container string
	Resource  string
	IDs       []string // sorted
	CDINames  []string // qualified names of the stored Allocate response, in its order
}

// HoldsAny says whether the container holds one of ids.
func (h Holder) HoldsAny(ids map[string]bool) bool {
	for _, id := range h.IDs {
		if ids[id] {
			return true
		}
	}
	return false
}

// checkpoint is the part of the kubelet's file that we read. Its checksum is not verified: it hashes
// Go's own printing of kubelet-internal types, and the kubelet replaces the file by rename, so a torn
// file is not seen; JSON that is cut short is refused by the decoder.
type checkpoint struct {
	Data struct {
		PodDeviceEntries []struct {
			PodUID        string
			ContainerName string
			ResourceName  string
			DeviceIDs     deviceIDs
			AllocResp     []byte
		}
	}
}

// deviceIDs reads both published forms: ids by NUMA node (since Kubernetes 1.20) and a plain list.
type deviceIDs []string

func (d *deviceIDs) UnmarshalJSON(raw []byte) error {
	var byNUMA map[string][]string
	if err := json.Unmarshal(raw, &byNUMA); err == nil {
		seen := map[string]bool{}
		for _, ids := range byNUMA {
			for _, id := range ids {
				// A device near two NUMA nodes is listed under both.
				if !seen[id] {
					seen[id] = true
					*d = append(*d, id)
				}
			}
		}
		sort.Strings(*d)
		return nil
	}
	var plain []string
	if err := json.Unmarshal(raw, &plain); err != nil {
		return fmt.Errorf("device ids are neither a list nor lists by NUMA node: %w", err)
	}
	sort.Strings(plain)
	*d = plain
	return nil
}

// DecodeCheckpoint returns the holders of the resources, in file order. Entries of other resources
// are not looked at: they are other plugins' business, whatever they contain.
func DecodeCheckpoint(raw []byte, resources ...string) ([]Holder, error) {
	var cp checkpoint
	if err := json.Unmarshal(raw, &cp); err != nil {
		return nil, fmt.Errorf("decode kubelet device checkpoint: %w", err)
	}
	ours := map[string]bool{}
	for _, r := range resources {
		ours[r] = true
	}
	var out []Holder
	for _, e := range cp.Data.PodDeviceEntries {
		if !ours[e.ResourceName] {
			continue
		}
		h := Holder{PodUID: e.PodUID, Container: e.ContainerName, Resource: e.ResourceName, IDs: e.DeviceIDs}
		var resp pluginapi.ContainerAllocateResponse
		if err := proto.Unmarshal(e.AllocResp, &resp); err != nil {
			return nil, fmt.Errorf("decode stored Allocate response of pod %s container %s: %w", e.PodUID, e.ContainerName, err)
		}
		for _, d := range resp.GetCdiDevices() {
			h.CDINames = append(h.CDINames, d.GetName())
		}
		out = append(out, h)
	}
	return out, nil
}

// Checkpoint reads the kubelet's file.
type Checkpoint struct {
	path      string
	resources []string
}

// NewCheckpoint returns a reader of the checkpoint below the kubelet's directory.
func NewCheckpoint(kubeletDir string, resources []string) *Checkpoint {
	return &Checkpoint{path: filepath.Join(pluginDir(kubeletDir), checkpointFile), resources: resources}
}

// Holders returns every container that holds tokens of our resources. A kubelet that has not
// written its file yet has given out no token.
func (c *Checkpoint) Holders() ([]Holder, error) {
	f, err := os.Open(c.path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open kubelet device checkpoint: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxCheckpointBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read kubelet device checkpoint: %w", err)
	}
	if len(raw) > maxCheckpointBytes {
		return nil, fmt.Errorf("kubelet device checkpoint %s exceeds %d bytes", c.path, maxCheckpointBytes)
	}
	return DecodeCheckpoint(raw, c.resources...)
}

func pluginDir(kubeletDir string) string { return filepath.Join(kubeletDir, "device-plugins") }
