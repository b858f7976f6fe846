// Package durable writes files that appear whole or not at all: a reader, and the agent after a
// crash at any instruction, sees the old content or the new one. It knows nothing about contents.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tempPrefix marks unfinished files. The leading dot and the missing extension keep directory
// watchers that select by name (CDI reads *.json and *.yaml) from looking at them.
const tempPrefix = ".basalt-tmp-"

// WriteFile replaces path by data. The temporary file lies in the same directory, because a rename
// across directories raises no event that a watcher of one directory can rely on. Data and the
// directory entry are flushed, so that the file survives a power loss once WriteFile returned.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, true)
}

// WriteVolatile is WriteFile without the flushes, for files on tmpfs or files that are made anew
// after a reboot anyway.
func WriteVolatile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, false)
}

func write(path string, data []byte, mode fs.FileMode, flush bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return fmt.Errorf("create temporary file for %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// Chmod, not the mode of the creation: the umask must not decide who can read the file.
	if err = f.Chmod(mode); err != nil {
		return fmt.Errorf("set mode of %s: %w", path, err)
	}
	if flush {
		if err = f.Sync(); err != nil {
			return fmt.Errorf("flush %s: %w", path, err)
		}
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", path, err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("rename to %s: %w", path, err)
	}
	if flush {
		return syncDir(dir)
	}
	return nil
}

// Remove deletes path; a file that is already gone is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SweepTemporary deletes what a crash left unfinished in dir. Only one process may own dir's
// temporary files at a time: call it at start, before the first write.
func SweepTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			errs = append(errs, Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}
