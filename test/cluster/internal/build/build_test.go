package build

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVersionsAreThoseOfThePins(t *testing.T) {
	tests := map[string]struct {
		tools, module, want string
	}{
		"Kubernetes": {tools: "kubernetes", module: "k8s.io/kubernetes", want: KubernetesVersion},
		"Volcano":    {tools: "kubernetes", module: "volcano.sh/volcano", want: VolcanoVersion},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("..", "..", "tools", tc.tools, "go.mod"))
			if err != nil {
				t.Fatal(err)
			}
			match := regexp.MustCompile(`(?m)^\s` + regexp.QuoteMeta(tc.module) + ` (\S+)`).FindSubmatch(raw)
			if match == nil {
				t.Fatalf("%s is not pinned in %s", tc.module, tc.tools)
			}
			if got := string(match[1]); got != tc.want {
				t.Errorf("pinned %s, built with %s", got, tc.want)
			}
		})
	}
}

func TestEveryToolIsATool(t *testing.T) {
	for _, tool := range Tools() {
		raw, err := os.ReadFile(filepath.Join("..", "..", "tools", tool.Module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^(tool )?\s*` + regexp.QuoteMeta(tool.Package) + `$`).Match(raw) {
			t.Errorf("%s is built from %s, which the tools module %s does not name: tidying would drop it", tool.Name, tool.Package, tool.Module)
		}
	}
}

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	now := time.Now()
	ages := map[string]time.Duration{"etcd@v1-a": 0, "etcd@v1-b": keep + time.Hour, ".lock": keep + time.Hour}
	dir := t.TempDir()
	for name, age := range ages {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Builder{Cache: dir}).prune(now.Add(-keep)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if diff := cmp.Diff([]string{".lock", "etcd@v1-a"}, got); diff != "" {
		t.Errorf("cache (-want,+got):\n%s", diff)
	}
}
