// Package image packs the two container images of the test cluster. There is no registry and no
// base image: the files come from this machine, and the archive is imported into containerd.
// Packing is deterministic, so that an image whose content did not change is not imported again.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Names of the images; pods use them with imagePullPolicy Never.
const (
	Pause     = "basalt.local/pause:1"
	CUDAProbe = "basalt.local/cudaprobe:1"
)

// Tree is the content of an image: paths without a leading slash.
type Tree struct {
	entries map[string]entry
}

type entry struct {
	mode    int64
	content []byte
	link    string
	dir     bool
}

// NewTree returns an empty tree.
func NewTree() *Tree { return &Tree{entries: map[string]entry{}} }

// Dir adds a folder.
func (t *Tree) Dir(path string, mode int64) { t.entries[path] = entry{mode: mode, dir: true} }

// Link adds a symbolic link.
func (t *Tree) Link(path, target string) { t.entries[path] = entry{mode: 0o777, link: target} }

// File adds a file with the given content.
func (t *Tree) File(path string, mode int64, content []byte) {
	t.entries[path] = entry{mode: mode, content: content}
}

// Copy adds a file of this machine; links are followed.
func (t *Tree) Copy(path string, mode int64, source string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("read file for image path %s: %w", path, err)
	}
	t.File(path, mode, content)
	return nil
}

// Paths lists what the tree holds.
func (t *Tree) Paths() []string {
	paths := make([]string, 0, len(t.entries))
	for path := range t.entries {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	return paths
}

// archive writes the tree as a tar stream in path order, without owners and times. Sorting puts a
// folder before what is in it.
func (t *Tree) archive() ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, path := range t.Paths() {
		e := t.entries[path]
		header := &tar.Header{Name: path, Mode: e.mode, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Size: int64(len(e.content))}
		switch {
		case e.dir:
			header.Typeflag, header.Name = tar.TypeDir, path+"/"
		case e.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write image path %s: %w", path, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("write image path %s: %w", path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("finish image layer: %w", err)
	}
	return buffer.Bytes(), nil
}

// Image makes a one-layer image of the tree.
func (t *Tree) Image(command ...string) (v1.Image, error) {
	raw, err := t.archive()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("make image layer: %w", err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("append image layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image config: %w", err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = "amd64", "linux"
	file.Config.Cmd = command
	file.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	img, err = mutate.ConfigFile(img, file)
	if err != nil {
		return nil, fmt.Errorf("set image config: %w", err)
	}
	return img, nil
}

// Write stores the image as an archive that containerd imports, and returns its digest.
func Write(img v1.Image, reference, path string) (digest string, err error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return "", fmt.Errorf("image name %s: %w", reference, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("make image directory: %w", err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		return "", fmt.Errorf("write image %s: %w", reference, err)
	}
	hash, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("digest of image %s: %w", reference, err)
	}
	return hash.String(), nil
}
