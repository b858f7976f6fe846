// Package fakegpu_test holds the fake libnvidia-ml against the binding that the device plugin uses:
// go-nvml, unchanged. What the fake driver does beyond that is tested in C, by make test.
package fakegpu_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/google/go-cmp/cmp"
)

const (
	mib = 1 << 20
	// firstUUID is the UUID of card 0 of cards.json; card n differs in the last digit.
	firstUUID = "GPU-ba5a1700-0000-4000-8000-000000000000"
	waitLimit = 10 * time.Second
)

// out is where make puts the driver.
var out = filepath.Join("..", "..", "build", "fakegpu")

// TestMain builds the driver and gives this process, and its children, hardware of their own. NVML
// keeps the state file that it opens first, so there is one for all tests.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if output, err := exec.Command("make", "--no-print-directory", "OUT="+out).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the fake driver: %w: %s", err, output)
	}
	dir, err := os.MkdirTemp("", "fakegpu-go-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the state: %w", err)
	}
	defer os.RemoveAll(dir)
	for name, value := range map[string]string{
		"FAKEGPU_STATE":   filepath.Join(dir, "state"),
		"LD_LIBRARY_PATH": filepath.Join(out, "lib"),
	} {
		if err := os.Setenv(name, value); err != nil {
			return 0, fmt.Errorf("set %s: %w", name, err)
		}
	}
	return m.Run(), nil
}

func control(t *testing.T, args ...string) []byte {
	t.Helper()
	output, err := exec.Command(filepath.Join(out, "bin", "fakegpu-ctl"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("fakegpu-ctl %v: %v: %s", args, err, output)
	}
	return output
}

// open initialises NVML on the state of this test run.
func open(t *testing.T) nvml.Interface {
	t.Helper()
	if _, err := os.Stat(os.Getenv("FAKEGPU_STATE")); os.IsNotExist(err) {
		control(t, "init", "--config", "cards.json")
	}
	lib := nvml.New(nvml.WithLibraryPath(filepath.Join(out, "lib", "libnvidia-ml.so.1")))
	if ret := lib.Init(); ret != nvml.SUCCESS {
		t.Fatalf("Init: %v", ret)
	}
	t.Cleanup(func() { lib.Shutdown() })
	return lib
}

func card(t *testing.T, lib nvml.Interface, index int) nvml.Device {
	t.Helper()
	d, ret := lib.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		t.Fatalf("DeviceGetHandleByIndex(%d): %v", index, ret)
	}
	return d
}

// hold starts a process that keeps memory on card 0, and waits until it has it.
func hold(t *testing.T, sizeMiB int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(out, "bin", "cudaprobe"), "alloc", fmt.Sprint(sizeMiB), "expect-ok", "hold")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.Contains(lines.Text(), `"hold"`) {
			return cmd
		}
	}
	t.Fatal("cudaprobe ended before it held the memory")
	return nil
}

func TestSystem(t *testing.T) {
	lib := open(t)
	driver, ret := lib.SystemGetDriverVersion()
	if ret != nvml.SUCCESS || driver != "570.86.15" {
		t.Errorf("SystemGetDriverVersion = %q, %v; want 570.86.15", driver, ret)
	}
	version, ret := lib.SystemGetNVMLVersion()
	if ret != nvml.SUCCESS || version != "12.570.86.15" {
		t.Errorf("SystemGetNVMLVersion = %q, %v; want 12.570.86.15", version, ret)
	}
	cuda, ret := lib.SystemGetCudaDriverVersion_v2()
	if ret != nvml.SUCCESS || cuda != 12080 {
		t.Errorf("SystemGetCudaDriverVersion = %d, %v; want 12080", cuda, ret)
	}
}

// facts is what a device plugin asks of each card.
type facts struct {
	UUID, Name, BusID                          string
	Index, Minor, NUMA, Major, CCMinor, MIG, P int
	Total, Free, Used                          uint64
	Architecture                               nvml.DeviceArchitecture
	Brand                                      nvml.BrandType
}

func readFacts(t *testing.T, d nvml.Device) facts {
	t.Helper()
	var f facts
	var ret [10]nvml.Return
	var pci nvml.PciInfo
	var memory nvml.Memory
	var persistence nvml.EnableState
	f.UUID, ret[0] = d.GetUUID()
	f.Name, ret[1] = d.GetName()
	f.Index, ret[2] = d.GetIndex()
	f.Minor, ret[3] = d.GetMinorNumber()
	pci, ret[4] = d.GetPciInfo()
	memory, ret[5] = d.GetMemoryInfo()
	f.Major, f.CCMinor, ret[6] = d.GetCudaComputeCapability()
	f.MIG, f.P, ret[7] = d.GetMigMode()
	f.Architecture, ret[8] = d.GetArchitecture()
	f.Brand, ret[9] = d.GetBrand()
	for i, r := range ret {
		if r != nvml.SUCCESS {
			t.Fatalf("question %d: %v", i, r)
		}
	}
	if persistence, ret[0] = d.GetPersistenceMode(); ret[0] != nvml.SUCCESS || persistence != nvml.FEATURE_ENABLED {
		t.Errorf("GetPersistenceMode = %v, %v", persistence, ret[0])
	}
	if f.NUMA, ret[0] = d.GetNumaNodeId(); ret[0] != nvml.SUCCESS {
		t.Errorf("GetNumaNodeId: %v", ret[0])
	}
	f.Total, f.Free, f.Used = memory.Total, memory.Free, memory.Used
	for _, c := range pci.BusId {
		if c != 0 {
			f.BusID += string(rune(c))
		}
	}
	return f
}

func TestEveryCardSaysWhoItIs(t *testing.T) {
	lib := open(t)
	count, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS || count != 8 {
		t.Fatalf("DeviceGetCount = %d, %v; want 8", count, ret)
	}
	busIDs := []string{"07", "0F", "47", "4E", "87", "90", "B7", "BD"}
	for i := range count {
		want := facts{
			UUID: fmt.Sprintf("%s%d", strings.TrimSuffix(firstUUID, "0"), i), Name: "NVIDIA A100-SXM4-80GB",
			BusID: fmt.Sprintf("00000000:%s:00.0", busIDs[i]), Index: i, Minor: i, NUMA: i / 4, Major: 8,
			Total: 81920 * mib, Free: 81920 * mib,
			Architecture: nvml.DEVICE_ARCH_AMPERE, Brand: nvml.BRAND_NVIDIA,
		}
		if diff := cmp.Diff(want, readFacts(t, card(t, lib, i))); diff != "" {
			t.Errorf("card %d (-want,+got):\n%s", i, diff)
		}
	}
}

func TestHandles(t *testing.T) {
	lib := open(t)
	tests := map[string]struct {
		find func() (nvml.Device, nvml.Return)
		want nvml.Return
	}{
		"a UUID leads to its card":       {func() (nvml.Device, nvml.Return) { return lib.DeviceGetHandleByUUID(firstUUID) }, nvml.SUCCESS},
		"an unknown UUID is not found":   {func() (nvml.Device, nvml.Return) { return lib.DeviceGetHandleByUUID("GPU-x") }, nvml.ERROR_NOT_FOUND},
		"a bus id leads to its card":     {func() (nvml.Device, nvml.Return) { return lib.DeviceGetHandleByPciBusId("0000:07:00.0") }, nvml.SUCCESS},
		"an unknown bus id is not found": {func() (nvml.Device, nvml.Return) { return lib.DeviceGetHandleByPciBusId("0000:08:00.0") }, nvml.ERROR_NOT_FOUND},
		"an index too high is invalid":   {func() (nvml.Device, nvml.Return) { return lib.DeviceGetHandleByIndex(8) }, nvml.ERROR_INVALID_ARGUMENT},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d, ret := tc.find()
			if ret != tc.want {
				t.Fatalf("got %v, want %v", ret, tc.want)
			}
			if ret != nvml.SUCCESS {
				return
			}
			if uuid, _ := d.GetUUID(); uuid != firstUUID {
				t.Errorf("got card %s, want %s", uuid, firstUUID)
			}
		})
	}
}

func TestMemoryAndProcessesFollowAnotherProcess(t *testing.T) {
	lib := open(t)
	d := card(t, lib, 0)
	child := hold(t, 1000)

	const used = (300 + 1000) * mib
	memory, ret := d.GetMemoryInfo()
	if ret != nvml.SUCCESS || memory.Used != used || memory.Free != memory.Total-used {
		t.Errorf("GetMemoryInfo = %+v, %v; want %d used", memory, ret, used)
	}
	v2, ret := d.GetMemoryInfo_v2()
	if ret != nvml.SUCCESS || v2.Used != used || v2.Reserved+v2.Used+v2.Free != v2.Total {
		t.Errorf("GetMemoryInfo_v2 = %+v, %v; want %d used", v2, ret, used)
	}
	processes, ret := d.GetComputeRunningProcesses()
	if ret != nvml.SUCCESS {
		t.Fatalf("GetComputeRunningProcesses: %v", ret)
	}
	want := []nvml.ProcessInfo{{
		Pid: uint32(child.Process.Pid), UsedGpuMemory: used, GpuInstanceId: 1<<32 - 1, ComputeInstanceId: 1<<32 - 1,
	}}
	if diff := cmp.Diff(want, processes); diff != "" {
		t.Errorf("processes (-want,+got):\n%s", diff)
	}

	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if memory, _ := d.GetMemoryInfo(); memory.Used != 0 {
		t.Errorf("after SIGKILL %d bytes are in use, want 0", memory.Used)
	}
}

func TestEventsAndALostCard(t *testing.T) {
	lib := open(t)
	d := card(t, lib, 6)
	set, ret := lib.EventSetCreate()
	if ret != nvml.SUCCESS {
		t.Fatalf("EventSetCreate: %v", ret)
	}
	defer set.Free()
	types, ret := d.GetSupportedEventTypes()
	if ret != nvml.SUCCESS {
		t.Fatalf("GetSupportedEventTypes: %v", ret)
	}
	wanted := uint64(nvml.EventTypeXidCriticalError | nvml.EventTypeDoubleBitEccError | nvml.EventTypeSingleBitEccError)
	if ret := d.RegisterEvents(wanted&types, set); ret != nvml.SUCCESS {
		t.Fatalf("RegisterEvents: %v", ret)
	}
	if _, ret := set.Wait(10); ret != nvml.ERROR_TIMEOUT {
		t.Errorf("Wait without an event = %v, want %v", ret, nvml.ERROR_TIMEOUT)
	}
	control(t, "set-bad", "6", "79")
	event, ret := set.Wait(uint32(waitLimit / time.Millisecond))
	if ret != nvml.SUCCESS || event.EventData != 79 || event.EventType != nvml.EventTypeXidCriticalError {
		t.Errorf("Wait = %+v, %v; want XID 79", event, ret)
	}
	if _, ret := d.GetMemoryInfo(); ret != nvml.ERROR_GPU_IS_LOST {
		t.Errorf("GetMemoryInfo of the lost card = %v, want %v", ret, nvml.ERROR_GPU_IS_LOST)
	}
	if _, ret := card(t, lib, 5).GetMemoryInfo(); ret != nvml.SUCCESS {
		t.Errorf("GetMemoryInfo of its neighbour: %v", ret)
	}
	control(t, "set-good", "6")
	if _, ret := d.GetMemoryInfo(); ret != nvml.SUCCESS {
		t.Errorf("GetMemoryInfo of the repaired card: %v", ret)
	}
}

// A function that the fake does not have must be an answer, not a crash: go-nvml binds lazily.
func TestWhatIsMissingIsReported(t *testing.T) {
	lib := open(t)
	if err := lib.Extensions().LookupSymbol("nvmlDeviceGetUtilizationRates"); err == nil {
		t.Error("nvmlDeviceGetUtilizationRates is found, want it missing until kernels are modelled")
	}
	if err := lib.Extensions().LookupSymbol("nvmlDeviceGetMemoryInfo_v2"); err != nil {
		t.Errorf("nvmlDeviceGetMemoryInfo_v2 is missing: %v", err)
	}
}

func TestDumpIsJSON(t *testing.T) {
	open(t)
	child := hold(t, 10)
	var dump struct {
		Cards     []struct{ UsedMiB int } `json:"cards"`
		Processes []struct {
			PID  int    `json:"pid"`
			Comm string `json:"comm"`
		} `json:"processes"`
	}
	if err := json.Unmarshal(control(t, "dump"), &dump); err != nil {
		t.Fatalf("decode the dump: %v", err)
	}
	if len(dump.Cards) != 8 || dump.Cards[0].UsedMiB != 310 {
		t.Errorf("cards = %+v, want 8 with 310 MiB used on the first", dump.Cards)
	}
	for _, p := range dump.Processes {
		if p.PID == child.Process.Pid && p.Comm == "cudaprobe" {
			return
		}
	}
	t.Errorf("processes = %+v, want cudaprobe with pid %d", dump.Processes, child.Process.Pid)
}
