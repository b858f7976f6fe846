package nvidia

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// libraryDirs are the places where a driver root keeps its 64-bit libraries: the multiarch directory
// of Debian and Ubuntu, those of the other distributions, and those of driver containers.
var libraryDirs = []string{
	"usr/lib/x86_64-linux-gnu",
	"usr/lib/aarch64-linux-gnu",
	"lib/x86_64-linux-gnu",
	"lib/aarch64-linux-gnu",
	"usr/lib64",
	"lib64",
	"usr/lib",
	"lib",
}

// containerLibraryDirs are the directories that the loaders of glibc distributions search without an
// entry in ld.so.cache: the multiarch directory (Debian, Ubuntu) and /usr/lib64 (the others). The
// libraries are mounted into both under their sonames, so that no ldconfig has to run in the
// container, which many images lack. A directory that the image does not have is made by the runtime
// and does no harm.
var containerLibraryDirs = []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib64"}

// libraries are what programs of the capabilities "compute" and "utility" load, without the part
// behind ".so".
var libraries = []string{
	"libcuda",
	"libcudadebugger",
	"libnvidia-allocator",
	"libnvidia-cfg",
	"libnvidia-gpucomp",
	"libnvidia-ml",
	"libnvidia-nvvm",
	"libnvidia-nvvm70",
	"libnvidia-opencl",
	"libnvidia-pkcs11",
	"libnvidia-pkcs11-openssl3",
	"libnvidia-ptxjitcompiler",
}

var (
	binaryDirs = []string{"usr/bin", "bin", "opt/bin"}
	binaries   = []string{"nvidia-smi"}
)

const (
	nvmlSoname         = "libnvidia-ml.so.1"
	containerBinaryDir = "/usr/bin"
)

// root is a driver installation: the host's or one below another directory.
type root struct{ dir string }

// nvml returns the path of the management library.
func (r root) nvml() (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(r.dir, dir, nvmlSoname)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s below driver root %s: not in %s", nvmlSoname, r.dir, strings.Join(libraryDirs, ", "))
}

// file is one file to mount: where it is, and the name it has in the container.
type file struct{ source, name string }

// libraryFiles returns every name under which the root has one of the libraries, each with the file
// behind it. The sonames come as links in a driver installation; a link cannot be mounted, so the
// file is mounted under every name. The loader compares device and inode and loads it once.
func (r root) libraryFiles() ([]file, error) {
	found := map[string]string{}
	for _, dir := range libraryDirs {
		entries, err := os.ReadDir(filepath.Join(r.dir, dir))
		if err != nil {
			continue // no root has all of the directories
		}
		for _, e := range entries {
			// The first directory wins, as the order of libraryDirs says.
			if _, ok := found[e.Name()]; ok || !isLibrary(e.Name()) {
				continue
			}
			if source, ok := resolve(filepath.Join(r.dir, dir, e.Name())); ok {
				found[e.Name()] = source
			}
		}
	}
	if found["libcuda.so.1"] == "" {
		return nil, fmt.Errorf("find libcuda.so.1 below driver root %s: not in %s", r.dir, strings.Join(libraryDirs, ", "))
	}
	out := make([]file, 0, len(found))
	for name, source := range found {
		out = append(out, file{source: source, name: name})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}

func isLibrary(name string) bool {
	base, version, ok := strings.Cut(name, ".so")
	return ok && slices.Contains(libraries, base) && (version == "" || version[0] == '.')
}

// binaryFiles returns the programs that the root has.
func (r root) binaryFiles() []file {
	var out []file
	for _, name := range binaries {
		for _, dir := range binaryDirs {
			if source, ok := resolve(filepath.Join(r.dir, dir, name)); ok {
				out = append(out, file{source: source, name: name})
				break
			}
		}
	}
	return out
}

// resolve follows links to a regular file.
func resolve(path string) (string, bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", false
	}
	info, err := os.Stat(real)
	return real, err == nil && info.Mode().IsRegular()
}

// devRoot returns the directory whose dev folder has the device nodes: the given one, else the driver
// root where it has device nodes of its own (driver containers), else the host's root.
func (r root) devRoot(given string) string {
	if given != "" {
		return given
	}
	if _, err := os.Stat(filepath.Join(r.dir, "dev", controlNode)); err == nil {
		return r.dir
	}
	return "/"
}
