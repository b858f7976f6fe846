package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/basalt-gpu/basalt/test/cluster/internal/component"
	"github.com/basalt-gpu/basalt/test/cluster/internal/image"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/node"
)

// Files of the clone that our components are started from.
const (
	schedulerBinary    = "build/bin/basalt-scheduler"
	devicePluginBinary = "build/bin/basalt-device-plugin"
	limiterLibrary     = "build/lib/libvgpu.so"
	fakeDriver         = "build/fakegpu"
	fakeCards          = "test/fakegpu/cards.json"
)

// scheduler starts our scheduler from the clone's build folder.
func (r *Runner) scheduler(ctx context.Context) error {
	if err := r.built(layout.Scheduler, schedulerBinary); err != nil {
		return err
	}
	if err := r.install(schedulerBinary, filepath.Join(r.Layout.Bin(), layout.Scheduler)); err != nil {
		return err
	}
	return r.component(layout.Scheduler)(ctx)
}

// runtime makes the node's hardware and starts containerd with our images.
func (r *Runner) runtime(ctx context.Context) error {
	if err := r.hardware(ctx); err != nil {
		return err
	}
	if err := r.baseSpec(ctx); err != nil {
		return err
	}
	for _, dir := range []string{r.Layout.CDI(), r.Layout.ContainerdState(), r.Layout.ContainerdRoot(), layout.KubeletDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make node directory: %w", err)
		}
	}
	if err := writeFile(layout.KubeletMarker(), []byte(r.Repo+"\n")); err != nil {
		return err
	}
	if err := r.component(layout.Containerd)(ctx); err != nil {
		return err
	}
	return r.LoadImages(ctx)
}

// hardware puts the fake cards into the machine and installs the fake driver, when it is built.
func (r *Runner) hardware(ctx context.Context) error {
	if err := os.MkdirAll(layout.FakeGPUDir, 0o755); err != nil {
		return fmt.Errorf("make fake hardware directory: %w", err)
	}
	source := filepath.Join(r.Repo, fakeDriver)
	if _, err := os.Stat(filepath.Join(source, "bin", "fakegpu-ctl")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	root := r.Layout.DriverRoot()
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make driver root: %w", err)
	}
	args := []string{"-a", "--remove-destination", filepath.Join(source, "lib"), filepath.Join(source, "bin"), root}
	if out, err := exec.CommandContext(ctx, "cp", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("install fake driver: %w: %s", err, out)
	}
	control := filepath.Join(root, "bin", "fakegpu-ctl")
	if _, err := os.Stat(filepath.Join(root, "dev", "nvidiactl")); errors.Is(err, fs.ErrNotExist) {
		if out, err := exec.CommandContext(ctx, control, "devnodes", filepath.Join(root, "dev")).CombinedOutput(); err != nil {
			return fmt.Errorf("make fake device nodes: %w: %s", err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(layout.FakeGPUDir, "state")); errors.Is(err, fs.ErrNotExist) {
		if out, err := exec.CommandContext(ctx, control, "init", "--require-devnodes",
			"--config", filepath.Join(r.Repo, fakeCards)).CombinedOutput(); err != nil {
			return fmt.Errorf("make fake cards: %w: %s", err, out)
		}
	}
	return nil
}

// baseSpec writes the runtime spec from which every container starts: containerd's own, plus the
// mount that makes the fake cards visible as hardware is, to every process of the node.
func (r *Runner) baseSpec(ctx context.Context) error {
	spec, err := exec.CommandContext(ctx, r.tools["ctr"], "oci", "spec").Output()
	if err != nil {
		return fmt.Errorf("ask ctr for the default runtime spec: %w", err)
	}
	spec, err = node.AddMount(spec, layout.FakeGPUDir)
	if err != nil {
		return err
	}
	return writeFile(r.Layout.Config("base-spec.json"), spec)
}

// LoadImages packs and imports the images whose content changed since they were last imported.
func (r *Runner) LoadImages(ctx context.Context) error {
	work := r.Layout.Images()
	pause, err := image.PauseImage(work)
	if err != nil {
		return err
	}
	if err := r.importImage(ctx, image.Pause, pause); err != nil {
		return err
	}
	probe, err := image.CUDAProbeImage(filepath.Join(r.Repo, fakeDriver, "bin", "cudaprobe"))
	if errors.Is(err, image.ErrNoProbe) {
		r.say("image %s is left out: %v (make fakegpu)", image.CUDAProbe, err)
		return nil
	}
	if err != nil {
		return err
	}
	return r.importImage(ctx, image.CUDAProbe, probe)
}

func (r *Runner) importImage(ctx context.Context, reference string, img v1.Image) error {
	base := filepath.Join(r.Layout.Images(), strings.NewReplacer("/", "_", ":", "_").Replace(reference))
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("digest of image %s: %w", reference, err)
	}
	if imported, err := os.ReadFile(base + ".imported"); err == nil && string(imported) == digest.String() {
		return nil
	}
	if _, err := image.Write(img, reference, base+".tar"); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(r.Layout.Bin(), "ctr"), "--address", r.Layout.ContainerdSocket(),
		"--namespace", "k8s.io", "images", "import", "--local", base+".tar").CombinedOutput()
	if err != nil {
		return fmt.Errorf("import image %s: %w: %s", reference, err, out)
	}
	return writeFile(base+".imported", []byte(digest.String()))
}

// devicePlugin starts our node agent with the fake driver, under a token bound to this node.
func (r *Runner) devicePlugin(ctx context.Context) error {
	if err := r.built(layout.DevicePlugin, devicePluginBinary, limiterLibrary, fakeDriver+"/lib/libnvidia-ml.so.1"); err != nil {
		return err
	}
	if err := r.install(devicePluginBinary, filepath.Join(r.Layout.Bin(), layout.DevicePlugin)); err != nil {
		return err
	}
	if err := r.install(limiterLibrary, component.Limiter(r.Layout)); err != nil {
		return err
	}
	if err := r.mountAgentRun(ctx); err != nil {
		return err
	}
	bound, err := r.nodeReference(ctx)
	if err != nil {
		return err
	}
	if err := r.identity(ctx, layout.DevicePlugin, bound); err != nil {
		return err
	}
	return r.component(layout.DevicePlugin)(ctx)
}

// mountAgentRun gives the agent a tmpfs of its own: containers map files from there, and on this
// machine /run may be a disk.
func (r *Runner) mountAgentRun(ctx context.Context) error {
	dir := r.Layout.AgentRun()
	if exec.CommandContext(ctx, "mountpoint", "-q", dir).Run() == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make agent directory: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size=512m,mode=0755", "basalt-agent", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount agent directory: %w: %s", err, out)
	}
	return nil
}

// install copies a file of the clone to where the cluster uses it, by rename: the running program
// keeps the old one, and a removed clone breaks nothing.
func (r *Runner) install(source, target string) error {
	content, err := os.ReadFile(filepath.Join(r.Repo, source))
	if err != nil {
		return fmt.Errorf("install %s: %w", source, err)
	}
	if old, err := os.ReadFile(target); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.WriteFile(target+".tmp", content, 0o755); err != nil {
		return fmt.Errorf("install %s: %w", source, err)
	}
	if err := os.Rename(target+".tmp", target); err != nil {
		return fmt.Errorf("install %s: %w", source, err)
	}
	return nil
}
