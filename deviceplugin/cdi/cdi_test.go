package cdi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	cdiapi "tags.cncf.io/container-device-interface/pkg/cdi"
	specs "tags.cncf.io/container-device-interface/specs-go"
)

func open(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cdi")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

var edits = specs.ContainerEdits{
	Env:    []string{"A=b"},
	Mounts: []*specs.Mount{{HostPath: "/x", ContainerPath: "/y", Options: []string{"ro"}}},
	DeviceNodes: []*specs.DeviceNode{
		{Path: "/dev/nvidia0", HostPath: "/elsewhere/dev/nvidia0", Permissions: "rw"},
	},
}

func TestRuntimesLibraryResolvesOurSpecs(t *testing.T) {
	s, dir := open(t)
	name := NewName()
	if err := s.Write(name, Owner{PodUID: "u", Container: "c"}, edits); err != nil {
		t.Fatal(err)
	}
	cache, err := cdiapi.NewCache(cdiapi.WithSpecDirs(dir), cdiapi.WithAutoRefresh(false))
	if err != nil {
		t.Fatal(err)
	}
	if errs := cache.GetErrors(); len(errs) > 0 {
		t.Fatalf("the runtime's library refuses the spec: %v", errs)
	}
	dev := cache.GetDevice(Qualified(name))
	if dev == nil {
		t.Fatalf("device %s is not found", Qualified(name))
	}
	if diff := cmp.Diff(edits, dev.Device.ContainerEdits); diff != "" {
		t.Errorf("edits (-want,+got)\n%s", diff)
	}
}

func TestListFindsOwnersAndIgnoresOthers(t *testing.T) {
	s, dir := open(t)
	name := NewName()
	owner := Owner{PodUID: "u", Container: "c"}
	if err := s.Write(name, owner, edits); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"nvidia.yaml": "kind: nvidia.com/gpu", filePrefix + "not-ours.json": "{}", ".basalt-tmp-1": "unfinished",
		filePrefix + "00000000000000000000000000000000.json": "garbage",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{{Name: "00000000000000000000000000000000"}, {Name: name, Owner: owner}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Entry{}, "Written")); diff != "" {
		t.Errorf("entries (-want,+got)\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, ".basalt-tmp-1")); err == nil {
		t.Error("an unfinished file is left")
	}
}

func TestSameContentIsNotWrittenAgain(t *testing.T) {
	s, dir := open(t)
	name := NewName()
	path := filepath.Join(dir, filePrefix+name+fileSuffix)
	var infos []os.FileInfo
	for range 2 {
		if err := s.Write(name, Owner{PodUID: "u", Container: "c"}, edits); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	if !os.SameFile(infos[0], infos[1]) {
		t.Error("the file was replaced by one that says the same")
	}
}

func TestNamesThatWeDidNotMakeAreRefused(t *testing.T) {
	s, _ := open(t)
	for _, name := range []string{"", "../../etc/passwd", "0123", "0123456789ABCDEF0123456789ABCDEF"} {
		if err := s.Write(name, Owner{}, edits); !errors.Is(err, ErrBadName) {
			t.Errorf("write %q: %v, want %v", name, err, ErrBadName)
		}
		if err := s.Remove(name); !errors.Is(err, ErrBadName) {
			t.Errorf("remove %q: %v, want %v", name, err, ErrBadName)
		}
		if _, ok := ParseQualified(Kind + "=" + name); ok {
			t.Errorf("%q passed as a device of ours", name)
		}
	}
	if _, ok := ParseQualified("nvidia.com/gpu=" + NewName()); ok {
		t.Error("a device of another kind passed as ours")
	}
}
