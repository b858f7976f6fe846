package nvidia

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

const (
	fakeSource = "../../test/fakegpu"
	fakeOut    = "../../build/fakegpu"
	patience   = 20 * time.Second
)

// driver is the fake driver's root; it is empty, with the reason, where it cannot be built.
var driver, driverMissing string

// TestMain builds the fake driver and its state once: a process can load one NVML only.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "nvidia-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := buildDriver(dir); err != nil {
			driverMissing = err.Error()
		}
		return m.Run()
	}())
}

func buildDriver(dir string) error {
	for _, tool := range []string{"make", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	out, err := filepath.Abs(fakeOut)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	// Other packages' tests build the same in parallel.
	lock, err := os.OpenFile(out+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if text, err := exec.Command("make", "-s", "-C", fakeSource, "OUT="+out).CombinedOutput(); err != nil {
		return fmt.Errorf("build fake driver: %w: %s", err, text)
	}
	state := filepath.Join(dir, "state")
	if err := os.Setenv("FAKEGPU_STATE", state); err != nil {
		return err
	}
	driver = out
	return ctl("init", "--config", filepath.Join(fakeSource, "cards.json"), "--state", state)
}

func ctl(args ...string) error {
	text, err := exec.Command(filepath.Join(driver, "bin", "fakegpu-ctl"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fakegpu-ctl %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return nil
}

func open(t *testing.T, o Options) *Backend {
	t.Helper()
	if driverMissing != "" {
		t.Skipf("needs the fake driver: %s", driverMissing)
	}
	o.DriverRoot = driver
	if o.SplitCount == 0 {
		o.SplitCount, o.MemoryScaling, o.CoreScaling = 10, 1, 1
	}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestCardsAreEnumeratedThroughNVML(t *testing.T) {
	tests := map[string]struct {
		opts       Options
		wantMemory device.MiB
		wantCores  device.CorePercent
		wantSlots  device.Shares
	}{
		"as they are":       {Options{SplitCount: 10, MemoryScaling: 1, CoreScaling: 1}, 81920, 100, 10},
		"scaled for sale":   {Options{SplitCount: 4, MemoryScaling: 1.5, CoreScaling: 1.1}, 122880, 110, 4},
		"cut down for sale": {Options{SplitCount: 1, MemoryScaling: 0.5, CoreScaling: 1}, 40960, 100, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := open(t, tc.opts)
			cards := b.Cards()
			if len(cards) != 8 {
				t.Fatalf("%d cards, want 8", len(cards))
			}
			want := device.Card{
				UUID: "GPU-ba5a1700-0000-4000-8000-000000000003", Index: 3, Vendor: "NVIDIA", Model: "NVIDIA A100-SXM4-80GB",
				Memory: tc.wantMemory, Cores: tc.wantCores, Slots: tc.wantSlots, Healthy: true, Mode: device.ModeHAMiCore,
			}
			if diff := cmp.Diff(want, cards[3]); diff != "" {
				t.Errorf("card 3 (-want,+got)\n%s", diff)
			}
			if got := b.PhysicalMemory(want.UUID); got != 81920 {
				t.Errorf("physical memory %d, want 81920", got)
			}
		})
	}
}

func TestEditsCarryDriverAndOwnCardsOnly(t *testing.T) {
	dev := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dev, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	made := []string{"nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"}
	for _, name := range made {
		if err := unix.Mknod(filepath.Join(dev, "dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Skipf("needs mknod: %v", err)
		}
	}
	b := open(t, Options{SplitCount: 10, MemoryScaling: 1, CoreScaling: 1, DevRoot: dev})
	cards := b.Cards()
	edits, err := b.Edits([]string{cards[2].UUID, cards[0].UUID})
	if err != nil {
		t.Fatalf("Edits: %v", err)
	}
	wantEnv := []string{"NVIDIA_VISIBLE_DEVICES=void", "CUDA_VISIBLE_DEVICES=" + cards[2].UUID + "," + cards[0].UUID}
	if diff := cmp.Diff(wantEnv, edits.Env); diff != "" {
		t.Errorf("environment (-want,+got)\n%s", diff)
	}
	var nodes []string
	for _, n := range edits.DeviceNodes {
		nodes = append(nodes, n.Path+"<"+strings.TrimPrefix(n.HostPath, dev))
	}
	wantNodes := []string{"/dev/nvidia2</dev/nvidia2", "/dev/nvidia0</dev/nvidia0", "/dev/nvidiactl</dev/nvidiactl", "/dev/nvidia-uvm</dev/nvidia-uvm"}
	if diff := cmp.Diff(wantNodes, nodes); diff != "" {
		t.Errorf("device nodes (-want,+got)\n%s", diff)
	}
	mounts := map[string]string{}
	for _, m := range edits.Mounts {
		mounts[m.ContainerPath] = m.HostPath
		if info, err := os.Lstat(m.HostPath); err != nil || !info.Mode().IsRegular() {
			t.Errorf("mount source %s is not a regular file", m.HostPath)
		}
	}
	for _, target := range []string{
		"/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib64/libcuda.so.1",
		"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "/usr/lib64/libnvidia-ml.so.1",
	} {
		if mounts[target] == "" {
			t.Errorf("no mount at %s", target)
		}
	}
	if _, err := b.Edits([]string{"GPU-of-another-node"}); err == nil {
		t.Error("edits for a card of another node succeeded")
	}
}

// health collects what a watch reports.
type health struct {
	mu   sync.Mutex // guards sick
	sick map[string]string
}

func (h *health) report(uuid string, healthy bool, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sick[uuid] = reason
	if healthy {
		delete(h.sick, uuid)
	}
}

func (h *health) reason(uuid string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sick[uuid]
}

func TestHealthFollowsTheCard(t *testing.T) {
	tests := map[string]struct {
		xid, how   string
		wantReason string
	}{
		"a lost card":                      {"79", "lost", "does not answer"},
		"a critical error without a loss":  {"48", "event", "XID 48"},
		"an error that a program provoked": {"31", "event", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Now())
			b := open(t, Options{SplitCount: 10, MemoryScaling: 1, CoreScaling: 1, Clock: clock})
			uuid := b.Cards()[1].UUID
			h := &health{sick: map[string]string{}}
			// The first probe comes after the registration for events. The report of a card that was lost
			// before shows that the watch is there, so that no event is posted too early.
			if err := ctl("set-bad", "3", "79", "lost"); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ctl("set-good", "3") }()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				b.WatchHealth(ctx, h.report)
			}()
			defer func() { cancel(); <-done }()
			eventually(t, clock, 0, func() bool { return h.reason(b.Cards()[3].UUID) != "" })
			if err := ctl("set-bad", "1", tc.xid, tc.how); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ctl("set-good", "1") }()
			// A second card's critical error proves that the first one's event was handled by then.
			if tc.wantReason == "" {
				if err := ctl("set-bad", "2", "48", "event"); err != nil {
					t.Fatal(err)
				}
				eventually(t, clock, 0, func() bool { return h.reason(b.Cards()[2].UUID) != "" })
				if err := ctl("set-good", "2"); err != nil {
					t.Fatal(err)
				}
				if got := h.reason(uuid); got != "" {
					t.Errorf("card is sick: %s", got)
				}
				return
			}
			eventually(t, clock, probeInterval, func() bool { return strings.Contains(h.reason(uuid), tc.wantReason) })
			if err := ctl("set-good", "1"); err != nil {
				t.Fatal(err)
			}
			eventually(t, clock, quietAfterXID, func() bool { return h.reason(uuid) == "" })
		})
	}
}

// eventually waits in real time, because NVML does, and moves the fake clock on as it waits.
func eventually(t *testing.T, clock *clocktesting.FakeClock, step time.Duration, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("timed out")
		}
		clock.Step(step)
		time.Sleep(20 * time.Millisecond)
	}
}

func TestDriverRootWithoutADriverIsNamed(t *testing.T) {
	_, err := Open(t.Context(), Options{DriverRoot: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "libnvidia-ml.so.1") {
		t.Errorf("Open: %v, want an error that names the missing library", err)
	}
}
