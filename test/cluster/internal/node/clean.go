package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

// StopContainers ends every container through containerd, as long as it still answers.
func StopContainers(ctx context.Context, l layout.Layout) {
	if _, err := os.Stat(l.ContainerdSocket()); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ctr := func(args ...string) []string {
		args = append([]string{"--address", l.ContainerdSocket(), "--namespace", "k8s.io"}, args...)
		out, err := exec.CommandContext(ctx, filepath.Join(l.Bin(), "ctr"), args...).Output()
		if err != nil {
			// What cannot be ended this way is ended by KillLeftovers.
			return nil
		}
		return strings.Fields(string(out))
	}
	for _, task := range ctr("tasks", "ls", "-q") {
		ctr("tasks", "rm", "--force", task)
	}
	for _, container := range ctr("containers", "ls", "-q") {
		ctr("containers", "rm", container)
	}
}

// KillLeftovers ends what a dead containerd left: the processes in the pods' cgroups, and the shims,
// known by our socket in their arguments.
func KillLeftovers(l layout.Layout) {
	for _, root := range podCgroups() {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "cgroup.procs" {
				raw, _ := os.ReadFile(path)
				for _, field := range strings.Fields(string(raw)) {
					kill(field)
				}
			}
			return nil
		})
	}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && isShim(string(raw), l.ContainerdSocket()) {
			kill(entry.Name())
		}
	}
}

// isShim recognises a shim of the containerd at socket by its NUL-separated arguments.
func isShim(cmdline, socket string) bool {
	args := strings.Split(cmdline, "\x00")
	if !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-runc-v2") {
		return false
	}
	for i := 1; i < len(args); i++ {
		if args[i-1] == "-address" && args[i] == socket {
			return true
		}
	}
	return false
}

func kill(pid string) {
	if n, err := strconv.Atoi(pid); err == nil && n > 1 {
		_ = unix.Kill(n, unix.SIGKILL)
	}
}

// RemoveCgroups removes the kubelet's cgroups in every hierarchy. Processes that were just killed
// may take a moment to leave them.
func RemoveCgroups(timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		var failed error
		for _, root := range podCgroups() {
			if err := removeTree(root); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// removeTree removes a cgroup bottom up: only rmdir works there.
func removeTree(root string) error {
	var dirs []string
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := unix.Rmdir(dirs[i]); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove cgroup %s: %w", dirs[i], err)
		}
	}
	return nil
}

// podCgroups finds the kubelet's top cgroup in version 1 hierarchies and in version 2.
func podCgroups() []string {
	found, _ := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	if _, err := os.Stat("/sys/fs/cgroup/kubepods"); err == nil {
		found = append(found, "/sys/fs/cgroup/kubepods")
	}
	return found
}

// Unmount detaches every mount at or below the given folders, deepest first.
func Unmount(roots ...string) error {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for _, point := range mountsBelow(string(raw), roots) {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// RemoveAll removes folders, and refuses when something is still mounted in one of them: removing
// through a mount would delete what does not belong to the cluster.
func RemoveAll(roots ...string) error {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	if left := mountsBelow(string(raw), roots); len(left) > 0 {
		return fmt.Errorf("not removing %s: still mounted: %s", strings.Join(roots, ", "), strings.Join(left, ", "))
	}
	for _, root := range roots {
		if err := os.RemoveAll(root); err != nil {
			return fmt.Errorf("remove %s: %w", root, err)
		}
	}
	return nil
}

// mountsBelow lists mount points at or below roots, in the reverse order of mounting.
func mountsBelow(mountinfo string, roots []string) []string {
	var points []string
	for _, line := range strings.Split(mountinfo, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		for _, root := range roots {
			if point == root || strings.HasPrefix(point, root+"/") {
				points = append(points, point)
				break
			}
		}
	}
	for i, j := 0, len(points)-1; i < j; i, j = i+1, j-1 {
		points[i], points[j] = points[j], points[i]
	}
	// A parent must not go before its child, whatever the order in which they were mounted.
	sort.SliceStable(points, func(i, j int) bool { return strings.Count(points[i], "/") > strings.Count(points[j], "/") })
	return points
}

// unescape undoes the octal escapes of mountinfo.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
