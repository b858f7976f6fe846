package hamicore

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layoutProgram prints every number of the header that the Go half repeats.
const layoutProgram = `
#include <inttypes.h>
#include <stdio.h>
#include "hc_abi.h"
#define N(name, value) printf("%s %" PRIu64 "\n", name, (uint64_t)(value))
#define O(name, type, field) N(name, offsetof(struct type, field))
int main(void)
{
    N("agentMagic", HC_AGENT_MAGIC); N("regionMagic", HC_REGION_MAGIC);
    N("major", HC_ABI_MAJOR); N("minor", HC_ABI_MINOR);
    N("agentPageSize", sizeof(struct hc_agent_page)); N("regionSize", sizeof(struct hc_region));
    N("maxDevices", HC_MAX_CARDS); N("maxProcesses", HC_MAX_SLOTS);
    O("magic", hc_agent_page, magic); O("offMajor", hc_agent_page, major);
    O("offMinor", hc_agent_page, minor); O("headerSize", hc_agent_page, header_size);
    O("page.deviceSize", hc_agent_page, device_size); O("page.deviceCount", hc_agent_page, device_count);
    O("page.totalSize", hc_agent_page, total_size); O("page.sequence", hc_agent_page, sequence);
    O("page.podUID", hc_agent_page, pod_uid); O("page.container", hc_agent_page, container);
    O("page.devices", hc_agent_page, devices); N("nameSize", HC_NAME_SIZE);
    N("deviceSize", sizeof(struct hc_agent_device)); N("uuidSize", HC_UUID_SIZE);
    O("device.uuid", hc_agent_device, uuid); O("device.limit", hc_agent_device, limit_bytes);
    O("device.context", hc_agent_device, context_bytes);
    O("device.physical", hc_agent_device, physical_bytes);
    O("device.cores", hc_agent_device, core_percent);
    O("region.major", hc_region, major); O("region.minor", hc_region, minor);
    O("region.headerSize", hc_region, header_size);
    O("region.cardSize", hc_region, card_size); O("region.cardCount", hc_region, card_count);
    O("region.slotSize", hc_region, slot_size); O("region.slotCount", hc_region, slot_count);
    O("region.totalSize", hc_region, total_size); O("region.dirty", hc_region, dirty);
    O("region.unknownSymbols", hc_region, unknown_symbols);
    O("region.foreignDrivers", hc_region, foreign_drivers);
    O("region.slotsExhausted", hc_region, slots_exhausted);
    O("region.slotsReaped", hc_region, slots_reaped);
    O("region.cards", hc_region, cards); O("region.slots", hc_region, slots);
    N("cardSize", sizeof(struct hc_region_card)); O("card.used", hc_region_card, used_bytes);
    N("slotSize", sizeof(struct hc_region_slot)); O("slot.owner", hc_region_slot, owner);
    O("slot.start", hc_region_slot, start_time); O("slot.transactions", hc_region_slot, transactions);
    O("slot.used", hc_region_slot, used_bytes);
    N("slotFree", HC_SLOT_FREE); N("slotLive", HC_SLOT_LIVE);
    return 0;
}
`

func TestLayoutEqualsTheHeader(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("needs a C compiler named cc")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "layout.c"), filepath.Join(dir, "layout")
	if err := os.WriteFile(source, []byte(layoutProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-std=c11", "-Iinclude", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	got := map[string]uint64{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if got[name], err = strconv.ParseUint(value, 10, 64); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
	}
	want := map[string]uint64{
		"agentMagic": agentMagic, "regionMagic": regionMagic, "major": Major, "minor": Minor,
		"agentPageSize": AgentPageSize, "regionSize": RegionSize,
		"maxDevices": MaxDevices, "maxProcesses": MaxProcesses,
		"magic": offMagic, "offMajor": offMajor, "offMinor": offMinor, "headerSize": offHeaderSize,
		"page.deviceSize": pageOffDeviceSize, "page.deviceCount": pageOffDeviceCount,
		"page.totalSize": pageOffTotalSize, "page.sequence": pageOffSequence,
		"page.podUID": pageOffPodUID, "page.container": pageOffContainer,
		"page.devices": pageOffDevices, "nameSize": nameSize,
		"deviceSize": deviceSize, "uuidSize": uuidSize, "device.uuid": deviceOffUUID,
		"device.limit": deviceOffLimit, "device.context": deviceOffContext,
		"device.physical": deviceOffPhysical, "device.cores": deviceOffCores,
		"region.major": offMajor, "region.minor": offMinor, "region.headerSize": offHeaderSize,
		"region.cardSize": regionOffCardSize, "region.cardCount": regionOffCardCount,
		"region.slotSize": regionOffSlotSize, "region.slotCount": regionOffSlotCount,
		"region.totalSize": regionOffTotalSize, "region.dirty": regionOffDirty,
		"region.unknownSymbols": regionOffUnknownSymbols,
		"region.foreignDrivers": regionOffForeignDrivers,
		"region.slotsExhausted": regionOffSlotsExhausted,
		"region.slotsReaped":    regionOffSlotsReaped,
		"region.cards":          regionOffCards, "region.slots": regionOffSlots,
		"cardSize": cardSize, "card.used": cardOffUsed,
		"slotSize": slotSize, "slot.owner": slotOffOwner, "slot.start": slotOffStart,
		"slot.transactions": slotOffTxns, "slot.used": slotOffUsed,
		"slotFree": slotFree, "slotLive": slotLive,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layout (-want,+got):\n%s", diff)
	}
}
