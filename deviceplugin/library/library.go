// Package library delivers the limiter to the node: a copy under a name that contains the hash of
// its content. A file that exists is never written again, because processes map it; another version
// is another file, and running containers keep the one they started with.
package library

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/basalt-gpu/basalt/deviceplugin/durable"
)

// hashDigits is how much of the hash the name carries: 64 bits, far beyond a chance collision among
// the versions that one node ever sees; a difference is checked for nonetheless.
const hashDigits = 16

// Install copies source into dir as base.<hash> and returns the path of the copy.
func Install(source, dir, base string, mode fs.FileMode) (string, error) {
	data, err := os.ReadFile(source)
	if err != nil {
		return "", fmt.Errorf("read %s to install: %w", base, err)
	}
	if len(data) == 0 {
		return "", fmt.Errorf("install %s: source %s is empty", base, source)
	}
	return InstallContent(data, dir, base, mode)
}

// InstallContent is Install for content that the caller has at hand.
func InstallContent(data []byte, dir, base string, mode fs.FileMode) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make library directory: %w", err)
	}
	sum := sha256.Sum256(data)
	path := filepath.Join(dir, base+"."+hex.EncodeToString(sum[:])[:hashDigits])
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, data):
		return path, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read installed %s: %w", base, err)
	}
	// Content that differs under this name was damaged on disk. The rename gives the path a new
	// inode, so that processes which map the damaged file are not changed under their feet.
	if err := durable.WriteFile(path, data, mode); err != nil {
		return "", fmt.Errorf("install %s: %w", base, err)
	}
	return path, nil
}
