package api

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

func TestDecodeFile(t *testing.T) {
	tests := map[string]struct {
		text    string
		want    []string
		wantErr bool
	}{
		"several objects, empty ones skipped": {
			text: "# comment\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n",
			want: []string{"ConfigMap/a", "Namespace/b"},
		},
		"an empty file has none":     {},
		"what is no YAML is refused": {text: "a: [", wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
				t.Fatal(err)
			}
			objects, err := decodeFile(path)
			if (err != nil) != tc.wantErr {
				t.Fatalf("error = %v, want error %t", err, tc.wantErr)
			}
			var got []string
			for _, object := range objects {
				got = append(got, object.GetKind()+"/"+object.GetName())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects (-want,+got):\n%s", diff)
			}
			if ordered := namespacesFirst(objects); len(ordered) > 1 && ordered[0].GetKind() != "Namespace" {
				t.Errorf("first is %s, want the namespace", ordered[0].GetKind())
			}
		})
	}
}

func TestKubeconfigCanBeLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig", "x.yaml")
	if err := WriteTokenKubeconfig(path, []byte("ca"), "secret"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
	config, err := Config(path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != layout.APIServerURL || config.BearerToken != "secret" {
		t.Errorf("host %s, token %q", config.Host, config.BearerToken)
	}
	if proxy, err := config.Proxy(nil); proxy != nil || err != nil {
		t.Errorf("the environment's proxy would be used: %v, %v", proxy, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("kubeconfig is readable by others: %s", info.Mode())
	}
}
