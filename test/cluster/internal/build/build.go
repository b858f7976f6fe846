// Package build makes the cluster's binaries from pinned Go modules and keeps them in the user's
// cache, keyed by version, pins and toolchain. It knows how each one is built, not how it is run.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Versions of what is built. The tools modules pin the same; a test compares them.
const (
	KubernetesVersion = "v1.34.1"
	VolcanoVersion    = "v1.14.1"
	EtcdModule        = "go.etcd.io/etcd/server/v3"
	ContainerdModule  = "github.com/containerd/containerd/v2"
)

// needed is the free disk space asked before a build: module and build cache of a cold start.
const needed = 10 << 30

// keep is how long a binary stays in the cache unused: another branch may pin another version.
const keep = 30 * 24 * time.Hour

// Tool is a binary built from a tools module.
type Tool struct {
	Name string
	// Module is the folder below test/cluster/tools that pins it.
	Module string
	// Versioned is the module whose pinned version names the cached file.
	Versioned string
	Package   string
	LDFlags   string
	// Cold says what a first build on two cores takes, for those who wait for it.
	Cold string
}

// Tools lists everything that is built, largest first: the later ones share its packages.
func Tools() []Tool {
	// Without these the API server calls itself v0.0.0 and clients refuse it.
	stamp := "-X k8s.io/component-base/version.gitVersion=" + KubernetesVersion +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34" +
		" -X k8s.io/client-go/pkg/version.gitVersion=" + KubernetesVersion
	kubernetes := func(name, cold string) Tool {
		return Tool{Name: name, Module: "kubernetes", Versioned: "k8s.io/kubernetes", Package: "k8s.io/kubernetes/cmd/" + name, LDFlags: stamp, Cold: cold}
	}
	containerd := func(name, cold string) Tool {
		return Tool{Name: name, Module: "containerd", Versioned: ContainerdModule, Package: ContainerdModule + "/cmd/" + name, Cold: cold}
	}
	return []Tool{
		kubernetes("kube-apiserver", "5 minutes"),
		kubernetes("kube-controller-manager", "1 minute"),
		kubernetes("kubelet", "half a minute"),
		kubernetes("kubectl", "half a minute"),
		{Name: "vc-controller-manager", Module: "kubernetes", Versioned: "volcano.sh/volcano", Package: "volcano.sh/volcano/cmd/controller-manager", Cold: "half a minute"},
		containerd("containerd", "1 minute"),
		containerd("containerd-shim-runc-v2", "seconds"),
		containerd("ctr", "seconds"),
		{Name: "etcd", Module: "etcd", Versioned: EtcdModule, Package: EtcdModule, Cold: "half a minute"},
	}
}

// Builder builds tools of one clone into a cache.
type Builder struct {
	// Repo is the root of the clone, for the pins.
	Repo string
	// Cache is the folder of the finished binaries.
	Cache string
	// Progress receives one line per step.
	Progress io.Writer
}

// CacheDir is the default cache: the user's, so that clones share it.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w", err)
	}
	return filepath.Join(base, "basalt", "bin"), nil
}

// All makes sure that every tool is in the cache and returns their paths by name. Only one build
// runs at a time on a machine: two would each take twice as long, and the memory of two linkers.
func (b Builder) All(ctx context.Context) (map[string]string, error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("make binary cache: %w", err)
	}
	unlock, err := b.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	now := time.Now()
	paths := map[string]string{}
	var missing []Tool
	for _, tool := range Tools() {
		path, err := b.path(ctx, tool)
		if err != nil {
			return nil, err
		}
		paths[tool.Name] = path
		// The time of the last use decides what is pruned.
		if err := os.Chtimes(path, now, now); err != nil {
			missing = append(missing, tool)
		}
	}
	if err := b.prune(now.Add(-keep)); err != nil {
		return nil, err
	}
	if len(missing) == 0 {
		return paths, nil
	}
	if err := b.checkDisk(); err != nil {
		return nil, err
	}
	fmt.Fprintf(b.Progress, "building %d of %d cluster binaries into %s (done once; on 2 cores with an empty Go cache about 12 minutes)\n",
		len(missing), len(Tools()), b.Cache)
	for i, tool := range missing {
		start := time.Now()
		fmt.Fprintf(b.Progress, "  [%d/%d] %s: a cold build takes %s ...\n", i+1, len(missing), tool.Name, tool.Cold)
		if err := b.build(ctx, tool, paths[tool.Name]); err != nil {
			return nil, err
		}
		fmt.Fprintf(b.Progress, "  [%d/%d] %s: built in %s\n", i+1, len(missing), tool.Name, time.Since(start).Round(time.Second))
	}
	return paths, nil
}

// ModuleDir returns the folder of a module that a tools module pins, for the files it brings.
func (b Builder) ModuleDir(ctx context.Context, tools, module string) (string, error) {
	dir, err := b.list(ctx, tools, "-f", "{{.Dir}}", module)
	if err != nil || dir != "" {
		return dir, err
	}
	// Listed, but not downloaded: binaries came from the cache and the module cache is empty.
	if _, err := b.goCommand(ctx, tools, "mod", "download", module); err != nil {
		return "", err
	}
	return b.list(ctx, tools, "-f", "{{.Dir}}", module)
}

func (b Builder) path(ctx context.Context, tool Tool) (string, error) {
	version, err := b.list(ctx, tool.Module, "-f", "{{.Version}}", tool.Versioned)
	if err != nil {
		return "", err
	}
	toolchain, err := b.goCommand(ctx, tool.Module, "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintln(sum, toolchain, tool.Package, tool.LDFlags)
	for _, file := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(b.module(tool.Module), file))
		if err != nil {
			return "", fmt.Errorf("read pins of %s: %w", tool.Name, err)
		}
		sum.Write(raw)
	}
	return filepath.Join(b.Cache, tool.Name+"@"+version+"-"+hex.EncodeToString(sum.Sum(nil))[:10]), nil
}

func (b Builder) build(ctx context.Context, tool Tool, path string) error {
	part := path + ".part"
	defer os.Remove(part)
	flags := strings.TrimSpace("-s -w " + tool.LDFlags)
	if _, err := b.goCommand(ctx, tool.Module, "build", "-trimpath", "-ldflags", flags, "-o", part, tool.Package); err != nil {
		return fmt.Errorf("build %s: %w", tool.Name, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("publish %s: %w", tool.Name, err)
	}
	return nil
}

func (b Builder) module(name string) string {
	return filepath.Join(b.Repo, "test", "cluster", "tools", name)
}

func (b Builder) list(ctx context.Context, tools string, args ...string) (string, error) {
	return b.goCommand(ctx, tools, append([]string{"list", "-m"}, args...)...)
}

func (b Builder) goCommand(ctx context.Context, tools string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.module(tools)
	// The tools are built alone and static, whatever workspace or flags the caller has.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", args[0], tools, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// prune removes binaries that no clone used since before.
func (b Builder) prune(before time.Time) error {
	entries, err := os.ReadDir(b.Cache)
	if err != nil {
		return fmt.Errorf("list binary cache: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.Contains(entry.Name(), "@") || info.ModTime().After(before) {
			continue
		}
		if err := os.Remove(filepath.Join(b.Cache, entry.Name())); err != nil {
			return fmt.Errorf("prune binary cache: %w", err)
		}
	}
	return nil
}

func (b Builder) checkDisk() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(b.Cache, &fs); err != nil {
		return fmt.Errorf("ask free space of %s: %w", b.Cache, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < needed {
		return fmt.Errorf("free disk space at %s is %d MiB: building the cluster asks for %d MiB", b.Cache, free>>20, uint64(needed)>>20)
	}
	return nil
}

func (b Builder) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(b.Cache, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open build lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		fmt.Fprintln(b.Progress, "another build of the cluster is running: waiting for it")
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("take build lock: %w", err)
		}
	}
	return func() { f.Close() }, nil
}
