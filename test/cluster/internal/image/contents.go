package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// pauseSource is the whole sandbox process: it waits for signals and reaps what is left to it.
const pauseSource = `#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void quit(int sig) { (void)sig; _exit(0); }
static void reap(int sig) { (void)sig; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
    signal(SIGINT, quit);
    signal(SIGTERM, quit);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
`

// PauseImage compiles and packs the sandbox image.
func PauseImage(work string) (v1.Image, error) {
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, fmt.Errorf("make image work directory: %w", err)
	}
	source, binary := filepath.Join(work, "pause.c"), filepath.Join(work, "pause")
	if err := os.WriteFile(source, []byte(pauseSource), 0o644); err != nil {
		return nil, fmt.Errorf("write pause source: %w", err)
	}
	if out, err := exec.Command("cc", "-Os", "-s", "-static", "-o", binary, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile pause: %w: %s", err, out)
	}
	tree := NewTree()
	if err := tree.Copy("pause", 0o755, binary); err != nil {
		return nil, err
	}
	return tree.Image("/pause")
}

// libraries are packed whether or not cudaprobe needs them: what is injected into a container at
// run time, a driver or a limiter, may.
var libraries = []string{"libc.so.6", "libdl.so.2", "libpthread.so.0", "libm.so.6", "librt.so.1", "libgcc_s.so.1"}

// ErrNoProbe says that the CUDA test program was not built.
var ErrNoProbe = errors.New("cudaprobe is not built")

// CUDAProbeImage packs the CUDA test program at probe with glibc and busybox. It holds no libcuda:
// as in real images, the driver is the node's to bring.
func CUDAProbeImage(probe string) (v1.Image, error) {
	if _, err := os.Stat(probe); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoProbe, probe)
	}
	tree := debianSkeleton()
	if err := tree.Copy("usr/bin/cudaprobe", 0o755, probe); err != nil {
		return nil, err
	}
	if err := addBusybox(tree); err != nil {
		return nil, err
	}
	if err := addLibraries(tree, probe); err != nil {
		return nil, err
	}
	return tree.Image("/usr/bin/cudaprobe", "info")
}

// debianSkeleton is the merged-/usr layout that drivers and limiters expect to find.
func debianSkeleton() *Tree {
	tree := NewTree()
	for _, dir := range []string{"dev", "etc", "proc", "run", "sys", "usr", "usr/bin", "usr/lib", "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/local", "usr/sbin", "var"} {
		tree.Dir(dir, 0o755)
	}
	tree.Dir("root", 0o700)
	tree.Dir("tmp", 0o1777)
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		tree.Link(name, "usr/"+name)
	}
	tree.File("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	tree.File("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	return tree
}

func addBusybox(tree *Tree) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("find busybox (package busybox-static): %w", err)
	}
	if needed, err := neededBy(path); err != nil || len(needed) > 0 {
		return fmt.Errorf("%s is not static (%v, %w): install busybox-static", path, needed, err)
	}
	if err := tree.Copy("usr/bin/busybox", 0o755, path); err != nil {
		return err
	}
	applets, err := exec.Command(path, "--list").Output()
	if err != nil {
		return fmt.Errorf("list busybox applets: %w", err)
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			tree.Link("usr/bin/"+applet, "busybox")
		}
	}
	return nil
}

// addLibraries packs the loader and every library that probe and the fixed list need.
func addLibraries(tree *Tree, probe string) error {
	loader, err := interpreterOf(probe)
	if err != nil {
		return err
	}
	if err := tree.Copy("usr/lib64/"+filepath.Base(loader), 0o755, loader); err != nil {
		return err
	}
	wanted, err := neededBy(probe)
	if err != nil {
		return err
	}
	wanted = append(wanted, libraries...)
	packed := map[string]bool{filepath.Base(loader): true}
	for len(wanted) > 0 {
		library := wanted[0]
		wanted = wanted[1:]
		if packed[library] {
			continue
		}
		packed[library] = true
		path, err := findLibrary(library)
		if err != nil {
			return err
		}
		if err := tree.Copy("usr/lib/x86_64-linux-gnu/"+library, 0o755, path); err != nil {
			return err
		}
		more, err := neededBy(path)
		if err != nil {
			return err
		}
		wanted = append(wanted, more...)
	}
	return nil
}

func findLibrary(library string) (string, error) {
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		path := filepath.Join(dir, library)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s is in none of the system's library folders", library)
}

func neededBy(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s as ELF: %w", path, err)
	}
	defer f.Close()
	// A static program has no dynamic section, and that is no error here.
	if f.Section(".dynamic") == nil {
		return nil, nil
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("read libraries of %s: %w", path, err)
	}
	return needed, nil
}

func interpreterOf(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("open %s as ELF: %w", path, err)
	}
	defer f.Close()
	section := f.Section(".interp")
	if section == nil {
		return "", fmt.Errorf("%s is static: it could load no driver", path)
	}
	raw, err := section.Data()
	if err != nil {
		return "", fmt.Errorf("read loader name of %s: %w", path, err)
	}
	return strings.TrimRight(string(raw), "\x00"), nil
}
