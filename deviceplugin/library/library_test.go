package library

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAnInstalledFileIsNeverWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	install := func(content string) (string, os.FileInfo) {
		t.Helper()
		if err := os.WriteFile(source, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		path, err := Install(source, filepath.Join(dir, "lib"), "libvgpu.so", 0o755)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, info
	}
	pathOne, one := install("one")
	pathTwo, _ := install("two")
	pathAgain, again := install("one")
	if pathOne == pathTwo {
		t.Error("two versions share a name")
	}
	if pathOne != pathAgain || !os.SameFile(one, again) || !one.ModTime().Equal(again.ModTime()) {
		t.Error("the same version was written again")
	}
	if one.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, want 0755", one.Mode().Perm())
	}
}

func TestADamagedCopyIsReplacedByAnotherFile(t *testing.T) {
	dir := t.TempDir()
	path, err := InstallContent([]byte("content"), dir, "libvgpu.so", 0o755)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer mapped.Close()
	if err := os.WriteFile(path, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := InstallContent([]byte("content"), dir, "libvgpu.so", 0o755); err != nil {
		t.Fatal(err)
	}
	old, err := mapped.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(path); err != nil || os.SameFile(old, now) {
		t.Errorf("the file that a process maps was changed in place (%v)", err)
	}
}

func TestSourcesThatCannotBeInstalledAreRefused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{empty, filepath.Join(dir, "missing")} {
		if _, err := Install(source, dir, "libvgpu.so", 0o755); err == nil {
			t.Errorf("installed %s", source)
		}
	}
}
