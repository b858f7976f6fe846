package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
)

// Kubectl runs kubectl as the administrator and returns what it printed. A failed command's error
// wraps *exec.ExitError and ends in what it said.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.layout.Bin(), "kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig(), "HOME=" + c.layout.Run, "PATH=/usr/bin:/bin"}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := netns.Do(cmd.Start); err != nil {
		return "", fmt.Errorf("start kubectl: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", args[0], err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.String(), nil
}

// Exec runs a command in a container through API server and kubelet, and returns its output. The
// streams go through kubectl: client-go's own transport ignores the configuration's dialer.
func (c *Cluster) Exec(ctx context.Context, namespace, pod, container string, command ...string) (stdout string, err error) {
	args := append([]string{"exec", "--namespace", namespace, pod, "--container", container, "--"}, command...)
	return c.Kubectl(ctx, args...)
}
