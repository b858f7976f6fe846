package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestPackingIsDeterministic(t *testing.T) {
	pack := func(content string) string {
		t.Helper()
		tree := NewTree()
		tree.Link("bin", "usr/bin")
		tree.Dir("usr", 0o755)
		tree.Dir("usr/bin", 0o755)
		tree.File("usr/bin/x", 0o755, []byte(content))
		img, err := tree.Image("/usr/bin/x")
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return digest.String()
	}
	if first, second := pack("a"), pack("a"); first != second {
		t.Errorf("the same content has digests %s and %s", first, second)
	}
	if first, second := pack("a"), pack("b"); first == second {
		t.Error("different content has the same digest")
	}
}

func TestWriteMakesAnArchiveThatCanBeRead(t *testing.T) {
	tree := NewTree()
	tree.File("x", 0o755, []byte("x"))
	img, err := tree.Image("/x")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "images", "x.tar")
	want, err := Write(img, Pause, path)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(Pause)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.Config.Cmd, []string{"/x"}) {
		t.Errorf("command %q, want /x", config.Config.Cmd)
	}
	if digest, err := img.Digest(); err != nil || digest.String() != want {
		t.Errorf("digest %v, %v, want %s", digest, err, want)
	}
}

func TestLibrariesOfAProgramArePackedWithTheLoader(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "x.c"), filepath.Join(dir, "x")
	if err := os.WriteFile(source, []byte("#include <math.h>\nint main(int c, char **v) { (void)v; return (int)sin(c); }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-o", program, source, "-lm").CombinedOutput(); err != nil {
		t.Fatalf("compile: %v: %s", err, out)
	}
	tree := debianSkeleton()
	if err := addLibraries(tree, program); err != nil {
		t.Fatal(err)
	}
	paths := tree.Paths()
	for _, want := range []string{"usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libm.so.6", "usr/lib/x86_64-linux-gnu/libgcc_s.so.1"} {
		if !slices.Contains(paths, want) {
			t.Errorf("image lacks %s; it has %q", want, paths)
		}
	}
}

func TestAnImageWithoutProbeSaysSo(t *testing.T) {
	if _, err := CUDAProbeImage(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("an image without its program was packed")
	}
}
