/*
 * Device memory of one process: virtual addresses, 2 MiB physical pages, small allocations packed
 * into slabs. Knows cards only through fg_charge; knows nothing of contexts but a number.
 *
 * Addresses: every card owns a fixed window, and a table with one entry for each 2 MiB of it, so
 * that an address leads to its block in two loads, whatever the number of live allocations.
 *
 * Lock order: a card's window lock is the innermost lock of the library.
 */
#ifndef FC_ARENA_H
#define FC_ARENA_H

#include <pthread.h>
#include <stdbool.h>

#include "../state/node.h"
#include "types.h"

#define FC_VA_BASE 0x200000000000ull
#define FC_WINDOW_SHIFT 42
#define FC_PAGE_SHIFT 21
#define FC_PAGE (1ull << FC_PAGE_SHIFT)
#define FC_WINDOW_PAGES (1u << (FC_WINDOW_SHIFT - FC_PAGE_SHIFT))
#define FC_WINDOWS (FG_MAX_CARDS + 1) /* the last one holds cuMemAddressReserve ranges */
#define FC_SMALL_MAX (1ull << 20)
#define FC_CLASSES 40
#define FC_BINS 512

enum fc_kind { FC_BIG = 1, FC_SLAB, FC_CACHED, FC_RESERVED, FC_MAPPED };

struct fc_arena;
struct fc_physical;

/* A run of pages with one purpose. */
struct fc_block {
    CUdeviceptr base;
    uint64_t size; /* as asked for; a slab: one page */
    uint32_t pages;
    uint16_t kind;
    uint16_t context; /* 0: none */
    struct fc_arena *arena;
    char *shadow; /* host memory behind the block, once something was written */
    struct fc_block *next, *prev;
    struct fc_physical *physical; /* FC_MAPPED, like access */
    uint8_t access[FG_MAX_CARDS];
};

struct fc_object {
    uint32_t size; /* 0: free */
    uint16_t context;
    uint16_t next;
};

struct fc_slab {
    struct fc_block block;
    uint32_t class_index;
    uint16_t live, untouched, free_head, capacity;
    struct fc_object objects[];
};

struct fc_range {
    uint32_t first, pages;
    struct fc_range *next;
};

struct fc_window {
    pthread_mutex_t mu;
    struct fc_block **table; /* guarded by mu, like all below */
    uint32_t next_page;
    struct fc_range *bins[FC_BINS]; /* freed address ranges by page count; [0]: longer ones */
    struct fc_range *spare_ranges;
    struct fc_block *spare_slabs[FC_CLASSES]; /* embedded in struct fc_slab */
    struct fc_block *spare_blocks;
    const struct fg_node *node;
    uint32_t card, slot;
};

/* One allocator: of cuMemAlloc, of managed memory, or of a pool. Guarded by the window's mu. */
struct fc_arena {
    struct fc_window *window;
    bool managed;                         /* the host can touch it */
    bool keep;                            /* a pool: freed pages stay reserved until trimmed */
    struct fc_block *partial[FC_CLASSES]; /* slabs with room */
    struct fc_block *cached;              /* keep only */
    uint64_t reserved, reserved_high, used, used_high, threshold;
};

/* What an address belongs to. */
struct fc_hit {
    struct fc_block *block;
    CUdeviceptr base;
    uint64_t size;
    uint16_t context;
};

struct fc_window *fc_window_of(CUdeviceptr p); /* NULL: not an address of ours */
struct fc_window *fc_window(uint32_t index);
int fc_window_open(uint32_t index, const struct fg_node *node, uint32_t slot);

/* Precondition of all below: the window's mu is held. */
CUresult fc_arena_alloc(struct fc_arena *a, uint64_t size, uint16_t context, CUdeviceptr *out);
bool fc_find(struct fc_window *w, CUdeviceptr p, struct fc_hit *hit);
void fc_hit_free(const struct fc_hit *hit);
void fc_arena_trim(struct fc_arena *a, uint64_t keep_bytes);
void fc_free_context(struct fc_window *w, uint16_t context);
/* Host memory behind the address, or NULL where none is kept (above FC_SHADOW_MAX). */
char *fc_shadow(const struct fc_hit *hit, CUdeviceptr p);
void fc_shadow_drop(struct fc_block *b);

/* Address ranges without memory; a block's pages are entered in the table. */
struct fc_block *fc_block_new(struct fc_window *w, enum fc_kind kind, uint32_t pages);
bool fc_block_place(struct fc_window *w, struct fc_block *b); /* precondition: pages is set */
void fc_block_unplace(struct fc_window *w, struct fc_block *b);
struct fc_block *fc_block_at(struct fc_window *w, CUdeviceptr p); /* whatever its kind */
void fc_table_set(struct fc_window *w, struct fc_block *b, struct fc_block *value);
/* Records only: zeroed ones from, and back to, the window's spare list. */
struct fc_block *fc_block_spare(struct fc_window *w);
void fc_block_park(struct fc_window *w, struct fc_block *b);

#define FC_SHADOW_MAX (64ull << 20)

#endif
