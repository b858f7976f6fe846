package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// maxCores is more than any scaling of a card's cores that makes sense, and far from overflow.
const maxCores device.CorePercent = 100 * 1000

// separators are what the positional forms are built with; no value may contain them.
const separators = ",:;"

// strictJSON decodes one JSON value and refuses fields that the type lacks, and anything after it.
func strictJSON(s string, into any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("unexpected text after the value")
	}
	return nil
}

// decodeVersioned reads one of our own formats. The version decides how the rest is read, so it is read
// before unknown fields are refused.
func decodeVersioned(s string, version int, into any) error {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal([]byte(s), &head); err != nil {
		return err
	}
	if head.Version != version {
		return wrongVersion(head.Version, version)
	}
	return strictJSON(s, into)
}

func wrongVersion(got, want int) *field.Error {
	return field.Invalid(field.NewPath("version"), got, fmt.Sprintf("must be %d", want))
}

func validateUUID(path *field.Path, uuid string) field.ErrorList {
	if uuid == "" {
		return field.ErrorList{field.Required(path, "a card is known by its UUID")}
	}
	if len(uuid) > 128 || strings.ContainsAny(uuid, separators) || strings.ContainsFunc(uuid, notPrintable) {
		return field.ErrorList{field.Invalid(path, uuid, "must be printable, at most 128 bytes, without any of "+separators)}
	}
	return nil
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

// number reads a decimal field of a positional form.
func number(path *field.Path, text string, most uint64) (uint64, *field.Error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > most {
		return 0, field.Invalid(path, text, fmt.Sprintf("must be a whole number between 0 and %d", most))
	}
	return n, nil
}

// sliceFields are what one slice looks like in HAMi's and in Volcano's form: UUID, vendor word, MiB,
// cores.
const sliceFields = 4

// encodeSlices writes one container's slices; both legacy forms end each slice with a colon.
func encodeSlices(all []Slice) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%s,%s,%d,%d:", s.UUID, device.VendorNVIDIA, s.Memory, s.Cores)
	}
	return b.String()
}

// decodeSlices reads one container's slices.
func decodeSlices(path *field.Path, text string) ([]Slice, field.ErrorList) {
	var all []Slice
	var errs field.ErrorList
	for i, record := range strings.Split(strings.TrimSuffix(text, ":"), ":") {
		p := path.Index(i)
		parts := strings.Split(record, ",")
		if len(parts) != sliceFields {
			errs = append(errs, field.Invalid(p, record, fmt.Sprintf("has %d fields, want UUID,type,memory,cores", len(parts))))
			continue
		}
		memory, memoryErr := number(p.Child("memory"), parts[2], request.MaxMemory)
		cores, coresErr := number(p.Child("cores"), parts[3], uint64(maxCores))
		errs = append(errs, validateUUID(p.Child("uuid"), parts[0])...)
		for _, err := range []*field.Error{memoryErr, coresErr} {
			if err != nil {
				errs = append(errs, err)
			}
		}
		all = append(all, Slice{UUID: parts[0], Memory: device.MiB(memory), Cores: device.CorePercent(cores)})
	}
	return all, errs
}
