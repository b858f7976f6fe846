package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

const card = "GPU-00000000-0000-0000-0000-000000000000"

var capacity = map[string]device.Amount{card: {Memory: 80000, Cores: 100, Slots: 10}}

func alwaysLive(string) bool { return true }

func makeRecord(uid string, memory device.MiB) Record {
	a := wire.Allocation{Version: wire.AllocationVersion, Node: "node1", Containers: map[string][]wire.Slice{
		"main": {{UUID: card, Memory: memory, Cores: 10}},
	}}
	r := &request.Pod{Containers: []request.Container{{Name: "main", Count: 1, Memory: memory, Cores: 10}}}
	return Record{Version: Version, PodUID: uid, Namespace: "default", Name: "p", Source: wire.SourceBasalt, Allocation: a, Peak: Peaks(a, r)}
}

func TestPeaks(t *testing.T) {
	slice := func(memory device.MiB) []wire.Slice { return []wire.Slice{{UUID: card, Memory: memory, Cores: 10}} }
	tests := map[string]struct {
		containers []request.Container
		slices     map[string][]wire.Slice
		want       Taken
	}{
		"app containers run together": {
			containers: []request.Container{{Name: "a"}, {Name: "b"}},
			slices:     map[string][]wire.Slice{"a": slice(100), "b": slice(200)},
			want:       Taken{MemoryMiB: 300, Cores: 20, Slots: 2},
		},
		"an init container counts by its peak": {
			containers: []request.Container{{Name: "i", Kind: request.Init}, {Name: "a"}},
			slices:     map[string][]wire.Slice{"i": slice(500), "a": slice(200)},
			want:       Taken{MemoryMiB: 500, Cores: 10, Slots: 1},
		},
		"a sidecar runs beside all that follow it": {
			containers: []request.Container{{Name: "s", Kind: request.Sidecar}, {Name: "i", Kind: request.Init}, {Name: "a"}},
			slices:     map[string][]wire.Slice{"s": slice(50), "i": slice(500), "a": slice(200)},
			want:       Taken{MemoryMiB: 550, Cores: 20, Slots: 2},
		},
		"a sidecar does not run beside what precedes it": {
			containers: []request.Container{{Name: "i", Kind: request.Init}, {Name: "s", Kind: request.Sidecar}, {Name: "a"}},
			slices:     map[string][]wire.Slice{"s": slice(50), "i": slice(500), "a": slice(200)},
			want:       Taken{MemoryMiB: 500, Cores: 20, Slots: 2},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := Peaks(wire.Allocation{Containers: tc.slices}, &request.Pod{Containers: tc.containers})
			if diff := cmp.Diff(map[string]Taken{card: tc.want}, got); diff != "" {
				t.Errorf("peak (-want,+got)\n%s", diff)
			}
		})
	}
}

func TestFirstPinCountsAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := makeRecord("u", 1000)
	for _, r := range []Record{first, makeRecord("u", 2000)} {
		got, err := s.Pin(r, capacity, alwaysLive)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("pinned (-want,+got)\n%s", diff)
		}
	}
	if again, err := Open(dir); err != nil {
		t.Fatal(err)
	} else if got, ok := again.Get("u"); !ok || !cmp.Equal(first, got) {
		t.Errorf("after a restart: %v, (-want,+got)\n%s", ok, cmp.Diff(first, got))
	}
	info, err := os.Stat(filepath.Join(dir, "u.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("record file: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestPinsAtOnceNeverExceedTheCard(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	results := make(chan error, 20)
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := s.Pin(makeRecord(fmt.Sprintf("u%d", i), 20000), capacity, alwaysLive)
			results <- err
		}()
	}
	wg.Wait()
	close(results)
	pinned := 0
	for err := range results {
		switch {
		case err == nil:
			pinned++
		case !errors.Is(err, ErrDoesNotFit):
			t.Errorf("pin: %v", err)
		}
	}
	if pinned != 4 {
		t.Errorf("%d pods of 20000 MiB on a card of 80000 MiB, want 4", pinned)
	}
}

func TestDeadPodsMakeRoom(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pin(makeRecord("first", 80000), capacity, alwaysLive); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pin(makeRecord("second", 1000), capacity, alwaysLive); !errors.Is(err, ErrDoesNotFit) {
		t.Errorf("pin beside a live pod: %v, want %v", err, ErrDoesNotFit)
	}
	if _, err := s.Pin(makeRecord("second", 1000), capacity, func(uid string) bool { return uid != "first" }); err != nil {
		t.Errorf("pin after the end of the first: %v", err)
	}
}

func TestDamagedRecordIsSetAside(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pin(makeRecord("good", 1000), capacity, alwaysLive); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(`{"version":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir)
	if s == nil || err == nil {
		t.Fatalf("Open: %v, %v; want a store and the damage", s, err)
	}
	if diff := cmp.Diff([]string{"good"}, s.UIDs()); diff != "" {
		t.Errorf("records (-want,+got)\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "bad.json.damaged")); err != nil {
		t.Errorf("damaged file: %v", err)
	}
}

func TestUIDCannotLeaveTheDirectory(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{"", "../u", "a/b", ".", strings.Repeat("a", 65)} {
		if _, err := s.Pin(makeRecord(uid, 1000), capacity, alwaysLive); err == nil {
			t.Errorf("pinned UID %q", uid)
		}
		if err := s.Remove(uid); err == nil {
			t.Errorf("removed UID %q", uid)
		}
	}
}

func TestRecordFileIsStable(t *testing.T) {
	got, err := Encode(makeRecord("8f3f7c52-6a52-4a0e-9d3e-1d2a6c1f0001", 3000))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/record-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("file (-want,+got)\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	seed, err := Encode(makeRecord("u", 3000))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Encode(r)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		if r2, err := Decode(again); err != nil || !cmp.Equal(r, r2) {
			t.Errorf("round trip: %v (-want,+got)\n%s", err, cmp.Diff(r, r2))
		}
	})
}
