/*
 * hc_abi.h: the shared-memory contract between the node agent and the limiter in the containers.
 *
 * Two files, both made and preallocated by the agent on a tmpfs, both mapped by the limiter:
 *
 *   limits  struct hc_agent_page    written by the agent only, read-only in the container. Written
 * in place under `sequence`, never renamed: a container keeps its map. region  struct hc_region
 * written by every process of the container, whatever its uid. The agent treats it as hostile and
 * reads it with pread(2).
 *
 * Little endian, natural alignment, fixed-width integers. No pointer, lock object or size_t of any
 * libc: programs of different libc versions share these bytes. All reserved bytes are zero.
 *
 * Versions. Another major breaks the layout: readers refuse. A minor only appends (behind the last
 * field of a struct, within the sizes that the header announces): readers step by the announced
 * sizes and skip what they do not know.
 *   1.0  first layout.
 *
 * The Go mirror is the package one folder up (hamicore); its test compiles this header and compares
 * every offset.
 */
#ifndef HC_ABI_H
#define HC_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define HC_AGENT_MAGIC UINT64_C(0x314d494c544c5342)  /* the bytes "BSLTLIM1" */
#define HC_REGION_MAGIC UINT64_C(0x31474552544c5342) /* the bytes "BSLTREG1" */
#define HC_ABI_MAJOR 1u
#define HC_ABI_MINOR 0u

#define HC_MAX_CARDS 16u  /* cards in one container */
#define HC_MAX_SLOTS 320u /* processes of one container that hold GPU memory at one time */
#define HC_UUID_SIZE 64u  /* "GPU-" or "MIG-", 36 characters, zero filled */
#define HC_NAME_SIZE 128u
#define HC_CACHE_LINE 64u

#define HC_AGENT_PAGE_SIZE 4096u
#define HC_REGION_SIZE 65536u

/* One card of the slice. Identity (uuid, and the place in the list) never changes while the
 * container lives; each number is one aligned word that the agent stores atomically, so a reader of
 * a single number needs no sequence check. */
struct hc_agent_device {
    char uuid[HC_UUID_SIZE];
    uint64_t limit_bytes;    /* all of the container's processes together, contexts included */
    uint64_t context_bytes;  /* what one context costs on this card with this driver */
    uint64_t physical_bytes; /* the whole card; 0: not known */
    uint32_t core_percent;   /* 0 or 100: no limit */
    uint32_t reserved0;
    uint64_t reserved1[4];
};

struct hc_agent_page {
    uint64_t magic;
    uint32_t major;
    uint32_t minor;
    uint32_t header_size; /* bytes before the first device */
    uint32_t device_size;
    uint32_t device_count;
    uint32_t total_size;
    /* Odd while the agent writes. A reader of more than one number loads it (acquire), reads, and
     * loads it again behind an acquire fence: unchanged and even means that the numbers belong
     * together. The agent stores odd, then the numbers, then even (release). */
    uint64_t sequence;
    uint64_t reserved0[3];
    char pod_uid[HC_NAME_SIZE];   /* for messages and cross-checks, zero terminated */
    char container[HC_NAME_SIZE]; /* the same */
    uint64_t reserved1[8];
    struct hc_agent_device devices[HC_MAX_CARDS];
    uint8_t reserved2[HC_AGENT_PAGE_SIZE - 384 - HC_MAX_CARDS * 128];
};

/* The container's use of one card; the place is that of the card in the agent page. */
struct hc_region_card {
    /* The one number that decides: charged before the driver is asked. Any process adds by
     * compare-exchange, so it never exceeds the limit, and subtracts what it added. */
    uint64_t used_bytes;
    uint64_t reserved0[7];
    uint64_t reserved1[8]; /* a line of its own for the time bucket of a later minor */
};

/* owner: (state << 32) | pid, the pid as its process sees itself. */
#define HC_SLOT_FREE 0u
#define HC_SLOT_LIVE 1u

/* One process. A slot never moves. Whoever takes it or empties it holds the open-file-description
 * lock on byte `offset of the slot` of the region file; its process keeps that lock while it lives.
 *
 * Death at any instruction: the owner is dead when the lock can be taken *and* the pid is gone, is
 * a zombie, or has another start time. In doubt it lives. A charge is a transaction: `transactions`
 * is raised, the card and the slot are changed, it is lowered. A slot whose owner died inside one
 * has a count in the low half; the reaper then recomputes the cards (see `dirty`). */
struct hc_region_slot {
    uint64_t owner;        /* written under the slot lock, release; readers acquire */
    uint64_t start_time;   /* field 22 of /proc/pid/stat; 0: unknown. Written before owner */
    uint64_t transactions; /* low half: threads inside one; high half: transactions begun */
    uint64_t reserved0[5];
    uint64_t used_bytes[HC_MAX_CARDS]; /* the owner's threads; the reaper after its death */
};

struct hc_region {
    uint64_t magic;
    uint32_t major;
    uint32_t minor;
    uint32_t header_size;
    uint32_t card_size;
    uint32_t card_count;
    uint32_t slot_size;
    uint32_t slot_count;
    uint32_t total_size;
    /* Not 0 while slots are being emptied; left behind by a reaper that was killed. The next one
     * sets each card to the sum of its slots. Written under the lock on byte 0. */
    uint64_t dirty;
    uint64_t reserved0[2];
    /* Alarms for the agent: counters, any process, relaxed. */
    uint64_t unknown_symbols; /* driver functions of a charged family that we do not know */
    uint64_t foreign_drivers; /* look-ups in a second copy of the driver, refused */
    uint64_t slots_exhausted; /* allocations refused because all slots are taken */
    uint64_t slots_reaped;    /* slots taken from dead processes */
    uint64_t reserved1[4];
    uint64_t reserved2[16];
    struct hc_region_card cards[HC_MAX_CARDS];
    struct hc_region_slot slots[HC_MAX_SLOTS];
    uint8_t reserved3[HC_REGION_SIZE - 256 - HC_MAX_CARDS * 128 - HC_MAX_SLOTS * 192];
};

static_assert(sizeof(struct hc_agent_device) == 128, "ABI");
static_assert(offsetof(struct hc_agent_device, limit_bytes) == 64, "ABI");
static_assert(offsetof(struct hc_agent_device, context_bytes) == 72, "ABI");
static_assert(offsetof(struct hc_agent_device, physical_bytes) == 80, "ABI");
static_assert(offsetof(struct hc_agent_device, core_percent) == 88, "ABI");
static_assert(sizeof(struct hc_agent_page) == HC_AGENT_PAGE_SIZE, "ABI");
static_assert(offsetof(struct hc_agent_page, major) == 8, "ABI");
static_assert(offsetof(struct hc_agent_page, minor) == 12, "ABI");
static_assert(offsetof(struct hc_agent_page, header_size) == 16, "ABI");
static_assert(offsetof(struct hc_agent_page, device_size) == 20, "ABI");
static_assert(offsetof(struct hc_agent_page, device_count) == 24, "ABI");
static_assert(offsetof(struct hc_agent_page, total_size) == 28, "ABI");
static_assert(offsetof(struct hc_agent_page, sequence) == 32, "ABI");
static_assert(offsetof(struct hc_agent_page, pod_uid) == 64, "ABI");
static_assert(offsetof(struct hc_agent_page, container) == 192, "ABI");
static_assert(offsetof(struct hc_agent_page, devices) == 384, "ABI");
static_assert(sizeof(struct hc_region_card) == 2 * HC_CACHE_LINE, "ABI");
static_assert(sizeof(struct hc_region_slot) == 3 * HC_CACHE_LINE, "ABI");
static_assert(offsetof(struct hc_region_slot, start_time) == 8, "ABI");
static_assert(offsetof(struct hc_region_slot, transactions) == 16, "ABI");
static_assert(offsetof(struct hc_region_slot, used_bytes) == HC_CACHE_LINE, "ABI");
static_assert(sizeof(struct hc_region) == HC_REGION_SIZE, "ABI");
static_assert(offsetof(struct hc_region, major) == 8, "ABI");
static_assert(offsetof(struct hc_region, minor) == 12, "ABI");
static_assert(offsetof(struct hc_region, header_size) == 16, "ABI");
static_assert(offsetof(struct hc_region, card_size) == 20, "ABI");
static_assert(offsetof(struct hc_region, card_count) == 24, "ABI");
static_assert(offsetof(struct hc_region, slot_size) == 28, "ABI");
static_assert(offsetof(struct hc_region, slot_count) == 32, "ABI");
static_assert(offsetof(struct hc_region, total_size) == 36, "ABI");
static_assert(offsetof(struct hc_region, dirty) == 40, "ABI");
static_assert(offsetof(struct hc_region, unknown_symbols) == 64, "ABI");
static_assert(offsetof(struct hc_region, foreign_drivers) == 72, "ABI");
static_assert(offsetof(struct hc_region, slots_exhausted) == 80, "ABI");
static_assert(offsetof(struct hc_region, slots_reaped) == 88, "ABI");
static_assert(offsetof(struct hc_region, cards) == 256, "ABI");
static_assert(offsetof(struct hc_region, slots) == 2304, "ABI");

#endif
