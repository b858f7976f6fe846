/*
 * The "hardware" of a fake node: one file that every process of the node maps. This header is the
 * whole contract between libcuda, libnvidia-ml and fakegpu-ctl; it holds no logic.
 *
 * Memory in use on a card is never stored: it is the sum of one counter per process slot. So a
 * process may die at any instruction: its counters stop counting once its slot is emptied, and
 * emptying a slot twice, or half, does no harm.
 *
 * A slot belongs to the process that holds the POSIX lock on byte FG_LOCK_SLOT0 + slot of the file.
 * The kernel drops that lock on death and translates its owner into the asking pid namespace.
 */
#ifndef FG_LAYOUT_H
#define FG_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FG_MAGIC 0x5550474546414b45ull
/* Major 1: first layout. */
#define FG_MAJOR 1u
#define FG_MINOR 0u
#define FG_MAX_CARDS 16
#define FG_MAX_SLOTS 1024
#define FG_EVENTS 64
#define FG_TEXT 96
#define FG_DEFAULT_STATE "/run/fakegpu/state"
#define FG_GRANULARITY (2ull << 20)

/* Byte locks, far behind the end of the file: never data. */
#define FG_LOCK_ADMIN 0x40000000
#define FG_LOCK_CARD0 0x40001000
#define FG_LOCK_SLOT0 0x40010000

enum fg_fault {
    FG_FAULT_NONE = 0,
    FG_FAULT_LOST = 1, /* the card fell off the bus: NVML and CUDA calls fail */
    FG_FAULT_ECC = 2,  /* uncorrectable memory error: CUDA calls fail, NVML still answers */
    FG_FAULT_EVENT = 3 /* only the XID event */
};

/* Written once by fakegpu-ctl init, except fault and xid (written by set-bad and set-good). */
struct fg_card {
    char model[FG_TEXT];
    char uuid[FG_TEXT];
    uint64_t memory_bytes;
    uint32_t pci_domain, pci_bus, pci_device, pci_id;
    int32_t numa;
    uint32_t minor_number;
    uint32_t cc_major, cc_minor;
    uint32_t multiprocessors;
    uint32_t brand, architecture;
    _Atomic uint32_t fault; /* enum fg_fault */
    _Atomic uint32_t xid;
    uint32_t pad;
};

/* Written by the slot's owner; emptied by whoever reaps it, under the slot's lock. */
struct fg_slot {
    _Atomic uint32_t pid; /* in the owner's own pid namespace; 0: empty */
    uint32_t pad0;
    char comm[32];
    _Atomic uint32_t contexts[FG_MAX_CARDS]; /* live contexts by card */
    uint64_t pad1[3];
};

/* Written by fakegpu-ctl under FG_LOCK_ADMIN; entry n of the history stands at n % FG_EVENTS. */
struct fg_event {
    uint32_t card;
    uint32_t xid;
};

struct fg_state {
    uint64_t magic;
    uint32_t major, minor;
    uint32_t header_bytes, card_bytes, slot_bytes;
    uint32_t card_count, slot_count;
    uint32_t require_nodes; /* 1: a process sees a card only through its device node */
    uint32_t cuda_version;  /* 12080 is 12.8 */
    uint32_t pad0;
    uint64_t context_bytes;
    char driver_version[FG_TEXT];
    _Atomic uint32_t slot_top;    /* slots at and above were never used; only grows */
    _Atomic uint32_t event_count; /* futex word: events posted so far */
    uint64_t pad1[8];
    struct fg_event events[FG_EVENTS];
    struct fg_card cards[FG_MAX_CARDS];
    struct fg_slot slots[FG_MAX_SLOTS];
    _Atomic uint64_t used[FG_MAX_CARDS][FG_MAX_SLOTS]; /* physical bytes; by the slot's owner */
};

static_assert(sizeof(struct fg_card) == 256, "card layout");
static_assert(sizeof(struct fg_slot) == 128, "slot layout");
static_assert(offsetof(struct fg_state, events) == 224, "header layout");
static_assert(offsetof(struct fg_state, cards) == 224 + 8 * FG_EVENTS, "events layout");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "plain atomics");
static_assert(sizeof(struct fg_state) == 224 + 8 * FG_EVENTS + 256 * FG_MAX_CARDS +
                                             128 * FG_MAX_SLOTS + 8 * FG_MAX_CARDS * FG_MAX_SLOTS,
              "state layout");

#endif
