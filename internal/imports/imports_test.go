package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/basalt-gpu/basalt/"

// goPackage is what `go list -json` says of a package, as far as the rules need it.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// rule forbids packages below a folder to import others.
type rule struct {
	folder string
	// forbidden is a package path; one that ends in "/" stands for all below it.
	forbidden string
	// direct: only the package's own imports count, because a dependency that we cannot do without
	// drags the forbidden package in.
	direct bool
	except []string
	reason string
}

var rules = []rule{
	{folder: "devicesharing/", forbidden: module, except: []string{module + "devicesharing/"},
		reason: "the core is at the bottom; who needs it imports it, never the other way"},
	{folder: "devicesharing/", forbidden: "k8s.io/client-go/",
		reason: "the core takes values and returns values; adapters talk to the API server"},
	{folder: "devicesharing/", forbidden: "k8s.io/kubernetes/",
		reason: "the core must compile into any scheduler, whatever its Kubernetes version"},
	{folder: "devicesharing/", forbidden: "volcano.sh/",
		reason: "the core serves kube-scheduler and Koordinator too"},
	{folder: "devicesharing/", forbidden: "sigs.k8s.io/controller-runtime/",
		reason: "the core has no controllers"},
	{folder: "devicesharing/", forbidden: "github.com/NVIDIA/",
		reason: "hardware is the node agent's"},
	{folder: "devicesharing/", forbidden: "k8s.io/klog/v2", direct: true,
		reason: "the core returns reasons, adapters log them (apimachinery itself imports klog)"},
	{folder: "devicesharing/", forbidden: "log", direct: true, reason: "the core returns reasons, adapters log them"},
	{folder: "devicesharing/", forbidden: "log/slog", direct: true, reason: "the core returns reasons, adapters log them"},
	{folder: "devicesharing/", forbidden: "os", direct: true,
		reason: "the core reads no files and no environment (apimachinery imports os)"},
	{folder: "devicesharing/", forbidden: "os/exec", direct: true, reason: "the core runs no programs"},
	{folder: "devicesharing/", forbidden: "net", direct: true, reason: "the core talks to nobody (apimachinery imports net)"},
	{folder: "devicesharing/", forbidden: "net/http", direct: true, reason: "the core talks to nobody"},
	{folder: "devicesharing/", forbidden: "time", direct: true, reason: "the core reads no clock: the same input gives the same answer"},
	{folder: "devicesharing/", forbidden: "context", direct: true, reason: "the core starts nothing that could be cancelled"},
	{folder: "devicesharing/", forbidden: "math/rand", direct: true, reason: "the same input gives the same answer"},
	{folder: "devicesharing/", forbidden: "math/rand/v2", direct: true, reason: "the same input gives the same answer"},

	{folder: "hamicore", forbidden: module, except: []string{module + "hamicore"},
		reason: "the limiter's ABI knows nothing of scheduling or of Kubernetes"},
	{folder: "hamicore", forbidden: "k8s.io/", reason: "the limiter's ABI knows nothing of Kubernetes"},

	{folder: "plugins/", forbidden: module + "deviceplugin", reason: "adapters do not import sideways"},
	{folder: "plugins/", forbidden: module + "hamicore", reason: "the scheduler does not know the limiter's files"},
	{folder: "plugins/", forbidden: "github.com/NVIDIA/", reason: "hardware is the node agent's"},
	{folder: "deviceplugin", forbidden: module + "plugins/", reason: "adapters do not import sideways"},
	{folder: "deviceplugin", forbidden: "volcano.sh/", reason: "the node agent serves every scheduler"},
	{folder: "deviceplugin", forbidden: "k8s.io/kubernetes/", reason: "the node agent stays small and free of the kubelet's code"},
	{folder: "internal/", forbidden: module + "plugins/", reason: "internal packages serve several binaries"},
	{folder: "internal/", forbidden: module + "deviceplugin", reason: "internal packages serve several binaries"},

	{folder: "", forbidden: module + "cmd/", except: nil, reason: "commands are at the top"},
	{folder: "", forbidden: module + "test/", except: []string{}, reason: "the product does not import its tests"},
}

// below reports whether path is the folder or lies below it; an empty folder holds everything.
func below(path, folder string) bool {
	return folder == "" || path == strings.TrimSuffix(folder, "/") || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

func (r rule) applies(path string) bool {
	local := strings.TrimPrefix(path, module)
	if r.folder == "" {
		// Rules for the product as a whole leave out the tests and, for cmd, the command itself.
		return !below(local, "test") && !below(local, strings.TrimPrefix(r.forbidden, module))
	}
	return below(local, r.folder)
}

func (r rule) broken(p goPackage) (found []string) {
	imports := p.Deps
	if r.direct {
		imports = p.Imports
	}
	for _, i := range imports {
		hit := i == r.forbidden || strings.HasSuffix(r.forbidden, "/") && strings.HasPrefix(i, r.forbidden) ||
			strings.HasPrefix(r.forbidden, module) && below(i, r.forbidden)
		if hit && !slices.ContainsFunc(r.except, func(e string) bool { return below(i, e) }) {
			found = append(found, i)
		}
	}
	return found
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}

func TestImportDirectionsHold(t *testing.T) {
	packages := listPackages(t)
	for _, r := range rules {
		applied := false
		for _, p := range packages {
			if !r.applies(p.ImportPath) {
				continue
			}
			applied = true
			for _, i := range r.broken(p) {
				t.Errorf("%s imports %s: %s", p.ImportPath, i, r.reason)
			}
		}
		if !applied {
			t.Errorf("the rule for %q guards no package", r.folder)
		}
	}
}

func TestABrokenRuleIsSeen(t *testing.T) {
	p := goPackage{
		ImportPath: module + "devicesharing/fit",
		Imports:    []string{"time"},
		Deps:       []string{"time", "k8s.io/client-go/kubernetes", module + "plugins/volcano"},
	}
	want := []string{module + "plugins/volcano", "k8s.io/client-go/kubernetes", "time"}
	var got []string
	for _, r := range rules {
		if r.applies(p.ImportPath) {
			got = append(got, r.broken(p)...)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("broken imports: got %v, want %v", got, want)
	}
}
