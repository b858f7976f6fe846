package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		line      string
		wantStart uint64
		wantState byte
		wantErr   bool
	}{
		"a plain name":                         {line: "7 (etcd) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0", wantStart: 4242, wantState: 'S'},
		"a name with spaces and a parenthesis": {line: "7 (a) Z b) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 17 0", wantStart: 17, wantState: 'R'},
		"a short line is refused":              {line: "7 (etcd) S 1 7", wantErr: true},
		"an empty line is refused":             {line: "", wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			start, state, err := parseStat(tc.line)
			if (err != nil) != tc.wantErr {
				t.Fatalf("error = %v, want error %t", err, tc.wantErr)
			}
			if start != tc.wantStart || state != tc.wantState {
				t.Errorf("got start %d state %q, want %d %q", start, state, tc.wantStart, tc.wantState)
			}
		})
	}
}

// record describes a child of the test as Start would.
func record(t *testing.T, cmd *exec.Cmd) Record {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	start, _, err := stat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return Record{Spec: Spec{Name: "child"}, PID: cmd.Process.Pid, StartTime: start, BootID: bootID()}
}

func TestStop(t *testing.T) {
	tests := map[string]struct {
		argv []string
	}{
		"a process that obeys":            {argv: []string{"sleep", "600"}},
		"a process that ignores the term": {argv: []string{"sh", "-c", "trap '' TERM; while :; do sleep 1; done"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := record(t, exec.Command(tc.argv[0], tc.argv[1:]...))
			if !r.Alive() {
				t.Fatal("a fresh process is not alive")
			}
			if err := r.Stop(200 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if r.Alive() {
				t.Error("still alive after Stop")
			}
			if err := r.Stop(time.Second); err != nil {
				t.Errorf("second Stop: %v", err)
			}
		})
	}
}

func TestARecycledPIDIsLeftAlone(t *testing.T) {
	real := record(t, exec.Command("sleep", "600"))
	t.Cleanup(func() { _ = real.Stop(time.Second) })
	for name, mine := range map[string]Record{
		"another start time": {Spec: real.Spec, PID: real.PID, StartTime: real.StartTime + 1, BootID: real.BootID},
		"another boot":       {Spec: real.Spec, PID: real.PID, StartTime: real.StartTime, BootID: "before"},
	} {
		t.Run(name, func(t *testing.T) {
			if mine.Alive() {
				t.Error("somebody else's process is taken for ours")
			}
			if err := mine.Signal(syscall.SIGKILL); err == nil {
				t.Error("Signal reached somebody else's process")
			}
			if err := mine.Stop(time.Second); err != nil {
				t.Error(err)
			}
			if !real.Alive() {
				t.Fatal("the process was ended")
			}
		})
	}
}

func TestRecordSurvivesTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "component", "etcd.json")
	want := Record{Spec: Spec{Name: "etcd", Binary: "/bin/etcd", Args: []string{"--a=b"}, Log: "/log"}, PID: 3, StartTime: 9, BootID: "x"}
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want,+got):\n%s", diff)
	}
}

func TestCurrentNoticesWhatChanged(t *testing.T) {
	dir := t.TempDir()
	binary, config := filepath.Join(dir, "binary"), filepath.Join(dir, "config")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(binary, "one")
	write(config, "one")
	spec := Spec{Name: "child", Binary: binary, Args: []string{"--x"}, Inputs: []string{binary, config}}
	r := record(t, exec.Command("sleep", "600"))
	t.Cleanup(func() { _ = r.Stop(time.Second) })
	digest, err := spec.digest()
	if err != nil {
		t.Fatal(err)
	}
	r.Spec, r.Digest = spec, digest

	tests := map[string]struct {
		change func(*Record, *Spec)
		want   bool
	}{
		"nothing changed":           {change: func(*Record, *Spec) {}, want: true},
		"other arguments":           {change: func(_ *Record, s *Spec) { s.Args = []string{"--y"} }},
		"other environment":         {change: func(_ *Record, s *Spec) { s.Env = []string{"A=b"} }},
		"it runs with extras":       {change: func(r *Record, _ *Spec) { r.Extra = []string{"--z"} }},
		"the configuration differs": {change: func(*Record, *Spec) { write(config, "two") }},
		"an input is gone":          {change: func(_ *Record, s *Spec) { s.Inputs = []string{filepath.Join(dir, "none")} }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			write(config, "one")
			gotRecord, gotSpec := r, spec
			tc.change(&gotRecord, &gotSpec)
			if got := gotRecord.Current(gotSpec); got != tc.want {
				t.Errorf("Current = %t, want %t", got, tc.want)
			}
		})
	}
}
