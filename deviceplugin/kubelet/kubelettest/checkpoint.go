package kubelettest

import (
	"encoding/json"
	"testing"
	"time"
)

// Entry is one container's tokens of one resource in the checkpoint.
type Entry struct {
	PodUID        string
	ContainerName string
	ResourceName  string
	DeviceIDs     map[int64][]string
	AllocResp     []byte
}

func (e Entry) ids() []string {
	var out []string
	for _, ids := range e.DeviceIDs {
		out = append(out, ids...)
	}
	return out
}

// Encode returns the content of a checkpoint file. The checksum is left zero.
func Encode(entries []Entry) ([]byte, error) {
	var file struct {
		Data struct {
			PodDeviceEntries  []Entry
			RegisteredDevices map[string][]string
		}
		Checksum uint64
	}
	file.Data.PodDeviceEntries, file.Data.RegisteredDevices = entries, map[string][]string{}
	return json.Marshal(file)
}

// Eventually waits until done returns true.
func Eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	deadline := time.Now().Add(Patience)
	for !done() {
		if time.Now().After(deadline) {
			tb.Fatalf("timed out: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
