package nvidia

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"
)

const (
	controlNode = "nvidiactl"

	// envVisible tells nvidia-container-runtime that it has nothing to do here: where that runtime is
	// the node's default it would otherwise add all cards for images that set the variable to "all".
	envVisible      = "NVIDIA_VISIBLE_DEVICES"
	envVisibleValue = "void"

	// envOrdinals fixes the order of the cards in CUDA to that of the slices. It decides no limit: the
	// device nodes and the limiter bound what can be used, whatever a program does to its environment.
	envOrdinals = "CUDA_VISIBLE_DEVICES"
)

// sharedNodes are needed beside the node of a card; those that the driver has not made are left out.
var sharedNodes = []string{controlNode, "nvidia-uvm", "nvidia-uvm-tools"}

// readOnlyMount has private propagation: nothing that the container does to the mount reaches the host.
var readOnlyMount = []string{"ro", "nosuid", "nodev", "rbind", "rprivate"}

// Edits returns what a container needs to use the cards, in the order in which it shall see them.
func (b *Backend) Edits(uuids []string) (specs.ContainerEdits, error) {
	edits := specs.ContainerEdits{Env: []string{
		envVisible + "=" + envVisibleValue,
		envOrdinals + "=" + strings.Join(uuids, ","),
	}}
	libs, err := b.root.libraryFiles()
	if err != nil {
		return specs.ContainerEdits{}, err
	}
	for _, dir := range containerLibraryDirs {
		for _, f := range libs {
			edits.Mounts = append(edits.Mounts, mount(f.source, path.Join(dir, f.name)))
		}
	}
	for _, f := range b.root.binaryFiles() {
		edits.Mounts = append(edits.Mounts, mount(f.source, path.Join(containerBinaryDir, f.name)))
	}
	nodes := make([]string, 0, len(uuids)+len(sharedNodes))
	for _, uuid := range uuids {
		minor, ok := b.minor(uuid)
		if !ok {
			return specs.ContainerEdits{}, fmt.Errorf("card %s is not on this node", uuid)
		}
		nodes = append(nodes, fmt.Sprintf("nvidia%d", minor))
	}
	for _, name := range append(nodes, sharedNodes...) {
		if n := b.deviceNode(name); n != nil {
			edits.DeviceNodes = append(edits.DeviceNodes, n)
		}
	}
	return edits, nil
}

func mount(source, target string) *specs.Mount {
	return &specs.Mount{HostPath: source, ContainerPath: target, Options: readOnlyMount}
}

// deviceNode returns nil for a node that does not exist. Type and numbers are left to the runtime,
// which reads them from the host path.
func (b *Backend) deviceNode(name string) *specs.DeviceNode {
	host := filepath.Join(b.devRoot, "dev", name)
	info, err := os.Stat(host)
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	inside := "/dev/" + name
	n := &specs.DeviceNode{Path: inside, Permissions: "rw"}
	if host != inside {
		n.HostPath = host
	}
	return n
}
