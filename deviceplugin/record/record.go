// Package record owns the frozen allocations: what each pod of this node got, pinned at its first
// container start in a root-owned file, one per pod UID. After that only the file counts: a changed
// annotation changes nothing, and a restarted container gets the same slice while the API server is
// away. The package also holds the sum of what is pinned, the last line of defence against a card
// sold twice. It does not know where allocations come from. It locks only itself.
package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// Version is the version of the files that this package writes.
const Version = 1

// Record is what one pod got.
type Record struct {
	Version    int             `json:"version"`
	PodUID     string          `json:"podUID"`
	Namespace  string          `json:"namespace"`
	Name       string          `json:"name"`
	Source     wire.Source     `json:"source"`
	Allocation wire.Allocation `json:"allocation"`
	// Peak is the most that the pod ever takes of each card. It is kept because the request that it
	// follows from is gone once the pod is.
	Peak map[string]Taken `json:"peak"`
	// DriftReported is set once the pod's owner was told that a changed annotation is ignored.
	DriftReported bool `json:"driftReported,omitempty"`
}

// Taken is a device.Amount in the file's spelling.
type Taken struct {
	MemoryMiB device.MiB         `json:"memoryMiB"`
	Cores     device.CorePercent `json:"cores"`
	Slots     device.Shares      `json:"slots"`
}

// Amount returns the same in the core's type.
func (t Taken) Amount() device.Amount {
	return device.Amount{Memory: t.MemoryMiB, Cores: t.Cores, Slots: t.Slots}
}

// Peaks returns the most that a pod takes of each card at any time of its life, over the same phases
// as the core's search for cards.
func Peaks(a wire.Allocation, r *request.Pod) map[string]Taken {
	peak := map[string]device.Amount{}
	spans, phases := fit.Spans(r.Containers, nil)
	for phase := range phases {
		now := map[string]device.Amount{}
		for i, c := range r.Containers {
			if int(spans[i].First) <= phase && phase <= int(spans[i].Last) {
				addSlices(now, a.Containers[c.Name])
			}
		}
		raise(peak, now)
	}
	out := make(map[string]Taken, len(peak))
	for uuid, amount := range peak {
		out[uuid] = Taken{MemoryMiB: amount.Memory, Cores: amount.Cores, Slots: amount.Slots}
	}
	return out
}

func addSlices(sum map[string]device.Amount, slices []wire.Slice) {
	for _, s := range slices {
		sum[s.UUID] = sum[s.UUID].Add(device.Amount{Memory: s.Memory, Cores: s.Cores, Slots: 1})
	}
}

func raise(peak, now map[string]device.Amount) {
	for uuid, amount := range now {
		peak[uuid] = peak[uuid].Max(amount)
	}
}

// Encode returns the content of a record's file.
func Encode(r Record) ([]byte, error) {
	if errs := r.Validate(); len(errs) > 0 {
		return nil, fmt.Errorf("encode record of pod %s: %w", r.PodUID, errs.ToAggregate())
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode record of pod %s: %w", r.PodUID, err)
	}
	return append(data, '\n'), nil
}

// Decode reads the content of a record's file.
func Decode(data []byte) (Record, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var r Record
	if err := dec.Decode(&r); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	if errs := r.Validate(); len(errs) > 0 {
		return Record{}, fmt.Errorf("decode record of pod %s: %w", r.PodUID, errs.ToAggregate())
	}
	return r, nil
}

// Validate returns all that is wrong with the record.
func (r Record) Validate() field.ErrorList {
	var errs field.ErrorList
	if r.Version != Version {
		errs = append(errs, field.Invalid(field.NewPath("version"), r.Version, fmt.Sprintf("must be %d", Version)))
	}
	if !validUID(r.PodUID) {
		errs = append(errs, field.Invalid(field.NewPath("podUID"), r.PodUID, "must be a pod UID"))
	}
	for _, e := range r.Allocation.Validate() {
		e.Field = "allocation." + e.Field
		errs = append(errs, e)
	}
	for _, uuid := range sortedCards(r.Allocation) {
		if _, ok := r.Peak[uuid]; !ok {
			errs = append(errs, field.Required(field.NewPath("peak").Key(uuid), "the pod has a slice of this card"))
		}
	}
	return errs
}

// sortedCards returns the cards that an allocation names.
func sortedCards(a wire.Allocation) []string {
	seen := map[string]bool{}
	var out []string
	for _, slices := range a.Containers {
		for _, s := range slices {
			if !seen[s.UUID] {
				seen[s.UUID] = true
				out = append(out, s.UUID)
			}
		}
	}
	sort.Strings(out)
	return out
}

// validUID admits what pod UIDs are made of (also the hashes of static pods): the UID becomes a file
// name.
func validUID(uid string) bool {
	if uid == "" || len(uid) > 64 {
		return false
	}
	for _, c := range []byte(uid) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-') {
			return false
		}
	}
	return true
}
