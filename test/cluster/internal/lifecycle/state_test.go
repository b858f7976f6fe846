package lifecycle

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

func testRunner(t *testing.T) *Runner {
	t.Helper()
	dir := t.TempDir()
	return New(Options{Layout: layout.Layout{Run: filepath.Join(dir, "run"), Data: filepath.Join(dir, "data")}, Repo: "/here", Out: io.Discard})
}

func TestStateSurvivesTheDisk(t *testing.T) {
	r := testRunner(t)
	if _, found := readState(r.Layout); found {
		t.Fatal("a state is found where none is")
	}
	want := state{Repo: "/here", Complete: true}
	if err := r.writeState(want); err != nil {
		t.Fatal(err)
	}
	if got, found := readState(r.Layout); !found || got != want {
		t.Errorf("state %+v, %t, want %+v", got, found, want)
	}
	if _, up := Running(r.Layout); up {
		t.Error("a cluster without etcd counts as running")
	}
	if err := os.WriteFile(r.Layout.StateFile(), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, found := readState(r.Layout); found {
		t.Error("half a state is taken for one")
	}
}

func TestAnotherClonesUsersAreWaitedFor(t *testing.T) {
	r := testRunner(t)
	release, err := Use(r.Layout)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.waitUnused(ctx, "/there"); err == nil || !strings.Contains(err.Error(), "/there") {
		t.Fatalf("error = %v, want one that names the other clone", err)
	}
	release()
	free, err := r.waitUnused(t.Context(), "/there")
	if err != nil {
		t.Fatal(err)
	}
	free()
}

func TestWriteFileLeavesTheSameContentAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "x")
	if err := writeFile(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || time.Since(info.ModTime()) < time.Minute {
		t.Errorf("an unchanged file was written again: %v", err)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("a\nb\nc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Tail(path, 2); got != "b\nc" {
		t.Errorf("tail %q, want b and c", got)
	}
	if got := Tail(path, 9); got != "a\nb\nc" {
		t.Errorf("tail %q, want all", got)
	}
}
