// Package slicefiles owns the files by which agent and limiter speak: for each container a limits
// page, written by the agent and mounted read-only, and a region, written by the container. Both lie
// on tmpfs, so that a write of the limiter never waits for a disk and a reboot leaves nothing.
//
// The directories are 0700, because the region has to be writable by whatever uid the container runs
// under; the container reaches the files through its mounts only.
//
// A region is kept over restarts of its container: the limiter itself takes over slots of dead
// processes, by lock, pid and start time, and accounts of memory that outlives a process stay right.
// Only a region that no limiter can have written is replaced, which happens between two instances of
// the container, when nobody maps it.
package slicefiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/basalt-gpu/basalt/deviceplugin/durable"
	"github.com/basalt-gpu/basalt/hamicore"
)

// Paths are the files of one container on the host.
type Paths struct {
	Limits string
	Region string
}

// Dir is the directory of all containers' files.
type Dir struct{ root string }

// Open makes the directory where it is missing.
func Open(root string) (*Dir, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	// It may exist with another mode, from a package or a tmpfiles rule.
	if err := os.Chmod(root, 0o700); err != nil {
		return nil, fmt.Errorf("close run directory to others: %w", err)
	}
	return &Dir{root: root}, nil
}

// Prepare makes the files of one container, or confirms them. The container must not be running.
func (d *Dir) Prepare(podUID, container string, limits hamicore.Limits) (Paths, error) {
	dir := filepath.Join(d.root, podUID, container)
	if filepath.Dir(filepath.Dir(dir)) != filepath.Clean(d.root) {
		return Paths{}, fmt.Errorf("prepare files: %q/%q is not a pod UID and a container name", podUID, container)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Paths{}, fmt.Errorf("make directory of container: %w", err)
	}
	if err := durable.SweepTemporary(dir); err != nil {
		return Paths{}, err
	}
	p := Paths{Limits: filepath.Join(dir, hamicore.LimitsName), Region: filepath.Join(dir, hamicore.RegionName)}
	page, err := hamicore.EncodeAgentPage(limits)
	if err != nil {
		return Paths{}, err
	}
	if err := prepareLimits(p.Limits, page); err != nil {
		return Paths{}, err
	}
	return p, prepareRegion(p.Region)
}

// prepareLimits leaves a page that says the same alone.
func prepareLimits(path string, page []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, page) {
		return nil
	}
	if err := durable.WriteVolatile(path, page, 0o444); err != nil {
		return fmt.Errorf("write limits: %w", err)
	}
	return nil
}

func prepareRegion(path string) error {
	if b, err := readRegion(path); err == nil {
		if _, err = hamicore.ReadRegion(b); err == nil {
			return nil
		}
	}
	if err := durable.WriteVolatile(path, hamicore.NewRegion(), 0o666); err != nil {
		return fmt.Errorf("write region: %w", err)
	}
	return nil
}

// readRegion copies the file instead of mapping it: the container may cut it short at any time. It
// does not follow links and reads no more than a region.
func readRegion(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() != hamicore.RegionSize {
		return nil, fmt.Errorf("region %s is not a regular file of %d bytes", path, hamicore.RegionSize)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, hamicore.RegionSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// Pods returns the UIDs of the pods that have files, sorted.
func (d *Dir) Pods() ([]string, error) {
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, fmt.Errorf("list run directory: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	sort.Strings(out)
	return out, nil
}

// Remove deletes the files of a pod.
func (d *Dir) Remove(podUID string) error {
	dir := filepath.Join(d.root, podUID)
	if podUID == "" || filepath.Dir(dir) != filepath.Clean(d.root) {
		return fmt.Errorf("remove files: %q is not a pod UID", podUID)
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove files of pod %s: %w", podUID, err)
	}
	return nil
}
