package hamicore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// DeviceLimit is what a container may use of one card. Bytes of all its processes count together,
// contexts included.
type DeviceLimit struct {
	// UUID is the card's name in the driver, "GPU-" or "MIG-" and 36 characters.
	UUID string
	// LimitBytes is the slice. It may exceed PhysicalBytes where memory is oversubscribed.
	LimitBytes uint64
	// ContextBytes is what one context costs on this card with this driver.
	ContextBytes uint64
	// PhysicalBytes is the whole card, 0 where it is not known.
	PhysicalBytes uint64
	// CorePercent is the share of computing time; 0 and 100 mean no limit.
	CorePercent uint32
}

// Limits is the content of an agent page.
type Limits struct {
	Devices   []DeviceLimit
	PodUID    string
	Container string
}

// firstSequence is even and not zero: a page that was never written is not taken for a written one.
const firstSequence = 2

// Validate returns every fault of l, joined.
func (l Limits) Validate() error {
	var errs []error
	if n := len(l.Devices); n < 1 || n > MaxDevices {
		errs = append(errs, fmt.Errorf("devices: %d: must be between 1 and %d", n, MaxDevices))
	}
	seen := map[string]int{}
	for i, d := range l.Devices {
		path := fmt.Sprintf("devices[%d]", i)
		if err := validateUUID(d.UUID); err != nil {
			errs = append(errs, fmt.Errorf("%s.uuid: %w", path, err))
		}
		key := strings.ToLower(d.UUID)
		if j, ok := seen[key]; ok {
			errs = append(errs, fmt.Errorf("%s.uuid: %q: same as devices[%d]", path, d.UUID, j))
		} else {
			seen[key] = i
		}
		if d.LimitBytes == 0 || d.LimitBytes > maxPlausibleUse {
			errs = append(errs, fmt.Errorf("%s.limitBytes: %d: must be between 1 and %d", path, d.LimitBytes, uint64(maxPlausibleUse)))
		}
		if d.ContextBytes > maxPlausibleUse {
			errs = append(errs, fmt.Errorf("%s.contextBytes: %d: must not exceed %d", path, d.ContextBytes, uint64(maxPlausibleUse)))
		}
		if d.PhysicalBytes > maxPlausibleUse {
			errs = append(errs, fmt.Errorf("%s.physicalBytes: %d: must not exceed %d", path, d.PhysicalBytes, uint64(maxPlausibleUse)))
		}
		if d.CorePercent > 100 {
			errs = append(errs, fmt.Errorf("%s.corePercent: %d: must not exceed 100", path, d.CorePercent))
		}
	}
	if err := validateName(l.PodUID); err != nil {
		errs = append(errs, fmt.Errorf("podUID: %w", err))
	}
	if err := validateName(l.Container); err != nil {
		errs = append(errs, fmt.Errorf("container: %w", err))
	}
	return errors.Join(errs...)
}

// validateUUID takes the form that the limiter can compare with the driver's 16 bytes.
func validateUUID(s string) error {
	hex, ok := strings.CutPrefix(s, "GPU-")
	if !ok {
		hex, ok = strings.CutPrefix(s, "MIG-")
	}
	if !ok || len(hex) != 36 {
		return fmt.Errorf("%q: must be GPU- or MIG- and 36 characters", s)
	}
	for i, c := range []byte(hex) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !isHex(c) {
			return fmt.Errorf("%q: must be hexadecimal in groups of 8-4-4-4-12", s)
		}
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func validateName(s string) error {
	if len(s) >= nameSize {
		return fmt.Errorf("%q: must be shorter than %d bytes", s, nameSize)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%q: must not contain a zero byte", s)
	}
	return nil
}

// EncodeAgentPage returns the bytes of the limits file.
func EncodeAgentPage(l Limits) ([]byte, error) {
	if err := l.Validate(); err != nil {
		return nil, fmt.Errorf("encode agent page: %w", err)
	}
	b := make([]byte, AgentPageSize)
	le := binary.LittleEndian
	le.PutUint64(b[offMagic:], agentMagic)
	le.PutUint32(b[offMajor:], Major)
	le.PutUint32(b[offMinor:], Minor)
	le.PutUint32(b[offHeaderSize:], pageOffDevices)
	le.PutUint32(b[pageOffDeviceSize:], deviceSize)
	le.PutUint32(b[pageOffDeviceCount:], uint32(len(l.Devices)))
	le.PutUint32(b[pageOffTotalSize:], AgentPageSize)
	le.PutUint64(b[pageOffSequence:], firstSequence)
	copy(b[pageOffPodUID:], l.PodUID)
	copy(b[pageOffContainer:], l.Container)
	for i, d := range l.Devices {
		e := b[pageOffDevices+i*deviceSize:][:deviceSize]
		copy(e[deviceOffUUID:], d.UUID)
		le.PutUint64(e[deviceOffLimit:], d.LimitBytes)
		le.PutUint64(e[deviceOffContext:], d.ContextBytes)
		le.PutUint64(e[deviceOffPhysical:], d.PhysicalBytes)
		le.PutUint32(e[deviceOffCores:], d.CorePercent)
	}
	return b, nil
}

// DecodeAgentPage reads a limits file of this major and any minor.
func DecodeAgentPage(b []byte) (Limits, error) {
	l, err := decodeAgentPage(b)
	if err != nil {
		return Limits{}, fmt.Errorf("decode agent page: %w", err)
	}
	return l, nil
}

func decodeAgentPage(b []byte) (Limits, error) {
	if len(b) < AgentPageSize {
		return Limits{}, fmt.Errorf("length: %d: must be at least %d", len(b), AgentPageSize)
	}
	if err := checkVersion(b, agentMagic); err != nil {
		return Limits{}, err
	}
	le := binary.LittleEndian
	header, size := le.Uint32(b[offHeaderSize:]), le.Uint32(b[pageOffDeviceSize:])
	count, total := le.Uint32(b[pageOffDeviceCount:]), le.Uint32(b[pageOffTotalSize:])
	if err := checkExtent("device", len(b), total, header, pageOffDevices, size, deviceSize, count, MaxDevices); err != nil {
		return Limits{}, err
	}
	if seq := le.Uint64(b[pageOffSequence:]); seq%2 != 0 {
		return Limits{}, fmt.Errorf("sequence: %d: the page is being written", seq)
	}
	l := Limits{
		PodUID:    text(b[pageOffPodUID:][:nameSize]),
		Container: text(b[pageOffContainer:][:nameSize]),
	}
	for i := range int(count) {
		e := b[int(header)+i*int(size):][:deviceSize]
		l.Devices = append(l.Devices, DeviceLimit{
			UUID:          text(e[deviceOffUUID:][:uuidSize]),
			LimitBytes:    le.Uint64(e[deviceOffLimit:]),
			ContextBytes:  le.Uint64(e[deviceOffContext:]),
			PhysicalBytes: le.Uint64(e[deviceOffPhysical:]),
			CorePercent:   le.Uint32(e[deviceOffCores:]),
		})
	}
	return l, l.Validate()
}

// checkVersion refuses another kind of file and another major.
func checkVersion(b []byte, magic uint64) error {
	le := binary.LittleEndian
	if got := le.Uint64(b[offMagic:]); got != magic {
		return fmt.Errorf("magic: %#x: must be %#x", got, magic)
	}
	if got := le.Uint32(b[offMajor:]); got != Major {
		return fmt.Errorf("major: %d: must be %d", got, Major)
	}
	return nil
}

// checkExtent proves that count entries of size bytes behind header lie within total and length.
func checkExtent(what string, length int, total, header, minHeader, size, minSize, count, maxCount uint32) error {
	switch {
	case uint64(total) > uint64(length):
		return fmt.Errorf("total size: %d: must not exceed the %d bytes at hand", total, length)
	case header < minHeader || header > total:
		return fmt.Errorf("header size: %d: must be between %d and %d", header, minHeader, total)
	case size < minSize || size > total:
		return fmt.Errorf("%s size: %d: must be between %d and %d", what, size, minSize, total)
	case count > maxCount:
		return fmt.Errorf("%s count: %d: must not exceed %d", what, count, maxCount)
	case uint64(header)+uint64(size)*uint64(count) > uint64(total):
		return fmt.Errorf("%s count: %d: %d bytes each do not fit into %d bytes", what, count, size, total)
	}
	return nil
}

// text is the string before the first zero byte.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
