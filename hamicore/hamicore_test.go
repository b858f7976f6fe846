package hamicore

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of the current minor")

const (
	uuidA = "GPU-11111111-2222-3333-4444-555555555555"
	uuidB = "MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	mib   = 1 << 20
)

func twoCards() Limits {
	return Limits{
		PodUID: "0b7d9a3e-0000-4000-8000-000000000001", Container: "main",
		Devices: []DeviceLimit{
			{UUID: uuidA, LimitBytes: 3000 * mib, ContextBytes: 300 * mib, PhysicalBytes: 81920 * mib, CorePercent: 30},
			{UUID: uuidB, LimitBytes: 5000 * mib},
		},
	}
}

// sampleRegion is a region with two processes, as the limiter would leave it.
func sampleRegion() []byte {
	b := NewRegion()
	le := binary.LittleEndian
	le.PutUint64(b[regionOffCards:], 700*mib)
	le.PutUint64(b[regionOffCards+cardSize:], 2*mib)
	le.PutUint64(b[regionOffUnknownSymbols:], 3)
	for i, pid := range map[int]uint64{0: 17, 5: 4242} {
		s := b[regionOffSlots+i*slotSize:]
		le.PutUint64(s[slotOffOwner:], slotLive<<slotStateShift|pid)
		le.PutUint64(s[slotOffStart:], 1000+pid)
	}
	le.PutUint64(b[regionOffSlots+slotOffUsed:], 700*mib)
	le.PutUint64(b[regionOffSlots+5*slotSize+slotOffUsed+8:], 2*mib)
	return b
}

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func TestAgentPageKeepsItsBytes(t *testing.T) {
	got, err := EncodeAgentPage(twoCards())
	if err != nil {
		t.Fatal(err)
	}
	want := golden(t, "limits-1.0", got)
	if !bytes.Equal(want, got) {
		t.Errorf("the page differs from testdata/limits-1.0")
	}
	back, err := DecodeAgentPage(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(twoCards(), back); diff != "" {
		t.Errorf("decoded (-want,+got):\n%s", diff)
	}
}

func TestRegionKeepsItsBytes(t *testing.T) {
	want := golden(t, "region-1.0", sampleRegion())
	got, err := ReadRegion(want)
	if err != nil {
		t.Fatal(err)
	}
	use := func(n int, card int, bytes uint64) []uint64 {
		u := make([]uint64, n)
		u[card] = bytes
		return u
	}
	used := use(MaxDevices, 0, 700*mib)
	used[1] = 2 * mib
	wantRegion := Region{
		Major: 1, UsedBytes: used, Alarms: Alarms{UnknownSymbols: 3},
		Processes: []ProcessUse{
			{PID: 17, StartTime: 1017, UsedBytes: use(MaxDevices, 0, 700*mib)},
			{PID: 4242, StartTime: 5242, UsedBytes: use(MaxDevices, 1, 2*mib)},
		},
	}
	if diff := cmp.Diff(wantRegion, got); diff != "" {
		t.Errorf("region (-want,+got):\n%s", diff)
	}
}

func TestNewRegionIsEmpty(t *testing.T) {
	got, err := ReadRegion(NewRegion())
	if err != nil {
		t.Fatal(err)
	}
	want := Region{Major: Major, Minor: Minor, UsedBytes: make([]uint64, MaxDevices)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("region (-want,+got):\n%s", diff)
	}
}

func TestEncodeAgentPageRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*Limits)
		want   string
	}{
		"no card":             {func(l *Limits) { l.Devices = nil }, "devices: 0: must be between 1 and 16"},
		"too many cards":      {func(l *Limits) { l.Devices = make([]DeviceLimit, 17) }, "devices: 17:"},
		"an index as uuid":    {func(l *Limits) { l.Devices[0].UUID = "0" }, `devices[0].uuid: "0": must be GPU-`},
		"a uuid without hex":  {func(l *Limits) { l.Devices[0].UUID = strings.Replace(uuidA, "1", "x", 1) }, "must be hexadecimal"},
		"a card named twice":  {func(l *Limits) { l.Devices[1].UUID = uuidA }, "devices[1].uuid"},
		"no memory":           {func(l *Limits) { l.Devices[0].LimitBytes = 0 }, "devices[0].limitBytes: 0:"},
		"memory that wraps":   {func(l *Limits) { l.Devices[0].LimitBytes = 1 << 63 }, "devices[0].limitBytes"},
		"a huge context":      {func(l *Limits) { l.Devices[0].ContextBytes = 1 << 63 }, "devices[0].contextBytes"},
		"a huge card":         {func(l *Limits) { l.Devices[0].PhysicalBytes = 1 << 63 }, "devices[0].physicalBytes"},
		"more than all cores": {func(l *Limits) { l.Devices[0].CorePercent = 101 }, "devices[0].corePercent: 101:"},
		"an endless pod uid":  {func(l *Limits) { l.PodUID = strings.Repeat("x", 128) }, "podUID"},
		"a zero byte":         {func(l *Limits) { l.Container = "a\x00b" }, "container"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := twoCards()
			tc.change(&l)
			_, err := EncodeAgentPage(l)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestReadersRefuseHostileBytes(t *testing.T) {
	put32 := func(off int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[off:], v); return b }
	}
	put64 := func(off int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[off:], v); return b }
	}
	slot := func(off int) int { return regionOffSlots + off }
	tests := map[string]struct {
		page, region func([]byte) []byte
		want         string
	}{
		"an empty region":               {region: func([]byte) []byte { return nil }, want: "length: 0:"},
		"a truncated region":            {region: func(b []byte) []byte { return b[:RegionSize-1] }, want: "length"},
		"a region of zeros":             {region: func(b []byte) []byte { return make([]byte, len(b)) }, want: "magic"},
		"a region of another major":     {region: put32(offMajor, 2), want: "major: 2: must be 1"},
		"a total beyond the bytes":      {region: put32(regionOffTotalSize, RegionSize+1), want: "total size"},
		"a header beyond the total":     {region: put32(offHeaderSize, 1<<31), want: "header size"},
		"a card size of zero":           {region: put32(regionOffCardSize, 0), want: "card size"},
		"a card size that wraps":        {region: put32(regionOffCardSize, 0xffffffff), want: "card size"},
		"more cards than there are":     {region: put32(regionOffCardCount, 17), want: "card count"},
		"a slot size of zero":           {region: put32(regionOffSlotSize, 0), want: "slot size"},
		"slots that do not fit":         {region: put32(regionOffSlotSize, 60000), want: "slot count"},
		"more slots than there are":     {region: put32(regionOffSlotCount, 0xffffffff), want: "slot count"},
		"a card with negative use":      {region: put64(regionOffCards, 1<<64-1), want: "cards[0].used"},
		"a slot of no known state":      {region: put64(slot(slotOffOwner), 7<<32|1), want: "slots[0].state: 7"},
		"a slot of process 0":           {region: put64(slot(slotOffOwner), 1<<32), want: "slots[0].pid: 0"},
		"a slot of a negative process":  {region: put64(slot(slotOffOwner), 1<<32|0xffffffff), want: "slots[0].pid"},
		"a slot with negative use":      {region: put64(slot(slotOffUsed), 1<<63), want: "slots[0].used[0]"},
		"an empty page":                 {page: func([]byte) []byte { return nil }, want: "length: 0:"},
		"a page of another kind":        {page: put64(offMagic, regionMagic), want: "magic"},
		"a page of another major":       {page: put32(offMajor, 0), want: "major: 0: must be 1"},
		"more devices than fit":         {page: put32(pageOffDeviceCount, 1<<31), want: "device count"},
		"devices larger than the page":  {page: put32(pageOffDeviceSize, AgentPageSize), want: "device count"},
		"a page that is being written":  {page: put64(pageOffSequence, 3), want: "sequence: 3:"},
		"a page whose limit is nothing": {page: put64(pageOffDevices+deviceOffLimit, 0), want: "limitBytes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var err error
			if tc.region != nil {
				_, err = ReadRegion(tc.region(sampleRegion()))
			} else {
				page, encodeErr := EncodeAgentPage(twoCards())
				if encodeErr != nil {
					t.Fatal(encodeErr)
				}
				_, err = DecodeAgentPage(tc.page(page))
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func FuzzReadRegion(f *testing.F) {
	f.Add(NewRegion())
	f.Add(sampleRegion())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadRegion(b)
		if err != nil {
			return
		}
		if len(r.Processes) > MaxProcesses || len(r.UsedBytes) > MaxDevices {
			t.Errorf("%d processes and %d cards", len(r.Processes), len(r.UsedBytes))
		}
		for _, p := range r.Processes {
			if p.PID < 1 || len(p.UsedBytes) != len(r.UsedBytes) {
				t.Errorf("process %+v with %d cards", p, len(r.UsedBytes))
			}
		}
	})
}

func FuzzDecodeAgentPage(f *testing.F) {
	page, err := EncodeAgentPage(twoCards())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := DecodeAgentPage(b)
		if err != nil {
			return
		}
		again, err := EncodeAgentPage(l)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		back, err := DecodeAgentPage(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, back); diff != "" {
			t.Errorf("round trip (-want,+got):\n%s", diff)
		}
	})
}
