// Package cdi owns the CDI spec files of containers: their names, their content's frame and their
// life. It does not know what a slice is made of; the edits come from its caller.
//
// A name is new on every Allocate and is never used again. Container runtimes refresh their cache of
// specs asynchronously, so with names that return a stale cache could serve an old slice; with new
// ones it can only fail, and the kubelet tries again.
package cdi

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/basalt-gpu/basalt/deviceplugin/durable"
)

const (
	// Kind is the CDI vendor and class of every slice.
	Kind = "basalt.io/slice"

	// version is the oldest CDI version that knows all that we write (annotations), so that the
	// runtimes which can read the files are as many as possible.
	version = "0.6.0"

	filePrefix = "basalt.io-slice_"
	fileSuffix = ".json"

	annotationPodUID    = "basalt.io/pod-uid"
	annotationContainer = "basalt.io/container"
)

// namePattern is what NewName makes. Names become file names: nothing else may pass.
var namePattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ErrBadName is returned for a device name that this package did not make.
var ErrBadName = errors.New("not a device name of ours")

// NewName returns a device name that was never used before.
func NewName() string {
	b := make([]byte, 16)
	// crypto/rand.Read never returns an error; it ends the process where the system has no entropy.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// Qualified returns the name by which a runtime asks for the device.
func Qualified(name string) string { return Kind + "=" + name }

// ParseQualified returns the device name within Kind, and false for another kind or a name that
// NewName cannot have made.
func ParseQualified(qualified string) (string, bool) {
	name, ok := strings.CutPrefix(qualified, Kind+"=")
	return name, ok && namePattern.MatchString(name)
}

// Owner is the container that a spec was written for.
type Owner struct {
	PodUID    string
	Container string
}

// Entry is one spec file.
type Entry struct {
	Name    string
	Owner   Owner
	Written time.Time
}

// Store is the directory that the container runtime reads specs from.
type Store struct{ dir string }

// Open makes the directory where it is missing and removes what a crash left unfinished.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make CDI directory: %w", err)
	}
	if err := durable.SweepTemporary(dir); err != nil {
		return nil, err
	}
	return &Store{dir: dir}, nil
}

// Write publishes the edits under name. It leaves a file that already says the same alone, so that
// a container that restarts in a loop does not make the runtime read its specs again and again.
func (s *Store) Write(name string, owner Owner, edits specs.ContainerEdits) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("write CDI spec %q: %w", name, ErrBadName)
	}
	spec := specs.Spec{
		Version: version,
		Kind:    Kind,
		Annotations: map[string]string{
			annotationPodUID:    owner.PodUID,
			annotationContainer: owner.Container,
		},
		Devices: []specs.Device{{Name: name, ContainerEdits: edits}},
	}
	data, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return fmt.Errorf("encode CDI spec %s: %w", name, err)
	}
	path := s.path(name)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return durable.WriteVolatile(path, data, 0o644)
}

// Remove deletes the spec of name.
func (s *Store) Remove(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("remove CDI spec %q: %w", name, ErrBadName)
	}
	if err := durable.Remove(s.path(name)); err != nil {
		return fmt.Errorf("remove CDI spec: %w", err)
	}
	return nil
}

// List returns our specs by name. Files that cannot be read as ours have an empty owner: they
// belong to no container any more.
func (s *Store) List() ([]Entry, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list CDI specs: %w", err)
	}
	var out []Entry
	for _, f := range files {
		name, ok := strings.CutPrefix(f.Name(), filePrefix)
		if !ok {
			continue
		}
		if name, ok = strings.CutSuffix(name, fileSuffix); !ok || !namePattern.MatchString(name) {
			continue
		}
		e, err := s.entry(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func (s *Store) entry(name string) (Entry, error) {
	info, err := os.Stat(s.path(name))
	if err != nil {
		return Entry{}, fmt.Errorf("read CDI spec %s: %w", name, err)
	}
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		return Entry{}, fmt.Errorf("read CDI spec %s: %w", name, err)
	}
	e := Entry{Name: name, Written: info.ModTime()}
	var spec specs.Spec
	if json.Unmarshal(data, &spec) == nil {
		e.Owner = Owner{PodUID: spec.Annotations[annotationPodUID], Container: spec.Annotations[annotationContainer]}
	}
	return e, nil
}

func (s *Store) path(name string) string {
	return filepath.Join(s.dir, filePrefix+name+fileSuffix)
}
